"""The entry point from a shell: ``python -m ecr_cleaner``."""

from __future__ import annotations

import argparse
import os
import re
import sys
import uuid
from collections.abc import Sequence

from ecr_cleaner import shell
from ecr_cleaner.core.errors import LogError
from ecr_cleaner.program import apply, restore, run, scan_cluster
from ecr_cleaner.run.cluster_scan import STANDARD_OUTPUT

# The exit status that shells report for a program ended by Ctrl+C.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 if it failed, or 130 if it was interrupted.

    The reason of a failure is in the log, or on standard error if the log could not be written.
    """
    chosen = _parser().parse_args(arguments)
    request_id = str(uuid.uuid4())
    try:
        if chosen.command == "restore":
            restore(os.environ, request_id, chosen.repository, chosen.digest)
        elif chosen.command == "scan-cluster":
            scan_cluster(os.environ, request_id, chosen.cluster, chosen.output)
        elif chosen.command == "apply":
            apply(os.environ, request_id, chosen.plan)
        elif chosen.command == "plan":
            return shell.plan(os.environ, request_id, chosen.output, chosen.format)
        elif chosen.command == "explain":
            return shell.explain(os.environ, request_id, chosen.image)
        else:
            run(os.environ, request_id)
    except KeyboardInterrupt:
        return INTERRUPTED
    except LogError as error:
        sys.stderr.write(f"ecr_cleaner: {error}\n")
        # Python flushes the buffer when it ends, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:  # noqa: BLE001 - it has been logged; a traceback is not a JSON line
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ecr_cleaner",
        description="Clean the registry of this account and region once. Settings come from the "
        "environment; without DRY_RUN=false this is a dry run. Exits with 1 if the run failed, "
        "with 2 if the arguments are wrong.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    command = commands.add_parser("restore", help="restore archived images")
    command.add_argument(
        "repository", metavar="REPOSITORY", help="repository name, without the registry host"
    )
    command.add_argument(
        "digest", metavar="DIGEST", nargs="+", type=_digest, help="image digest, sha256:..."
    )
    _add_looks(commands)
    command = commands.add_parser(
        "apply",
        help="remove what a plan removes and a fresh judgement still does; only reports unless "
        "DRY_RUN is false",
    )
    command.add_argument("plan", metavar="PLAN", help="file, or s3://BUCKET/KEY")
    command = commands.add_parser(
        "scan-cluster", help="write the usage document of the Kubernetes cluster that this runs in"
    )
    command.add_argument(
        "--cluster", required=True, help="ARN of an EKS cluster, or any name of another cluster"
    )
    command.add_argument(
        *("--output", "-o"),
        default=STANDARD_OUTPUT,
        type=_output,
        help="s3://BUCKET/KEY.json, or - for standard output (the default)",
    )
    return parser


def _add_looks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that only look: whatever DRY_RUN is, they write nothing to AWS."""
    command = commands.add_parser("plan", help="show what would be removed, and why; only looks")
    command.add_argument(
        *("--output", "-o"),
        default=STANDARD_OUTPUT,
        metavar="FILE",
        help="file to write, or - for standard output (the default)",
    )
    command.add_argument(
        "--format",
        choices=shell.FORMATS,
        help="table; json: the lines of a plan; or html: its page; by default as the name of the "
        "file ends, otherwise table",
    )
    command = commands.add_parser(
        "explain", help="show why an image is kept or removed, and who uses it; only looks"
    )
    command.add_argument(
        "image",
        metavar="IMAGE",
        type=_image,
        help="reference of an image, REPOSITORY:TAG, REPOSITORY@DIGEST or DIGEST",
    )


def _image(text: str) -> shell.Wanted:
    wanted = shell.wanted_image(text)
    if wanted is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a reference of an image, nor REPOSITORY:TAG, REPOSITORY@DIGEST "
            "or a digest"
        )
    return wanted


def _output(text: str) -> str:
    if text != STANDARD_OUTPUT and not re.fullmatch(r"s3://[^/]+/.+\.json", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither s3://BUCKET/KEY.json nor -")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a digest (sha256: and 64 hex digits)")
    return text


if __name__ == "__main__":
    sys.exit(main())
