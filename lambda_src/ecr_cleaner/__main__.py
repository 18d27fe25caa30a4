"""The entry point from a shell: ``python -m ecr_cleaner``."""

from __future__ import annotations

import os
import sys
import uuid

from ecr_cleaner.program import run


def main() -> int:
    """Run once; return 0, or 1 where the run failed, which is in the log by then."""
    try:
        run(os.environ, request_id=str(uuid.uuid4()))
    except Exception:  # noqa: BLE001 - run() has logged it; a traceback is no JSON line
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
