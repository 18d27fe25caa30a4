"""Text with computed parts: what is written stays, each part that is computed becomes a HOLE. Pure.

No regular expression here backtracks: all repetitions are possessive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

# Stands for a part that is computed.
HOLE = "\x00"

# How deep expressions are nested before the rest is taken for computed.
_DEEPEST = 30

_INTRINSIC = "States."
_INTRINSIC_TOKENS = re.compile(
    r"'(?P<literal>(?:[^'\\]|\\.)*+)'"
    r"|\s*+(?P<call>[A-Za-z.]*+)\("
    r"|(?P<close>\))"
    r"|(?P<comma>,)"
    r"|(?P<other>[^'(),]++)",
    re.DOTALL,
)
_FORMAT_HOLE = re.compile(r"(?<!\\)\{\}")

_ESCAPES = (
    *(("\\/", "/"), ("\\u002f", "/"), ("\\u002F", "/")),
    *(('\\"', '"'), ("\\'", "'"), ("\\n", "\n"), ("\\t", "\t")),
)

_LITERAL = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_CONCATENATION = re.compile(r"[\"']\)*+\s*+[&+](?!&)|(?<!&)[&+]\s*+\(*+[\"']")
_CALL = re.compile(r"\$\w++\s*+\(")
_TRANSPARENT = " \t\r\n()"

# The placeholders of shells, CloudFormation, Python, Terraform, Helm, EventBridge, Windows,
# PowerShell and C.
_PLACEHOLDER = re.compile(
    r"\$\{\{[^{}]*+\}\}|\$\{[^{}]*+\}|#\{[^{}]*+\}|\{\{\{?[^{}]*+\}\}\}?|\{[\w.:!\x00-]*+\}"
    r"|\$\([^()]*+\)|`[^`]*+`"
    r"|<[\w.:$\x00 -]++>"
    r"|\$(?:[Ee][Nn][Vv]|global|script|using):\w++|\$[A-Za-z_]\w*+|\$[0-9@*#?]"
    r"|%\(\w++\)s|%[A-Za-z_]\w*+%|%s|%d(?![0-9A-Fa-f])",
    re.ASCII,
)


def written(text: str) -> str:
    """Return a string from outside without the character that means computed here."""
    return text.replace(HOLE, "") if HOLE in text else text


def templates(text: str) -> Iterator[str]:
    """Yield what a string says, computed parts as HOLEs: one text, or each part of an expression.

    What stands inside of a placeholder (a default, a command) is a text of its own.
    """
    if text.lstrip().startswith(_INTRINSIC):
        parts = _of_intrinsic(text)
    elif text.lstrip().startswith("{%") or _CONCATENATION.search(text):
        parts = _of_expression(text)
    else:
        parts = iter([text])
    for part in parts:
        yield from _with_holes(_unescaped(part))


def _unescaped(text: str) -> str:
    """Undo the escapes that JSON and shells leave before or behind a reference."""
    if "\\" not in text:
        return text
    for escaped, plain in _ESCAPES:
        text = text.replace(escaped, plain)
    return text


def _with_holes(text: str) -> Iterator[str]:
    inside: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        inside.append(match[0][1:-1])
        return HOLE

    for _ in range(_DEEPEST):
        text, count = _PLACEHOLDER.subn(replaced, text)
        if not count:
            break
    yield text
    for one in inside:
        if "dkr" in one.lower():
            # It may have placeholders of other kinds itself. No kind holds its own brackets, so
            # this ends after as many levels as there are kinds.
            yield from _with_holes(one)


# -- Step Functions' intrinsic functions --------------------------------------------------------


def _of_intrinsic(text: str) -> Iterator[str]:
    """Evaluate ``States.Format``; what any other function returns is computed.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
    """
    calls: list[tuple[str, list[list[str]]]] = [("", [[]])]
    for token in _INTRINSIC_TOKENS.finditer(text):
        arguments = calls[-1][1]
        if token.lastgroup == "call":
            calls.append((token["call"], [[]]))
        elif token.lastgroup == "comma":
            arguments.append([])
        elif token.lastgroup == "close" and len(calls) > 1:
            name, given = calls.pop()
            values = ["".join(parts) for parts in given]
            calls[-1][1][-1].append(_result(name, values) if len(calls) < _DEEPEST else HOLE)
            if name != "States.Format":
                yield from values
        elif token.lastgroup == "literal":
            arguments[-1].append(token["literal"])
        elif token.lastgroup == "other" and token["other"].strip():
            arguments[-1].append(HOLE)
    for _, given in calls:
        yield from ("".join(parts) for parts in given)


def _result(name: str, arguments: list[str]) -> str:
    if name != "States.Format":
        return HOLE
    first, *pieces = _FORMAT_HOLE.split(arguments[0])
    values = [*arguments[1:], *[HOLE] * len(pieces)]
    filled = "".join(value + piece for value, piece in zip(values, pieces, strict=False))
    return (first + filled).replace("\\{", "{").replace("\\}", "}")


# -- JSONata, and concatenations in other languages ---------------------------------------------


def _of_expression(text: str) -> Iterator[str]:
    """Join the literals that ``&`` or ``+`` connects; what stands between them is computed.

    What a function makes of a literal is computed too, so a HOLE follows it.
    """
    doubt = HOLE if _CALL.search(text) else ""
    chain: list[str] = []
    end = 0
    for literal in _LITERAL.finditer(text):
        gap = text[end : literal.start()]
        operators = gap.strip(_TRANSPARENT)
        if not (chain and _is_operator(operators[:2])):
            yield "".join(chain) + doubt
            chain = []
        elif operators not in {"&", "+"}:
            chain.append(HOLE)
            if not _is_operator(operators[-2:][::-1]):
                yield "".join(chain)
                chain = []
        if not chain and _is_operator(operators[-2:][::-1]):
            chain.append(HOLE)
        chain.append(literal[1] or literal[2] or "")
        yield gap
        end = literal.end()
    rest = text[end:]
    if _is_operator(rest.strip(_TRANSPARENT)[:2]):
        chain.append(HOLE)
    yield "".join(chain) + doubt
    yield rest


def _is_operator(signs: str) -> bool:
    """Return whether this begins with ``&`` or ``+``; ``&&`` belongs to a shell."""
    return signs[:1] in {"&", "+"} and signs != "&&"


# -- Joins of objects ---------------------------------------------------------------------------


def joined(node: object, computed: list[object], depth: int = 0) -> str:
    """Return the text of a node of ``Std:Join`` or ``Fn::Join``; collect what is computed in it."""
    if isinstance(node, str):
        return written(node)
    if isinstance(node, int):
        return str(node)
    if isinstance(node, dict) and len(node) == 1 and depth < _DEEPEST:
        ((name, value),) = node.items()
        if name == "Std:Join" and isinstance(value, dict):
            return _join(value.get("On", ""), value.get("Values"), computed, depth)
        if name == "Fn::Join" and isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 - a separator and a list
            return _join(value[0], value[1], computed, depth)
        if name == "Fn::Sub":
            text, *values = value if isinstance(value, list) and value else [value]
            computed += values
            return joined(text, computed, _DEEPEST)
    computed.append(node)
    return HOLE


def is_join(node: Mapping[str, object]) -> bool:
    """Return whether this object stands for the text that ``joined`` makes of it."""
    return len(node) == 1 and not {"Std:Join", "Fn::Join"}.isdisjoint(node)


def _join(separator: object, values: object, computed: list[object], depth: int) -> str:
    between = separator if isinstance(separator, str) else HOLE
    if not isinstance(values, list):
        computed.append(values)
        return HOLE
    return between.join(joined(value, computed, depth + 1) for value in values)
