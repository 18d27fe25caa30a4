"""The tables of the modules' READMEs are those of their variables and outputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import terraform_docs
from terraform_docs import MODULE, MODULES, attributes, blocks, with_tables

NAMES = [module.name for module in MODULES]


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_tables_are_current(module: Path) -> None:
    text = (module / "README.md").read_text()

    assert with_tables(text, module) == text, "run: python tests/terraform_docs.py"


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
@pytest.mark.parametrize(("file", "kind"), [("variables", "variable"), ("outputs", "output")])
def test_nothing_is_left_out(module: Path, file: str, kind: str) -> None:
    declared = re.findall(rf'{kind} "(\w+)"', (module / f"{file}.tf").read_text())
    readme = (module / "README.md").read_text()

    assert [block.name for block in blocks(module / f"{file}.tf")] == declared
    assert all(f"| `{name}` |" in readme for name in declared)


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_every_variable_has_a_type_and_a_sentence(module: Path) -> None:
    for block in blocks(module / "variables.tf"):
        assert "type" in block.attributes, block.name
        assert block.description.endswith("."), block.name


def test_cells_hold_what_a_table_would_take_apart() -> None:
    body = '  description = "One | \\"two\\"."\n  type        = list(string)\n  default     = []\n'

    assert attributes(body) == {
        "description": 'One | "two".',
        "type": "list(string)",
        "default": "[]",
    }
    block = terraform_docs.Block("x", None, attributes(body))
    assert (block.description, block.default) == ('One \\| "two".', "`[]`")


def test_heredoc_is_one_sentence_after_the_other() -> None:
    body = "  description = <<-EOT\n    One.\n    Two.\n  EOT\n  type        = any\n"

    assert terraform_docs.Block("x", None, attributes(body)).description == "One. Two."


def test_readme_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="begin variables"):
        with_tables("# A README\n", MODULE)
