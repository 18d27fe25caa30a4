"""Answers made from the SDK's models, with a reference of its own in each string field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from fakes.scripted import HOST

# Of shapes that contain themselves, this many turns.
DEEPEST = 12


class Filler:
    """Fills shapes; ``repositories`` are those that the strings so far refer to."""

    def __init__(self, deepest: int = DEEPEST) -> None:
        self.repositories: list[str] = []
        self._deepest = deepest

    def reference(self, least: int = 0) -> str:
        """Return a reference to a repository that no other string refers to, not too short."""
        self.repositories.append(f"field-{len(self.repositories)}".ljust(least, "x"))
        return f"{HOST}/{self.repositories[-1]}:v1"

    def fill(self, shape: Any, leave_out: frozenset[str] = frozenset(), depth: int = 0) -> Any:
        """Return an answer of this shape: each list with one item, each member set."""
        kind = shape.type_name
        least = shape.metadata.get("min", 0)
        if kind == "string":
            return self.reference(int(least))
        if kind == "blob":
            return self.reference().encode()
        if kind == "structure":
            return dict(self._members(shape, leave_out, depth))
        if kind == "list":
            count = least if depth > self._deepest else max(1, least)
            return [self.fill(shape.member, depth=depth + 1) for _ in range(count)]
        if kind == "map":
            return {} if depth > self._deepest else {"key": self.fill(shape.value, depth=depth + 1)}
        others = {"boolean": False, "timestamp": datetime.fromtimestamp(0, UTC)}
        return others.get(kind, max(1, least))

    def _members(
        self, shape: Any, leave_out: frozenset[str], depth: int
    ) -> Iterator[tuple[str, Any]]:
        members = {name: one for name, one in shape.members.items() if name not in leave_out}
        if depth > self._deepest:
            members = {name: members[name] for name in shape.required_members if name in members}
        if getattr(shape, "is_document_type", False):
            members = {}
        if getattr(shape, "is_tagged_union", False):
            members = dict(list(members.items())[:1])
        for name, member in members.items():
            yield name, self.fill(member, depth=depth + 1)
