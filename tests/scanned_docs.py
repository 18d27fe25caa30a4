"""Writes the tables of what is scanned, and of what is not, into README.md.

Run it after a change of a source or of its permissions; a test fails if that was forgotten:

    PYTHONPATH=lambda_src:tests python tests/scanned_docs.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.sources import sources_for
from image_fields import PERMISSIONS, reviewed
from marked import between_marks

README = Path(__file__).resolve().parent.parent / "README.md"


def scanned() -> str:
    """Return the table of the sources, in the order of the program."""
    permissions = json.loads(PERMISSIONS.read_text())
    actions = permissions["usage"] | permissions["optional"]
    lines = ["| source | what counts as a use | permissions |", "| --- | --- | --- |"]
    settings = Settings(
        inspector_coverage=True,
        reference_lists=("ssm:list",),
        cluster_documents=("s3://bucket/",),
    )
    sources: tuple[Any, ...] = sources_for(settings)
    for source in sources:
        listed = ", ".join(f"`{action}`" for action in actions[source.name])
        lines.append(f"| `{source.name}` | {source.what} | {listed} |")
    return "\n".join(lines)


def not_scanned() -> str:
    """Return the table of what is not scanned, and why."""
    lines = ["| service | not scanned, and why |", "| --- | --- |"]
    lines += [f"| {service} | {'; '.join(reasons)} |" for service, reasons in reviewed().items()]
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """Return the README with the text between each pair of marks replaced."""
    return between_marks(text, scanned=scanned(), not_scanned=not_scanned())


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
