"""The tables of what is scanned are those of the code."""

from __future__ import annotations

from scanned_docs import README, not_scanned, scanned, with_tables


def test_tables_are_current() -> None:
    text = README.read_text()

    assert with_tables(text) == text, (
        "run: PYTHONPATH=lambda_src:tests python tests/scanned_docs.py"
    )


def test_no_cell_breaks_its_table() -> None:
    assert {line.count(" | ") for line in scanned().splitlines()[2:]} == {2}
    assert {line.count(" | ") for line in not_scanned().splitlines()[2:]} == {1}
