"""A stand-in for the AWS base image with the same name, so that the Dockerfile needs no change.

The tests cannot pull from the AWS registry. The stand-in has what the image under test needs: the
same directories, environment and entry point, Python, pip, and the AWS runtime client. Its system
is that of this machine, not Amazon Linux. Its Python is 3.13 if the machine has it, otherwise the
Python that runs these tests.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2e.engine import Engine
from e2e.processes import CommandError, run
from e2e.tools import pip_install

NAME = "public.ecr.aws/lambda/python:3.13"
VERSION = "3.13"

# As in the AWS image. All libraries are in /var/lang/lib, regardless of where they came from.
ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/task:/opt/lib",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
CERTIFICATES = "/etc/ssl/certs/ca-bundle.crt"
COMMANDS = ("cat", "chmod", "env", "ls", "mkdir", "rm", "sh")
NOT_NEEDED = (
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "_tkinter*", "config-*"),
    *("site-packages", "dist-packages", "*.opt-[12].pyc"),
)

ENTRY_POINT = """\
#!/bin/sh
# Lambda and its emulator set the address from which the runtime gets events.
export _HANDLER="$1"
exec /var/runtime/bootstrap
"""
BOOTSTRAP = """\
#!/bin/sh
export PYTHONPATH=/var/runtime
exec /var/lang/bin/python -m awslambdaric "$_HANDLER"
"""

DESCRIBE = """\
import json, os, sys, sysconfig
executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
library = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})
print(json.dumps([executable, library, "%d.%d" % sys.version_info[:2]]))
"""


@dataclass(frozen=True)
class Python:
    """A Python of this machine, with its standard library."""

    executable: Path
    library: Path
    version: str


def find_python() -> Python:
    """Return the Python version of the AWS image if the machine has it, else the running one."""
    name = f"python{VERSION}"
    of_pyenv = Path.home().glob(f".pyenv/versions/{VERSION}.*/bin/{name}")
    candidates: list[str | Path] = [name, *sorted(of_pyenv)]
    for candidate in candidates:
        try:
            found = _describe(candidate)
        except (CommandError, OSError):
            continue
        if found.version == VERSION:
            return found
    return _describe(sys.executable)


def _describe(python: str | Path) -> Python:
    executable, library, version = json.loads(run(python, "-c", DESCRIBE))
    return Python(Path(executable), Path(library), version)


def make_base_image(engine: Engine, directory: Path) -> Python:
    """Import the stand-in into the engine; return its Python."""
    python = find_python()
    tree = directory / "tree"
    _copy_python(python, tree)
    _add_runtime(python, tree)
    _copy_commands(tree)
    _copy_libraries(tree)
    _add_system_files(tree)
    archive = directory / "base-image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tree, arcname=".")
    engine.run("import", *_changes(), archive, NAME)
    shutil.rmtree(tree)
    archive.unlink()
    return python


def _changes() -> Iterable[str]:
    environment = {**ENVIRONMENT, "PIP_CERT": CERTIFICATES}
    for name, value in environment.items():
        yield f"--change=ENV {name}={value}"
    yield "--change=WORKDIR /var/task"
    yield '--change=ENTRYPOINT ["/lambda-entrypoint.sh"]'


def _copy_python(python: Python, tree: Path) -> None:
    ignore = shutil.ignore_patterns(*NOT_NEEDED)
    shutil.copytree(python.library, tree / f"var/lang/lib/python{python.version}", ignore=ignore)
    commands = tree / "var/lang/bin"
    commands.mkdir()
    shutil.copy2(python.executable, commands / f"python{python.version}")
    for alias in ("python", "python3"):
        (commands / alias).symlink_to(f"python{python.version}")


def _add_runtime(python: Python, tree: Path) -> None:
    """Add the AWS runtime client at its usual path, and pip."""
    wheels = [f"manylinux{tag}_{platform.machine()}" for tag in ("2014", "_2_17", "_2_28")]
    runtime = tree / "var/runtime"
    pip_install(
        *("base-image", runtime, "--only-binary=:all:"),
        *("--python-version", python.version),
        *(f"--platform={platform}" for platform in wheels),
    )
    # Into the standard library, the only directory that the Python of every distribution searches.
    shutil.move(runtime / "pip", tree / f"var/lang/lib/python{python.version}")
    _write_command(runtime / "bootstrap", BOOTSTRAP)
    _write_command(tree / "lambda-entrypoint.sh", ENTRY_POINT)
    # Compiled as in the AWS image; otherwise each cold start would compile it.
    run(python.executable, "-m", "compileall", "-q", runtime)


def _copy_commands(tree: Path) -> None:
    (tree / "bin").mkdir()
    for command in COMMANDS:
        found = shutil.which(command)
        if found is None:
            raise CommandError(f"{command} was not found on this machine")
        shutil.copy2(Path(found).resolve(), tree / "bin" / command)


def _copy_libraries(tree: Path) -> None:
    """Copy the libraries that programs in the tree are linked to, and the loader."""
    programs = [*tree.glob("bin/*"), *tree.glob("var/lang/bin/python3.*"), *tree.rglob("*.so")]
    for library in sorted(_linked(programs)):
        if library.name.startswith("ld-linux"):
            place = tree / library.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
        else:
            place = tree / "var/lang/lib"
        shutil.copy2(library, place)


def _linked(programs: Iterable[Path]) -> set[Path]:
    """Return the paths that ldd prints: ``NAME => PATH (ADDRESS)``, the loader without a name."""
    # ldd fails if one of the files is not dynamically linked.
    answer = subprocess.run(
        [shutil.which("ldd") or "ldd", *programs], capture_output=True, text=True, check=False
    )
    words = (word for line in answer.stdout.splitlines() for word in line.split())
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}


def _add_system_files(tree: Path) -> None:
    for directory in ("etc/ssl/certs", "var/task", "opt"):
        (tree / directory).mkdir(parents=True)
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    # If outgoing TLS is intercepted, the machine has the certificate that pip must trust.
    authorities = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    if authorities:
        shutil.copy(authorities, tree / CERTIFICATES.lstrip("/"))


def _write_command(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
