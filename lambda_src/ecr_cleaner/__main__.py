"""The entry point from a shell: ``python -m ecr_cleaner``."""

from __future__ import annotations

import argparse
import os
import re
import sys
import uuid
from collections.abc import Sequence

from ecr_cleaner.errors import LogError
from ecr_cleaner.program import restore, run

# What a shell reports of a program that Ctrl+C ended.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the arguments say; return 0, 1 where it failed, or 130 where it was interrupted.

    Why it failed is in the log by then, or on standard error where the log could not be written.
    """
    chosen = _parser().parse_args(arguments)
    request_id = str(uuid.uuid4())
    try:
        if chosen.command == "restore":
            restore(os.environ, request_id, chosen.repository, chosen.digest)
        else:
            run(os.environ, request_id)
    except KeyboardInterrupt:
        return INTERRUPTED
    except LogError as error:
        sys.stderr.write(f"ecr_cleaner: {error}\n")
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:  # noqa: BLE001 - it has been logged; a traceback is no JSON line
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ecr_cleaner",
        description="Clean the registry of this account and region once. Settings come from the "
        "environment: without DRY_RUN=false this is a dry run. Exits with 1 where the run failed, "
        "with 2 where the arguments are wrong.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    command = commands.add_parser("restore", help="bring images back from the archive")
    command.add_argument("repository", metavar="REPOSITORY", help="its name, without the host")
    command.add_argument(
        "digest", metavar="DIGEST", nargs="+", type=_digest, help="sha256:... as the log tells it"
    )
    return parser


def _digest(text: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no digest: sha256: and 64 hex digits")
    return text


if __name__ == "__main__":
    sys.exit(main())
