"""What CloudFormation makes of a template: moto's needs packages that are no requirements here.

Only the functions that our template has; any other is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": None,
}
CALLED: dict[str, Callable[..., Any]] = {
    "Fn::Equals": lambda one, other: one == other,
    "Fn::Join": lambda separator, parts: separator.join(parts),
    "Fn::Not": lambda one: not one,
    "Fn::Or": lambda *all_of_them: any(all_of_them),
}


class Stack:
    """A template with the values of its parameters."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._template = template
        self._values: dict[str, Any] = dict(PSEUDO_PARAMETERS)
        declared: dict[str, Any] = template["Parameters"]
        assert parameters.keys() <= declared.keys()
        for name, one in declared.items():
            self._values[name] = _value(name, one, parameters.get(name, one.get("Default")))

    def properties(self, resource: str) -> dict[str, Any]:
        """Return the properties of a resource."""
        return dict(self._evaluated(self._template["Resources"][resource]["Properties"]))

    def _evaluated(self, value: Any) -> Any:
        """Return the value of a part of the template; None stands for no value."""
        if isinstance(value, list):
            return [one for one in map(self._evaluated, value) if one is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in {"Ref", "Fn::Sub", "Fn::If", *CALLED} or isinstance(argument, str):
                return self._call(name, argument)
        assert not any(name.startswith("Fn::") for name in value), value
        found = {name: self._evaluated(one) for name, one in value.items()}
        return {name: one for name, one in found.items() if one is not None}

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._values[argument]
            case "Condition":
                return self._holds(argument)
            case "Fn::Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda found: self._values[found[1]], argument)
            case "Fn::If":
                condition, then, otherwise = argument
                return self._evaluated(then if self._holds(condition) else otherwise)
            case _ if name in CALLED:
                return CALLED[name](*self._evaluated(argument))
        return {name: argument}

    def _holds(self, condition: str) -> bool:
        return bool(self._evaluated(self._template["Conditions"][condition]))


def _value(name: str, declared: Mapping[str, Any], text: str | None) -> Any:
    assert text is not None, f"{name} has no value"
    is_list = declared["Type"] == "CommaDelimitedList"
    parts = text.split(",") if is_list else [text]
    pattern = declared.get("AllowedPattern", ".*")
    assert all(re.fullmatch(pattern, part) for part in parts), (name, text)
    return parts if is_list else text
