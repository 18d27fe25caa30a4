"""Find what an answer refers to: every string of it, JSON and base64 inside strings too.

What is written decides, what is computed may be anything. A reference is found as it was meant or
wider: if its tag is unclear, it means the whole repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ecr_cleaner.core.apart import MOST_ENDS, hosts_in, named_without_host, put_together
from ecr_cleaner.core.encoded import SHORTEST_BASE64, decoded
from ecr_cleaner.core.field_names import field_name
from ecr_cleaner.core.fields import Fields, of_items, of_list, of_text
from ecr_cleaner.core.model import NOT_ECR, ImageReference, ReferencePattern
from ecr_cleaner.core.reference import parse
from ecr_cleaner.core.references_in_text import (
    may_lack_host,
    possible,
    references_in,
    references_outside_ecr,
    references_without_host,
    whole_references,
)
from ecr_cleaner.core.templates import HOLE, is_join, joined, templates, written

_FAMILY = r"(?P<family>[A-Za-z0-9_-]++)(?P<revision>:[0-9]++)?(?P<rest>:?\x00)?"
_TASK_DEFINITION = re.compile(
    r"(?:arn:[a-z\x00-]*+:ecs:(?P<region>[a-z0-9\x00-]*+):(?P<account>[0-9\x00]*+):|(?<=[\x00:]))"
    r"task-definition/" + _FAMILY
)
_NAMED_FAMILY = re.compile(r"\s*+" + _FAMILY + r"\s*+")

# Fast path: most hosts have the name of a repository behind them.
_HOST_ALONE = re.compile(r"dkr[.-]ecr[\w.:-]*+/?+(?![\w/])", re.ASCII)
# The name of a field that is none, so that no tag does not mean ``latest``.
_TEXT = "text"
_SHA256 = re.compile(r"sha256:[a-f0-9]{64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """An ECS task definition: its ARN or ``FAMILY[:REVISION]``; None: in whatever account, region.

    Without a revision it means the latest ACTIVE one.
    """

    name: str
    region: str | None = None
    account: str | None = None


@dataclass(slots=True)
class Found:
    """What one answer refers to, each once and in the order in which it was found."""

    references: dict[ImageReference | ReferencePattern, None] = field(default_factory=dict)
    task_definitions: dict[TaskDefinition, None] = field(default_factory=dict)


def find(answer: Any, name: str = "") -> Found:
    """Return what the whole answer refers to; ``name`` is that of the field that holds it.

    The walk takes linear time and does not recurse, whatever the depth.
    """
    found = Found()
    hosts = _Walk(found).over(answer, name)
    if hosts:
        _Walk(found, tuple(hosts)[:MOST_ENDS]).over(answer, name)
    return found


def _is_worth_reading(key: str, text: str) -> bool:
    """Fast path: most strings are short words."""
    return (
        len(text) >= SHORTEST_BASE64
        or "/" in text
        or text[:1] in {"{", "[", '"', " "}
        or field_name(key).is_special
    )


class _Walk:
    """One walk over an answer.

    ``around`` are the hosts that an earlier walk found alone in the answer: an image that names no
    host may be in each of these registries.
    """

    def __init__(self, found: Found, around: Sequence[str] = ()) -> None:
        self._found = found
        self._around = around
        self._hosts: dict[str, None] = {}

    def over(self, answer: Any, name: str) -> Iterable[str]:
        """Add what the answer refers to; return the hosts that stand alone in it."""
        waiting: list[tuple[str, Any]] = [(name, answer)]
        while waiting:
            key, node = waiting.pop()
            if isinstance(node, Mapping):
                waiting += reversed(list(self._inside(key, node)))
            elif isinstance(node, list | tuple):
                waiting += [(key, one) for one in reversed(node)]
                if self._around or _mentions_host(node):
                    self._of_list(key, of_list(node))
            elif isinstance(node, bytes | bytearray):
                waiting.append((key, node.decode("utf-8", "replace")))
            elif isinstance(node, str) and (self._around or _is_worth_reading(key, node)):
                waiting += reversed(list(self._of_string(key, written(node))))
        return self._hosts

    def _inside(self, key: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        if is_join(node):
            computed: list[object] = []
            _scan(key, joined(node, computed), self._found)
            yield from ((key, one) for one in computed if one is not node)
            return
        _combine_digests(node, self._found)
        names_image = False
        for name, value in node.items():
            if "dkr" in name:
                yield _TEXT, name
            names_image = names_image or (isinstance(value, str) and "dkr" in value)
            # An intrinsic function stands for the field that holds it.
            yield (key if ":" in name else name), value
        if names_image or self._around:
            yield from self._of_fields(key, node.items())

    def _of_fields(self, key: str, fields: Fields) -> Iterator[tuple[str, Any]]:
        self._add_around(key, fields)
        yield from put_together(fields)

    def _of_list(self, key: str, fields: Fields) -> None:
        """Variables that stand beside each other may have nothing to do with each other."""
        self._add_around(key, fields)
        self._add_possible(put_together(fields))

    def _add_around(self, key: str, fields: Fields) -> None:
        self._hosts.update(dict.fromkeys(hosts_in(fields)))
        if self._around:
            self._add_possible(named_without_host(key, fields, self._around))

    def _add_possible(self, texts: Iterable[tuple[str, str]]) -> None:
        for name, text in texts:
            for template in templates(text):
                references = map(possible, references_in(name, template))
                self._found.references.update(dict.fromkeys(references))

    def _of_string(self, key: str, text: str) -> Iterator[tuple[str, Any]]:
        """Yield what the string holds as JSON or encoded; scan anything else as text."""
        if text.lstrip()[:1] in {"{", "[", '"'}:
            try:
                yield key, json.loads(text, object_pairs_hook=_with_repeats)
            except (ValueError, RecursionError):
                pass
            else:
                return
        _scan(key, text, self._found)
        if self._around or ("dkr" in text and _HOST_ALONE.search(text)):
            mappings = list(of_text(text))
            for fields in mappings:
                yield from self._of_fields("", fields)
            self._of_list("", of_items(mappings))
        if len(text) >= SHORTEST_BASE64:
            yield from ((_TEXT, one) for one in decoded(text))


def _mentions_host(items: Sequence[Any]) -> bool:
    """Fast path: few lists of names and values hold a host. Plain loops take half of the time."""
    for item in items:
        if type(item) is str:
            if "dkr" in item:
                return True
        elif type(item) is dict:
            for value in item.values():
                if type(value) is str and "dkr" in value:
                    return True
    return False


def _with_repeats(pairs: list[tuple[str, Any]]) -> Any:
    """Keep every value if an object has a name twice."""
    node = dict(pairs)
    return node if len(node) == len(pairs) else [{name: value} for name, value in pairs]


def _combine_digests(node: Mapping[str, Any], found: Found) -> None:
    """Add ``imageDigest`` and the like to the reference that stands beside it."""
    for name, digest in node.items():
        pins = field_name(name).pins
        if pins is None or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            continue
        for other, image in node.items():
            if isinstance(image, str) and other.lower().removesuffix("uri") == pins:
                reference = parse(image) or ImageReference(NOT_ECR, image)
                pinned = replace(reference, tag=None, digest=digest.lower())
                found.references[pinned] = None


def _scan(key: str, text: str, found: Found) -> None:
    lowered = text.lower()
    names_task = field_name(key).names_task_definition
    if field_name(key).is_repository_prefix and text:
        found.references[ReferencePattern(f"{text}/*")] = None
    hosted = "dkr" in lowered
    if "@sha256:" in text:
        found.references.update(dict.fromkeys(references_outside_ecr(text)))
    tasks = names_task or "task-definition/" in lowered
    computed = may_lack_host(key, text)
    if not (hosted or tasks or computed):
        return
    whole = whole_references(key, text)
    if whole:
        found.references.update(dict.fromkeys(whole))
        return
    for template in templates(text):
        if tasks:
            found.task_definitions.update(dict.fromkeys(_task_definitions(template)))
            if names_task:
                found.task_definitions.update(dict.fromkeys(_families(template)))
        if hosted:
            found.references.update(dict.fromkeys(references_in(key, template)))
        if computed and HOLE in template:
            found.references.update(dict.fromkeys(references_without_host(key, template)))


# -- Task definitions ---------------------------------------------------------------------------


def _task_definitions(text: str) -> Iterator[TaskDefinition]:
    for match in _TASK_DEFINITION.finditer(text):
        region, account = match["region"], match["account"]
        written_out = region and account and HOLE not in match[0]
        name = match[0] if written_out else _family(match)
        if name:
            yield TaskDefinition(name, _known(region), _known(account))


def _families(text: str) -> Iterator[TaskDefinition]:
    match = _NAMED_FAMILY.fullmatch(text)
    if match and _family(match):
        yield TaskDefinition(_family(match))


def _family(match: re.Match[str]) -> str:
    """Return ``FAMILY[:REVISION]``; a computed revision means the latest, as none does."""
    if match["rest"] == HOLE and not match["revision"]:
        return ""
    return str(match["family"]) + (match["revision"] or "" if not match["rest"] else "")


def _known(part: str | None) -> str | None:
    return part if part and HOLE not in part else None
