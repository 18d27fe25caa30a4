"""The entry point from a shell: ``python -m ecr_cleaner``."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Sequence

from ecr_cleaner.program import restore, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the arguments say; return 0, or 1 where it failed, which is in the log by then."""
    chosen = _parser().parse_args(arguments)
    request_id = str(uuid.uuid4())
    try:
        if chosen.command == "restore":
            restore(os.environ, request_id, chosen.repository, chosen.digest)
        else:
            run(os.environ, request_id)
    except Exception:  # noqa: BLE001 - it has been logged; a traceback is no JSON line
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ecr_cleaner",
        description="Clean the registry of this account and region once, as the environment says.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    command = commands.add_parser("restore", help="bring images back from the archive")
    command.add_argument("repository", metavar="REPOSITORY")
    command.add_argument("digest", metavar="DIGEST", nargs="+", help="sha256:...")
    return parser


if __name__ == "__main__":
    sys.exit(main())
