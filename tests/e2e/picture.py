"""Take the picture of the README: the page of the demo's account, in a real Chromium."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from e2e.browser import browser, chromium

ROOT = Path(__file__).parents[2]
PAGE = ROOT / ".demo" / "page.html"
PICTURE = ROOT / "examples" / "demo" / "page.png"


def main() -> int:
    """Write the picture; return the exit status."""
    command = chromium()
    if command is None:
        sys.stderr.write("There is no Chromium, and only root on Debian can install one.\n")
        return 1
    with tempfile.TemporaryDirectory() as directory, browser(command, Path(directory)) as tab:
        tab.emulate()
        tab.resize(1280, 1180, scale=0.75)
        tab.open(PAGE)
        tab.picture(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
