"""A headless Chromium, driven over a pipe by the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.processes import DIES_WITH_THE_TESTS, SECONDS_TO_START, CommandError, run
from e2e.tools import apt_lock

NAMES = ("chromium", "google-chrome", "chromium-browser")
SECONDS_FOR_AN_ANSWER = 60

# Chromium reads commands from descriptor 3 and writes to 4.
_START = """
import fcntl, os, sys
# Out of the way of each other first.
reading, writing = (fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3])
os.dup2(reading, 3), os.dup2(writing, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def chromium() -> str | None:
    """Return the command of a Chromium; on Debian, root installs one if there is none."""
    found = next((name for name in NAMES if shutil.which(name)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = ("chromium", "fonts-dejavu-core")
        environ = {"DEBIAN_FRONTEND": "noninteractive"}
        options = ("install", "--yes", "-qq", "--no-install-recommends")
        with apt_lock():
            run("apt-get", "update", "-qq")
            run("apt-get", *options, *packages, environ=environ)
        found = "chromium"
    return found


class Browser:
    """One tab. What its page complains about, and all that it requests, is kept."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._number = 0
        self._rest = b""
        self._session: str | None = None
        self._loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def attach(self) -> None:
        """Open the tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self._loaded = False
        self.call("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._take(self._message())

    def resize(self, width: int, height: int = 900, scale: float = 1) -> None:
        """Give the window this size in CSS pixels, and so many pixels for each of them."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def emulate(self, medium: str = "", scheme: str = "light") -> None:
        """Show the page as on this medium, for a light or dark scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)

    def run(self, script: str) -> Any:
        """Return the value of an expression; an error in it is raised."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise CommandError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        named = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a picture of the window, or of the whole page, as PNG."""
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    def call(self, method: str, **parameters: Any) -> Any:
        """Return the answer to a command."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._writing, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                if "error" in message:
                    raise CommandError(f"{method}: {message['error']}")
                return message["result"]
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        method, content = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])
        elif method in {
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        }:
            self.complaints.append(json.dumps(content))

    def _message(self) -> dict[str, Any]:
        until = time.monotonic() + SECONDS_FOR_AN_ANSWER
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(0, until - time.monotonic()))
            read = os.read(self._reading, 1 << 20) if ready else b""
            if not read:
                raise CommandError("Chromium does not answer")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def browser(command: str, directory: Path) -> Iterator[Browser]:
    """Start a headless Chromium with its profile and its log in the directory."""
    to_browser, from_browser = os.pipe(), os.pipe()
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--hide-scrollbars", "--no-first-run", "--disable-background-networking"),
        *("--remote-debugging-pipe", f"--user-data-dir={directory / 'profile'}", "about:blank"),
    )
    pipes = (to_browser[0], from_browser[1])
    starting = [sys.executable, "-c", _START, *map(str, pipes), *DIES_WITH_THE_TESTS, command]
    with (directory / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*starting, *options], pass_fds=pipes, stdout=log, stderr=subprocess.STDOUT
        )
    for descriptor in pipes:
        os.close(descriptor)
    started = Browser(from_browser[0], to_browser[1])
    try:
        started.attach()
        yield started
    finally:
        process.terminate()
        process.wait(SECONDS_TO_START)
        os.close(to_browser[1])
        os.close(from_browser[0])
