"""Image references that the operator brings, for consumers that no AWS API can show."""

from __future__ import annotations

from collections.abc import Iterable

from ecr_cleaner.aws.s3_object import S3Object
from ecr_cleaner.core.errors import reading_of
from ecr_cleaner.core.model import Registry, Usage
from ecr_cleaner.core.reference_list import Place, check_age, read_list
from ecr_cleaner.usage.shared.target import Target

MOST_BYTES = 10_000_000


class ReferenceLists:
    """Each list is an S3 object or an SSM parameter; the formats are those of ``read_list``.

    A list that cannot be read or believed ends the run: the operator relies on it.
    """

    name = "reference-lists"
    service = "s3"
    everywhere = False
    what = (
        "only if `REFERENCE_LISTS` is set: every entry of your own lists, in S3 or in an SSM "
        "parameter, see [below](#lists-of-your-own)"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the entries of every list; the list itself is the consumer."""
        places = [Place.of(setting) for setting in target.settings.reference_lists]
        repositories = target.listed(
            "ecr", "DescribeRepositories", "repositories", {"maxResults": 1000}
        )
        names = {one["repositoryName"] for one in repositories}
        account = next((one["registryId"] for one in repositories), None)
        registry = Registry(account, target.region) if account else None
        texts = target.workers.map(lambda place: _read_named(target, place, account), places)
        usages: list[Usage] = []
        for place, text in zip(places, texts, strict=True):
            listed = read_list(place, text, names, registry)
            target.notes.setdefault("lists", []).append(
                {
                    "list": place.where,
                    "entries": listed.entries,
                    "in_this_registry": listed.in_registry,
                }
            )
            usages += [Usage(one, place.where, self.name) for one in listed.references]
        return usages


def _read_named(target: Target, place: Place, account: str | None) -> str | bytes:
    with reading_of(place.where):
        return _read(target, place, account)


def _read(target: Target, place: Place, account: str | None) -> str | bytes:
    days = target.settings.reference_lists_max_age_days
    if not place.where.startswith("s3://"):
        name = place.where.removeprefix("ssm:")
        answer = target.api("ssm").call("GetParameter", Name=name, WithDecryption=True)
        parameter = answer["Parameter"]
        check_age(place, parameter.get("LastModifiedDate"), target.deadline.now(), days)
        return str(parameter["Value"])
    owner = place.owner or account
    expected = {"ExpectedBucketOwner": owner} if owner else {}
    answer = S3Object.at(place.where).read(target.api("s3"), MOST_BYTES, **expected)
    check_age(place, answer.get("LastModified"), target.deadline.now(), days)
    content: bytes = answer["Body"]
    return content
