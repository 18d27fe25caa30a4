"""Download the tools of the end-to-end tests: Debian packages and Python packages.

Nothing is installed on the system, and no system service is started. The packages are unpacked into
a directory that is removed after the tests.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.processes import run

REQUIREMENTS = Path(__file__).parent / "requirements"
DEBIAN_PACKAGES = ("docker.io", "docker-registry")
APT_LOCK = Path(tempfile.gettempdir()) / "ecr-cleaner-e2e-apt.lock"

# Architecture as in uname -> as in container images. The emulator supports both.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CAP_SYS_ADMIN = 21


@dataclass(frozen=True)
class Tools:
    """The directories of the downloaded tools."""

    packages: Path
    aws_cli: Path
    emulator: Path

    @property
    def path(self) -> str:
        """PATH with the downloaded tools before those of the machine."""
        own = [str(self.packages / folder) for folder in ("usr/sbin", "usr/bin")]
        return os.pathsep.join([str(self.aws_cli / "bin"), *own, os.environ["PATH"]])

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which the tools are found."""
        return {"PATH": self.path}

    def find(self, command: str) -> str:
        """Return the path of a command."""
        return shutil.which(command, path=self.path) or command


def missing() -> str | None:
    """Return why these tests cannot run on this machine, or None if they can."""
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        return f"they need Linux on {' or '.join(ARCHITECTURES)}"
    if os.geteuid() or not _may_mount():
        return "a container engine needs root with the right to mount (in a container: privileged)"
    if not shutil.which("apt-get"):
        return f"they need apt-get, which fetches {' and '.join(DEBIAN_PACKAGES)}"
    return None


def _may_mount() -> bool:
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line
    ]
    return bool(int(line.split()[1], 16) >> CAP_SYS_ADMIN & 1)


def install(directory: Path) -> Tools:
    """Download and unpack all tools into the directory, side by side."""
    with ThreadPoolExecutor() as pool:
        packages = pool.submit(_debian_packages, directory / "debian")
        aws_cli = pool.submit(_aws_cli, directory / "aws-cli")
        emulator = pool.submit(_emulator, directory / "emulator")
    return Tools(packages.result(), aws_cli.result(), emulator.result())


@contextmanager
def apt_lock() -> Iterator[None]:
    """Wait until no other process of the tests uses apt-get, which fails if another one runs."""
    with APT_LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _debian_packages(directory: Path) -> Path:
    archives = directory / "archives"
    (archives / "partial").mkdir(parents=True)
    settings = {
        "Dir::Cache::archives": archives,
        "APT::Sandbox::User": "root",  # only root may write to the directory
        "DPkg::Lock::Timeout": 120,
    }
    options = ("-qq", *(f"--option={name}={value}" for name, value in settings.items()))
    fetch = ("--yes", "--download-only", "--no-install-recommends")
    with apt_lock():
        run("apt-get", "update", *options)
        run("apt-get", "install", *fetch, *options, *DEBIAN_PACKAGES, *_client_package())
    for archive in archives.glob("*.deb"):
        run("dpkg-deb", "--extract", archive, directory)
    return directory


def _client_package() -> list[str]:
    """Return the package of the client, which Debian split from docker.io after release 12."""
    return run("apt-cache", "pkgnames", "docker-cli").split()[:1]


def pip_install(requirements: str, directory: Path, *options: str) -> None:
    """Install pinned requirements into a separate directory."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-warn-conflicts")
    file = REQUIREMENTS / f"{requirements}.txt"
    pinned = ("--require-hashes", "--no-deps", "--no-compile", "--requirement", file)
    run(sys.executable, "-m", "pip", "install", *quiet, *options, *pinned, "--target", directory)


def _aws_cli(directory: Path) -> Path:
    pip_install("aws-cli", directory)
    command = directory / "bin" / "aws"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={directory} exec {sys.executable} -m awscli "$@"\n')
    command.chmod(0o755)
    return directory


def _emulator(directory: Path) -> Path:
    """Return the AWS Runtime Interface Emulator, which is part of the SAM CLI."""
    pip_install("emulator", directory)
    processor = platform.machine().replace("aarch64", "arm64")
    emulator = directory / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{processor}"
    emulator.chmod(0o755)
    return emulator
