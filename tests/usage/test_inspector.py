"""What Inspector says to be running: extra protection, by digest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError
from ecr_cleaner.core.model import ImageReference, Registry, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.inspector import Inspector
from fakes.aws_api import Parameters, account, found
from fakes.scripted import DENIED, THROTTLED, Scripted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B, C = ("sha256:" + letter * 64 for letter in "abc")
IMAGES_ONLY = [{"comparison": "EQUALS", "value": "AWS_ECR_CONTAINER_IMAGE"}]


def arn(digest: str, repository: str = "app", partition: str = "aws") -> str:
    return f"arn:{partition}:ecr:eu-west-1:123456789012:repository/{repository}/{digest}"


def covered(*digests: str) -> dict[str, Any]:
    kind = {"resourceType": "AWS_ECR_CONTAINER_IMAGE"}
    return {"coveredResources": [kind | {"resourceId": arn(digest)} for digest in digests]}


def inspector(counted: Any = (), lately: Any = ()) -> Scripted:
    """Return Inspector that knows these images to run now, and these to have run lately."""

    def answer(parameters: Parameters) -> Any:
        return counted if "ecrImageInUseCount" in parameters["filterCriteria"] else lately

    return Scripted("inspector2", ListCoverage=answer)


def digests(usages: list[Usage]) -> set[str | None]:
    return {usage.reference.digest for usage in usages}


def test_registry_without_coverage_uses_nothing() -> None:
    api = inspector(covered(), covered())

    assert found(Inspector(), api) == []
    assert api.actions == ["inspector2:ListCoverage"]


def test_images_that_run_now_and_those_that_did_lately_are_in_use_by_digest() -> None:
    usages = found(Inspector(), inspector(covered(A), covered(B)))

    assert digests(usages) == {A, B}
    registries = {
        usage.reference.registry for usage in usages if isinstance(usage.reference, ImageReference)
    }
    assert registries == {Registry("123456789012", "eu-west-1")}
    assert {usage.reference.repository for usage in usages} == {"app"}
    assert {usage.reference.tag for usage in usages} == {None}
    assert {(usage.source, usage.consumer) for usage in usages} == {
        ("inspector", f"inspector coverage of {arn(A)}"),
        ("inspector", f"inspector coverage of {arn(B)}"),
    }


def test_image_in_both_listings_is_one_usage() -> None:
    assert len(found(Inspector(), inspector(covered(A, B), covered(B, A)))) == 2


def test_the_two_listings_are_two_since_filters_of_different_fields_have_to_hold_together() -> None:
    api = inspector(covered(), covered())
    with account(api, settings=Settings(keep_days=90), deadline=Deadline(lambda: NOW)) as one:
        assert list(Inspector().usages(one)) == []

    asked = [parameters["filterCriteria"] for parameters in api.asked("ListCoverage")]
    counted = {"ecrImageInUseCount": [{"lowerInclusive": 1}]}
    lately = {"ecrImageLastInUseAt": [{"startInclusive": NOW - timedelta(days=90)}]}
    assert sorted(asked, key=str) == [
        {"resourceType": IMAGES_ONLY, **counted},
        {"resourceType": IMAGES_ONLY, **lately},
    ]
    assert {parameters["maxResults"] for parameters in api.asked("ListCoverage")} == {200}


def test_all_pages_are_read_also_behind_an_empty_one() -> None:
    pages = [covered(A), covered(), covered(B)]

    assert digests(found(Inspector(), inspector(pages, [covered(), covered(C)]))) == {A, B, C}


@pytest.mark.parametrize("repository", ["app", "team/app", "a/b/c", "sha256/app"])
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_image_arn_of_any_repository_and_partition_is_understood(
    repository: str, partition: str
) -> None:
    resource = {"resourceId": arn(A, repository, partition)}

    (usage,) = found(Inspector(), inspector({"coveredResources": [resource]}, covered()))

    assert (usage.reference.repository, usage.reference.digest) == (repository, A)


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:ecr:eu-west-1:123456789012:repository/app",
        "arn:aws:ecr:eu-west-1:123456789012:repository/app/sha256:abc",
        arn(A) + "/more",
        "i-0123456789abcdef0",
    ],
)
def test_resource_that_is_no_image_is_an_error(resource: str) -> None:
    api = inspector({"coveredResources": [{"resourceId": resource}]}, covered())

    with pytest.raises(IncompleteAnswerError, match="an image that is not understood") as failure:
        found(Inspector(), api)

    assert resource in str(failure.value)


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
@pytest.mark.parametrize("first", [True, False])
def test_listing_that_fails_is_an_error_that_names_it(fault: Exception, *, first: bool) -> None:
    api = inspector(fault, covered()) if first else inspector(covered(A), fault)

    with pytest.raises(ApiError, match="inspector2 ListCoverage failed with") as failure:
        found(Inspector(), api)

    assert failure.value.action == ("inspector2:ListCoverage" if fault is DENIED else None)


def test_page_that_fails_behind_others_is_an_error() -> None:
    with pytest.raises(ApiError, match="ListCoverage failed with ThrottlingException"):
        found(Inspector(), inspector([covered(A), THROTTLED], covered()))
