"""The entry point from a shell: ``python -m ecr_cleaner``."""

from __future__ import annotations

import argparse
import os
import re
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# The exit statuses that shells report for a program ended by Ctrl+C, or by a reader who left.
INTERRUPTED = 130
READER_GONE = 141
_INTERRUPTED_LINE = "ecr_cleaner: interrupted\n"

try:
    from ecr_cleaner import shell
    from ecr_cleaner.core.errors import LogError
    from ecr_cleaner.program import restore, run, scan_cluster
    from ecr_cleaner.run.cluster_scan import STANDARD_OUTPUT
except KeyboardInterrupt:
    # Loading the SDK takes long enough to be interrupted.
    sys.stderr.write(_INTERRUPTED_LINE)
    sys.exit(INTERRUPTED)

if TYPE_CHECKING:
    # Not generic at run time.
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - nothing else names it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 if it failed, 130 if it was interrupted, or 141.

    The reason of a failure is in the log, or on standard error if the log could not be written.
    141: the reader of what it shows, such as ``head``, has enough, which needs no words.
    """
    # Python has None in place of a stream that was closed before it started, as by a scheduler.
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - open to the end
    chosen = _parser().parse_args(arguments)
    if sys.stdout is None:
        sys.stderr.write("ecr_cleaner: standard output is closed; redirect it, such as to a file\n")
        return 1
    try:
        return _run(chosen, str(uuid.uuid4()))
    except KeyboardInterrupt:
        sys.stderr.write(_INTERRUPTED_LINE)
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    except LogError as error:
        sys.stderr.write(f"ecr_cleaner: {error}\n")
        _drop_output()
        return 1
    except Exception:  # noqa: BLE001 - it has been logged; a traceback is not a JSON line
        return 1


def _drop_output() -> None:
    """Write nothing more: Python flushes the buffer when it ends, which would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(chosen: argparse.Namespace, request_id: str) -> int:
    """Run the command; return the exit status, or raise an error that has been logged."""
    if chosen.command == "apply":
        return shell.apply(os.environ, request_id, chosen.plan)
    if chosen.command == "plan":
        return shell.plan(os.environ, request_id, chosen.output, chosen.format)
    if chosen.command == "explain":
        return shell.explain(os.environ, request_id, chosen.image)
    if chosen.command == "restore":
        restore(os.environ, request_id, chosen.repository, chosen.digest)
    elif chosen.command == "scan-cluster":
        scan_cluster(os.environ, request_id, chosen.cluster, chosen.output)
    else:
        run(os.environ, request_id)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ecr_cleaner",
        description="Clean the registry of this account and region once. Settings come from the\n"
        "environment; without DRY_RUN=false this is a dry run. Exits with 1 if the run failed,\n"
        "with 2 if the arguments are wrong.",
        epilog=_example(
            "AWS_REGION=eu-west-1 python -m ecr_cleaner",
            "AWS_REGION=eu-west-1 python -m ecr_cleaner plan",
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    command = _command(
        commands,
        "restore",
        "restore archived images",
        f"python -m ecr_cleaner restore team/app sha256:{'0123456789abcdef' * 4}",
    )
    command.add_argument(
        "repository", metavar="REPOSITORY", help="repository name, without the registry host"
    )
    command.add_argument(
        "digest", metavar="DIGEST", nargs="+", type=_digest, help="image digest, sha256:..."
    )
    _add_looks(commands)
    command = _command(
        commands,
        "apply",
        "remove what a plan removes and a fresh judgement still does; only reports unless "
        "DRY_RUN is false",
        "python -m ecr_cleaner apply plan.jsonl",
        "DRY_RUN=false python -m ecr_cleaner apply plan.jsonl > apply.log",
    )
    command.add_argument("plan", metavar="PLAN", help="file, or s3://BUCKET/KEY")
    command = _command(
        commands,
        "scan-cluster",
        "write the usage document of the Kubernetes cluster that this runs in",
        "python -m ecr_cleaner scan-cluster --cluster k3s -o s3://BUCKET/clusters/k3s.json",
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


def _command(commands: _Commands, name: str, what: str, *examples: str) -> argparse.ArgumentParser:
    """Add a command whose help says what it does, with examples."""
    return commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=_example(*examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _example(*lines: str) -> str:
    title = "example" if len(lines) == 1 else "examples"
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])


def _add_looks(commands: _Commands) -> None:
    """Add the commands that only look: whatever DRY_RUN is, they write nothing to AWS."""
    command = _command(
        commands,
        "plan",
        "show what would be removed, and why; only looks",
        "python -m ecr_cleaner plan",
        "python -m ecr_cleaner plan --output plan.html",
        "python -m ecr_cleaner plan --output plan.jsonl",
    )
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
    command = _command(
        commands,
        "explain",
        "show why an image is kept or removed, and who uses it; only looks",
        "python -m ecr_cleaner explain team/app:v1",
    )
    command.add_argument(
        "image",
        metavar="IMAGE",
        type=_image,
        help="reference of an image, REPOSITORY:TAG, REPOSITORY@DIGEST or DIGEST; of a digest, its "
        "first 12 hexadecimal digits are enough",
    )


def _image(text: str) -> shell.Wanted:
    wanted = shell.wanted_image(text)
    if wanted is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a reference of an image, nor REPOSITORY:TAG, REPOSITORY@DIGEST "
            "or a digest (sha256: and 64 hex digits, or the first 12 or more of them)"
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
