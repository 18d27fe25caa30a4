"""Writes the tables of variables and outputs into the modules' READMEs, from the modules' files.

Run it after a change of either; a test tells where that was forgotten:

    python tests/terraform_docs.py

It reads HCL in the form that `terraform fmt` gives it: each attribute that counts on a line of its
own, but for descriptions, which may be heredocs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from marked import between_marks

MODULE = Path(__file__).resolve().parent.parent / "terraform"
SCAN_ROLE = MODULE / "modules" / "scan-role"
MODULES = (MODULE, SCAN_ROLE)

BLOCK = re.compile(
    r'^(?:# (?P<heading>[^\n]+)\n\n)?(?:variable|output) "(?P<name>\w+)" \{\n(?P<body>.*?)^\}$',
    re.MULTILINE | re.DOTALL,
)
ATTRIBUTE = re.compile(
    r"^  (?P<name>\w+) += (?:<<-EOT\n(?P<heredoc>.*?)^ *EOT$|(?P<value>[^\n]+)$)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A variable or an output; ``heading`` is the comment above the first of several."""

    name: str
    heading: str | None
    attributes: dict[str, str]

    @property
    def description(self) -> str:
        """What it is, for a cell of a table."""
        return " ".join(self.attributes["description"].split()).replace("|", "\\|")

    @property
    def default(self) -> str:
        """What it is if it is not given."""
        return f"`{self.attributes['default']}`" if "default" in self.attributes else "required"


def blocks(file: Path) -> Iterator[Block]:
    """Yield every variable or output of a file, in its order."""
    for match in BLOCK.finditer(file.read_text()):
        yield Block(match["name"], match["heading"], attributes(match["body"]))


def attributes(body: str) -> dict[str, str]:
    """Return the attributes of a block, strings without their quotation marks."""
    found = {}
    for match in ATTRIBUTE.finditer(body):
        value = dedent(match["heredoc"]) if match["heredoc"] else match["value"]
        if match["name"] == "description":
            value = value.removeprefix('"').removesuffix('"').replace('\\"', '"')
        found[match["name"]] = value
    return found


def variables(module: Path) -> str:
    """Return the variables, one table under each heading."""
    lines = []
    for one in blocks(module / "variables.tf"):
        if one.heading:
            lines += ["", f"### {one.heading}", "", "| name | description | type | default |"]
            lines += ["| --- | --- | --- | --- |"]
        kind = one.attributes["type"]
        lines += [f"| `{one.name}` | {one.description} | `{kind}` | {one.default} |"]
    return "\n".join(lines).strip()


def outputs(module: Path) -> str:
    """Return the outputs as one table."""
    lines = ["| name | description |", "| --- | --- |"]
    lines += [f"| `{one.name}` | {one.description} |" for one in blocks(module / "outputs.tf")]
    return "\n".join(lines)


def with_tables(text: str, module: Path) -> str:
    """Return the README with what stands between each pair of marks written anew."""
    return between_marks(text, variables=variables(module), outputs=outputs(module))


if __name__ == "__main__":
    for path in MODULES:
        readme = path / "README.md"
        readme.write_text(with_tables(readme.read_text(), path))
