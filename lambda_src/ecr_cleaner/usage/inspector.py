"""Images that Amazon Inspector reports as running on ECS or EKS; they can only protect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.errors import AdministratorError, IncompleteAnswerError, OutOfTimeError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import ImageReference, Registry, Usage
from ecr_cleaner.usage.shared.target import Target

_IMAGE_ARN = re.compile(
    r"arn:[^:]+:ecr:(?P<region>[^:]+):(?P<account>[0-9]{12}):"
    r"repository/(?P<repository>.+)/(?P<digest>sha256:[a-f0-9]{64})"
)
_MEMBER = "ENABLED"

Filters = dict[str, list[dict[str, Any]]]
# By the ARN of the image.
Images = dict[str, ImageReference]


class Inspector:
    """Images that run now, or did within the days that images are kept anyway.

    An account sees what runs in itself. The delegated administrator of an organization also sees
    what runs in its members, so it is asked as well if the settings name it.
    Source: https://docs.aws.amazon.com/inspector/v2/APIReference/API_EcrContainerImageMetadata.html
    """

    name = "inspector"
    service = "inspector2"
    everywhere = False
    what = (
        "only if `INSPECTOR_COVERAGE` is `true`: what Amazon Inspector saw running on ECS or EKS, "
        "now or within the days of the age; also in the members of `INSPECTOR_ADMINISTRATOR`, if "
        "that is set"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield what Inspector's coverage says to be in use."""
        own = _covered(target, target.api("inspector2"), {})
        for arn, image in own.items():
            yield Usage(image, f"inspector coverage of {arn}", self.name)
        administrator = target.settings.inspector_administrator
        if not administrator:
            return
        is_own = administrator == target.location.account
        images = own if is_own else _covered_by_administrator(target, administrator)
        target.notes["administrator"] = {"account": administrator, "images": len(images)}
        for arn, image in images.items():
            if arn not in own:
                consumer = f"inspector coverage in {administrator} of {arn}"
                yield Usage(image, consumer, self.name)


def _covered_by_administrator(target: Target, administrator: str) -> Images:
    """Return the images of the registry that the administrator sees in use.

    Another account than the administrator would answer that it sees none.
    """
    registry = target.location.account
    where = Location(administrator, target.region)
    with _naming(where), closing(target.in_account(administrator)) as account:
        inspector = account.api("inspector2")
        _check_member(inspector, registry)
        return _covered(target, inspector, {"accountId": [_equals(registry)]})


def _check_member(inspector: Api, account: str) -> None:
    member = inspector.call("GetMember", accountId=account).get("member") or {}
    status = member.get("relationshipStatus")
    if status != _MEMBER:
        raise IncompleteAnswerError(
            f"GetMember returned the status {status} of {account}, which has the registry, but "
            f"only a member with the status {_MEMBER} is seen"
        )


@contextmanager
def _naming(where: Location) -> Iterator[None]:
    """Raise AdministratorError instead of any error but that no time is left."""
    try:
        yield
    except OutOfTimeError:
        raise
    except Exception as error:
        raise AdministratorError(str(where), error) from error


def _covered(target: Target, inspector: Api, only: Filters) -> Images:
    """Return the images in use; two listings, because all filters of one have to hold together."""
    since = target.deadline.now() - timedelta(days=target.settings.keep_days)
    in_use: tuple[Filters, ...] = (
        {"ecrImageInUseCount": [{"lowerInclusive": 1}]},
        {"ecrImageLastInUseAt": [{"startInclusive": since}]},
    )
    answers = target.workers.map(lambda wanted: _listed(inspector, wanted | only), in_use)
    arns = (one["resourceId"] for answer in answers for one in answer)
    return {arn: _reference(arn) for arn in arns}


def _listed(inspector: Api, wanted: Filters) -> list[Mapping[str, Any]]:
    images = [_equals("AWS_ECR_CONTAINER_IMAGE")]
    listing = inspector.each(
        "ListCoverage",
        "coveredResources",
        filterCriteria={"resourceType": images, **wanted},
        maxResults=200,
    )
    return list(listing)


def _equals(value: str) -> dict[str, Any]:
    return {"comparison": "EQUALS", "value": value}


def _reference(arn: str) -> ImageReference:
    match = _IMAGE_ARN.fullmatch(arn)
    if not match:
        raise IncompleteAnswerError(f"ListCoverage named an image that is not understood: {arn}")
    registry = Registry(match["account"], match["region"])
    return ImageReference(registry, match["repository"], digest=match["digest"])
