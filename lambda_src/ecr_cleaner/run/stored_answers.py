"""Answers of AWS that never change, read before the first scan and written after each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.answer_cache import AnswerCache
from ecr_cleaner.core.errors import CleanerError, text_of
from ecr_cleaner.core.ledger import day_of
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.report.run_report import RunReport
from ecr_cleaner.run.memory import LedgerStore, store_at
from ecr_cleaner.usage.shared.known_answers import KnownAnswers

# Beside the ledger. The module allows the function to read and write it.
SUFFIX = ".answers"

_PACKAGE = Path(__file__).resolve().parents[1]


class StoredAnswers:
    """What is known from the scans of earlier runs, beside the ledger; nothing without one.

    It only saves calls, so no failure here ends a run: what is not known is asked for. Not
    thread-safe: scans are made one after the other.
    """

    def __init__(self, aws: Aws, settings: Settings, report: RunReport) -> None:
        self._aws = aws
        self._where = settings.ledger and settings.ledger + SUFFIX
        self._report = report
        self._version: str | None = None
        self._answers: KnownAnswers | None = None

    @contextmanager
    def used(self) -> Iterator[KnownAnswers]:
        """Hand out what is known, and store what is known afterwards if the scan ends well."""
        if self._where is None:
            yield KnownAnswers()
            return
        store = store_at(self._aws, self._where)
        if self._answers is None:
            self._answers = self._read(store)
        yield self._answers
        self._write(store, self._answers)

    def _read(self, store: LedgerStore) -> KnownAnswers:
        today = day_of(self._aws.deadline.now())
        program = ""
        try:
            program = program_version()
            found = store.read()
            if found is None:
                return KnownAnswers(AnswerCache(program, today))
            # A cache that cannot be understood is written over.
            self._version = found[1]
            cache = AnswerCache.read(found[0], program, today)
        except Exception as error:  # noqa: BLE001 - no judgement depends on it
            self._report.answers_failed(store.where, _problem(error))
            return KnownAnswers(AnswerCache(program, today) if self._version else None)
        self._report.answers_known(store.where, len(cache), cache.damaged)
        return KnownAnswers(cache)

    def _write(self, store: LedgerStore, answers: KnownAnswers) -> None:
        """Write over what was read, unless another run did: then its answers stay."""
        try:
            content = answers.changed()
            if content is not None:
                self._version = store.write(content, self._version) or self._version
        except Exception as error:  # noqa: BLE001 - no judgement depends on it
            self._report.answers_failed(store.where, _problem(error))


def program_version() -> str:
    """Return what changes with the program and with the SDK, which decide what is found.

    Raise CleanerError if the files of the program cannot be seen.
    """
    files = sorted(_PACKAGE.rglob("*.py"))
    if not files:
        raise CleanerError("the version of the program is unknown")
    hashed = hashlib.sha256(version("botocore").encode())
    for file in files:
        content = file.read_bytes()
        hashed.update(f"\n{file.relative_to(_PACKAGE)} {len(content)}\n".encode())
        hashed.update(content)
    return hashed.hexdigest()


def _problem(error: Exception) -> str:
    problem = text_of(error)
    return f"{problem}; what would be known from it is asked for"
