"""Names and values that belong together: in lists of them, and in lines of a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

# The names and values of an object, of a list or of lines of a text: a name may stand twice.
Fields = Collection[tuple[str, Any]]

# How AWS, Kubernetes, Helm and Tekton call the two in lists such as environment variables.
_NAMES = ("name", "Name", "key", "Key", "ParameterKey")
_VALUES = ("value", "Value", "value.$", "Value.$", "ParameterValue", "default", "DefaultValue")

# The begin of a line of YAML, also of an item of a list.
_INDENT = re.compile(r"[ \t]*+(?P<item>- *+)?")
# YAML, JSON, XML, HCL, properties, flags, and assignments of a shell; also without a value. A value
# ends before any bracket but those of a computed part.
_PAIR = re.compile(
    r"(?<![\w.$/@-])(?<!\$\{)(?P<key>[\w.-]++)[\"']? *+[:?+]?[:=>] *+[\"']?"
    r"(?P<value>(?:[^\s\"'#,;|&<>{}\[\]()]++|\{\{[^{}]*+\}\}"
    r"|(?<=\$)(?:\{[^{}]*+\}|\([^()]*+\))|(?<=\w[.:_-])<[\w.:$ -]++>)*+)",
    re.ASCII,
)


def of_list(items: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return the fields that a list holds: ``{name: A, value: B}``, ``A=B``, or ``--a`` and ``B``.

    Items of other kinds are left out.
    """
    fields: list[tuple[str, Any]] = []
    flag = ""
    for item in items:
        if isinstance(item, Mapping):
            fields += _of_item(item)
        elif isinstance(item, str):
            fields += [(flag, item)] if flag else _pairs(item)
            flag = item if item.startswith("-") and "=" not in item else ""
    return fields


def _of_item(item: Mapping[str, Any]) -> list[tuple[str, Any]]:
    name = next((item[one] for one in _NAMES if one in item), None)
    if not isinstance(name, str):
        return []
    return [(name, item[one]) for one in _VALUES if one in item]


def of_items(mappings: Iterable[Fields]) -> list[tuple[str, Any]]:
    """Return the fields that lists in a text hold: ``name: A`` and ``value: B`` in one mapping."""
    found: list[tuple[str, Any]] = []
    for fields in mappings:
        name = None
        for key, value in fields:
            if key in _NAMES:
                name = value
            elif key in _VALUES and name:
                found.append((name, value))
    return found


def of_text(text: str) -> Iterator[list[tuple[str, Any]]]:
    """Yield the fields of lines with the same indent, as far as they belong together."""
    waiting: list[tuple[int, list[tuple[str, Any]]]] = []
    for line in text.splitlines():
        pairs = _pairs(line)
        begin = _INDENT.match(line)
        if not pairs or not begin:
            continue
        indent = begin.end()
        # An item of a list ends the one before, which has the same indent.
        least = indent - 1 if begin["item"] else indent
        while waiting and waiting[-1][0] > least:
            yield waiting.pop()[1]
        if not waiting or waiting[-1][0] < indent:
            waiting.append((indent, []))
        waiting[-1][1].extend(pairs)
    yield from (fields for _, fields in waiting)


def _pairs(text: str) -> list[tuple[str, Any]]:
    return [(pair["key"], pair["value"]) for pair in _PAIR.finditer(text)]
