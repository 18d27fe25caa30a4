"""A separate container engine for the tests: Debian's dockerd, independent of other engines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.processes import CommandError, run, service
from e2e.tools import Tools

# Only the daemon must resolve an AWS host name to this machine, so it gets its own mount namespace
# with its own /etc/hosts.
START = 'mount --bind "$0" /etc/hosts && exec "$@"'

# Only the host network, so that no bridges and no firewall rules are created.
DAEMON_OPTIONS = (
    "--storage-driver=overlay2",
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
)


@dataclass(frozen=True)
class Engine:
    """The docker command and its daemon."""

    tools: Tools
    directory: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which the docker command uses this daemon."""
        return {
            **self.tools.environ,
            "DOCKER_HOST": f"unix://{self.directory / 'socket'}",
            "DOCKER_CONFIG": str(self.directory / "config"),
        }

    def run(self, *arguments: str | Path) -> str:
        """Run a docker command and return what it printed."""
        return run(self.tools.find("docker"), *arguments, environ=self.environ)

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Return the description of an image or a container."""
        (found,) = json.loads(self.run(kind, "inspect", name))
        return dict(found)

    def is_ready(self) -> bool:
        """Return whether the daemon answers."""
        try:
            self.run("version")
        except CommandError:
            return False
        return True

    def builder(self) -> dict[str, str]:
        """Return the environment that enables BuildKit; from version 23 it is the default."""
        version = self.run("version", "--format", "{{.Client.Version}}")
        return {"DOCKER_BUILDKIT": "1"} if int(version.split(".")[0]) < 23 else {}

    def log_in(self, registry: str, token: str) -> None:
        """Store the token for a registry in the configuration of the engine."""
        config = self.directory / "config" / "config.json"
        config.parent.mkdir(exist_ok=True)
        config.write_text(json.dumps({"auths": {registry: {"auth": token}}}))

    def forget(self, image: str) -> None:
        """Remove an image from the engine, so that only the registry has it."""
        self.run("image", "rm", "--force", self.inspect("image", image)["Id"])


@contextmanager
def engine(tools: Tools, directory: Path, hosts: dict[str, str]) -> Iterator[Engine]:
    """Run a container engine that stores everything in the directory and resolves the hosts."""
    made = Engine(tools, directory)
    known = [f"{address} {host}\n" for host, address in hosts.items()]
    (directory / "hosts").write_text(Path("/etc/hosts").read_text() + "\n" + "".join(known))
    places = {
        "--host": f"unix://{directory / 'socket'}",
        "--data-root": directory / "data",
        "--exec-root": directory / "exec",
        "--pidfile": directory / "pid",
    }
    with service(
        *("unshare", "--mount", "sh", "-c", START, directory / "hosts"),
        *("dockerd", *DAEMON_OPTIONS, *(f"{name}={place}" for name, place in places.items())),
        log=directory / "dockerd.log",
        ready=made.is_ready,
        environ=tools.environ,
    ):
        yield made
    shutil.rmtree(directory / "data")
