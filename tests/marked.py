"""Generated tables in documents, each between two marks."""

from __future__ import annotations


def between_marks(text: str, **tables: str) -> str:
    """Return the text with each table between the marks of its name; raise if these are missing."""
    for key, table in tables.items():
        name = key.replace("_", " ")
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"there are no lines {begin.strip()} and {end.strip()}")
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    return text
