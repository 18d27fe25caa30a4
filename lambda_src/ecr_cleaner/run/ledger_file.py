"""The ledger in a local file, for runs from a shell."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LedgerFile:
    """Stores a ledger in a file; a version is the hash of the content."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._path = Path(where)

    def read(self) -> tuple[bytes, str] | None:
        """Return the content and its version; None if there is no such file."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return content, _version(content)

    def write(self, content: bytes, version: str | None) -> str | None:
        """Write over this version and return the new one; None if it is not the current one.

        Version None means that there is no file.
        """
        with self._locked():
            current = self.read()
            if (current and current[1]) != version:
                return None
            # Renamed, so that the file is never there in part.
            unfinished = self._path.with_name(f"{self._path.name}.new")
            unfinished.write_bytes(content)
            unfinished.replace(self._path)
        return _version(content)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other process write between our reading and our writing."""
        with self._path.with_name(f"{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
