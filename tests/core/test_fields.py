"""Names and values that belong together, in lists and in lines of a text."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.fields import of_items, of_list, of_text


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"name": "A", "value": "x"}, {"name": "B", "value": "y"}], [("A", "x"), ("B", "y")]),
        ([{"Name": "A", "Value.$": "$.x"}], [("A", "$.x")]),
        ([{"ParameterKey": "A", "ParameterValue": "x"}], [("A", "x")]),
        ([{"key": "A", "value": 7}], [("A", 7)]),
        ([{"name": "A", "type": "string", "default": "x"}], [("A", "x")]),
        ([{"name": "A", "default": "x", "value": "y"}], [("A", "y"), ("A", "x")]),
        (["A=x", "B=y"], [("A", "x"), ("B", "y")]),
        (["--a", "x", "--b=y", "-c", "z"], [("--a", "x"), ("--b", "y"), ("-c", "z")]),
        (["run", "--a"], []),
        ([{"name": 7, "value": "x"}, {"value": "x"}, {"name": "A"}, 7, None, ["A=x"]], []),
    ],
)
def test_list_of_names_and_values_is_read(items: list[Any], expected: list[Any]) -> None:
    assert of_list(items) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a: x", [("a", "x")]),
        ("a:", [("a", "")]),
        ("a = 'x'  # why", [("a", "x")]),
        ("export A=x", [("A", "x")]),
        ("A ?= x", [("A", "x")]),
        ("A=x; B=y && run $A/$B:v1 ${A}:v2", [("A", "x"), ("B", "y")]),
        ("run --a=x --set b.c=y,b.d=z", [("--a", "x"), ("b.c", "y"), ("b.d", "z")]),
        ('{"a": "x", "b":"y"}', [("a", "x"), ("b", "y")]),
        ("a: {b: x, c: y}", [("a", ""), ("b", "x"), ("c", "y")]),
        ("<a><b>x</b><c>y</c></a>", [("a", ""), ("b", "x"), ("c", "y")]),
        ("a: https://x/y:1", [("a", "https://x/y:1")]),
        # What is computed is a part of the value.
        ("a: {{ .x }}-1", [("a", "{{ .x }}-1")]),
        ("a: ${x}/b:$(c d)", [("a", "${x}/b:$(c d)")]),
        ("a: v1-<x>", [("a", "v1-<x>")]),
        ("nothing", []),
        ("(a)=x", []),
    ],
)
def test_names_and_values_of_a_line_are_read(line: str, expected: list[Any]) -> None:
    assert list(of_text(line)) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2", [["a", "b"]]),
        ("a:\n  b: 1\nc: 2", [["b"], ["a", "c"]]),
        ("a:\n  b: 1\nc:\n  d: 2", [["b"], ["a", "c"], ["d"]]),
        ("- a: 1\n  b: 2\n- c: 3", [["a", "b"], ["c"]]),
        ("a: 1\n\n# b\nc: 2", [["a", "c"]]),
        ("\ta=1\r\n\tb=2\r\n", [["a", "b"]]),
    ],
)
def test_lines_with_the_same_indent_belong_together(text: str, expected: list[Any]) -> None:
    assert [[name for name, _ in fields] for fields in of_text(text)] == expected


@pytest.mark.parametrize(
    ("mappings", "expected"),
    [
        ([[("name", "A"), ("value", "x")], [("name", "B"), ("value", "y")]], ["A=x", "B=y"]),
        ([[("name", "A"), ("value", "x"), ("name", "B"), ("value", "y")]], ["A=x", "B=y"]),
        ([[("value", "x"), ("other", "y")], [("name", "A")], [("value", "z")]], []),
    ],
)
def test_names_and_values_in_a_text_are_found(mappings: Any, expected: list[str]) -> None:
    assert [f"{name}={value}" for name, value in of_items(mappings)] == expected
