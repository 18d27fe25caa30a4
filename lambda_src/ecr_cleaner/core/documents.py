"""What the JSON documents of this program have in common, such as times and references. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import (
    Guard,
    ImageReference,
    ReferencePattern,
    Registry,
    StandingGuard,
)

Reference = ImageReference | ReferencePattern

# What reading a text that is not such a document may raise.
MALFORMED = (AttributeError, LookupError, RecursionError, TypeError, ValueError)

# Clocks differ. What is from further in the future has a wrong time.
_CLOCK_SKEW = timedelta(minutes=5)

# The fields of a reference, in the order in which they are written; the last two if they are true.
REFERENCE_FIELDS = ("account", "region", "repository", "tag", "digest", "computed", "charts")


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object of a JSON text; raise one of ``MALFORMED`` if it holds anything else."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return found


def of_type(kind: type | tuple[type, ...], value: Any, name: str = "an entry") -> Any:
    """Return the value if it is of the type; raise TypeError otherwise."""
    # bool is an int to Python.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        allowed = " or ".join(
            one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,))
        )
        raise TypeError(f"{name} is {value!r}, not of type {allowed}")
    return value


def optional(kind: type, value: Any) -> Any:
    """Return the value if it is of the type or None; raise TypeError otherwise."""
    return None if value is None else of_type(kind, value)


def strings(value: Any, name: str = "an entry") -> tuple[str, ...]:
    """Return a list of strings; raise TypeError if it is anything else."""
    return tuple(of_type(str, one) for one in of_type(list, value, name))


def time_from(value: Any) -> datetime:
    """Return a time; raise TypeError or ValueError if it is not one with a zone."""
    time = datetime.fromisoformat(of_type(str, value, "the time"))
    if time.tzinfo is None:
        raise ValueError(f"the time {value} has no zone")
    return time


def is_in_future(time: datetime, now: datetime) -> bool:
    """Return whether a time is so far in the future that a clock was wrong."""
    return time - now > _CLOCK_SKEW


def minutes(duration: timedelta) -> int:
    """Return the full minutes of a duration."""
    return int(duration.total_seconds() // 60)


def reference_fields(reference: Reference) -> dict[str, str | bool | None]:
    """Return the fields of a reference; a pattern is marked as ``computed``."""
    is_pattern = isinstance(reference, ReferencePattern)
    charts = isinstance(reference, ReferencePattern) and reference.charts
    where = reference if isinstance(reference, ReferencePattern) else reference.registry
    return {
        "account": where.account,
        "region": where.region,
        "repository": reference.repository,
        "tag": reference.tag,
        "digest": reference.digest,
        **({"computed": True} if is_pattern else {}),
        **({"charts": True} if charts else {}),
    }


def reference_from(fields: Mapping[str, Any]) -> Reference:
    """Return the reference of such fields; raise TypeError, ValueError or KeyError for others."""
    repository = of_type(str, fields["repository"])
    tag, digest = optional(str, fields["tag"]), optional(str, fields["digest"])
    if of_type(bool, fields.get("computed", False)):
        account, region = optional(str, fields["account"]), optional(str, fields["region"])
        charts = of_type(bool, fields.get("charts", False))
        return ReferencePattern(repository, account, region, tag, digest, charts)
    registry = Registry(of_type(str, fields["account"]), of_type(str, fields["region"]))
    return ImageReference(registry, repository, tag, digest)


def broken_fields(broken: Broken) -> dict[str, Any]:
    """Return the fields of a broken reference."""
    return {
        "reference": broken.name,
        "problem": broken.problem,
        "consumers": broken.consumers,
    }


def broken_from(entries: Any) -> tuple[Broken, ...]:
    """Return the broken references of a list of such fields."""
    return tuple(map(_broken, of_type(list, entries)))


def _broken(entry: Any) -> Broken:
    fields = of_type(dict, entry)
    name, problem = of_type(str, fields["reference"]), of_type(str, fields["problem"])
    return Broken(name, problem, strings(fields["consumers"]))


def guard_fields(guard: StandingGuard) -> dict[str, str]:
    """Return the fields of a guard that stands."""
    return {"guard": guard.guard.value, "why": guard.why}


def guard_from(entry: Any) -> StandingGuard:
    """Return the guard of such fields."""
    fields = of_type(dict, entry)
    return StandingGuard(Guard(of_type(str, fields["guard"])), of_type(str, fields["why"]))
