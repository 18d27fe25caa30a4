"""What the name of a field says about the string in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ecr_cleaner.core.apart import may_be_place


@dataclass(frozen=True, slots=True)
class FieldName:
    """What the name of a field says about the string in it."""

    names_task_definition: bool
    is_repository_prefix: bool
    is_image: bool
    may_be_place: bool
    pins: str | None

    @property
    def is_special(self) -> bool:
        return self.names_task_definition or self.is_repository_prefix


@lru_cache(4096)
def field_name(key: str) -> FieldName:
    """Understand a name; the SDK writes ``imageUri``, an environment variable is in capitals.

    ``pins`` is what a digest belongs to: ``image`` for ``imageDigest`` or ``resolvedImageDigest``.
    """
    name = key.lower().removesuffix(".$").replace("_", "")
    is_image = not name or "image" in name or name.endswith("uri")
    stem = name.removesuffix("digest").removeprefix("resolved")
    return FieldName(
        names_task_definition=name in {"taskdefinition", "taskdefinitionarn"},
        is_repository_prefix=name == "ecrrepositoryprefix",
        is_image=is_image and "repo" not in name and not key.isupper(),
        may_be_place=may_be_place(key),
        pins=stem if name.endswith("digest") else None,
    )
