"""The only caller of the ECR API: turns its answers into model objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from sys import intern
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError, ManifestError
from ecr_cleaner.core.graph import INDEX_MEDIA_TYPES, LEAF_MEDIA_TYPES, children_in
from ecr_cleaner.core.model import Image, ImageStatus, Registry, Repository
from ecr_cleaner.core.outcome import NOT_FOUND
from ecr_cleaner.workers import batches

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
IMAGES_A_CALL = 100
IMAGES_A_PAGE = 1000
REPOSITORIES_A_PAGE = 1000
EXCLUSIONS_A_PAGE = 100
_GONE = "RepositoryNotFoundException"
_MEDIA_TYPES = INDEX_MEDIA_TYPES | LEAF_MEDIA_TYPES


@dataclass(frozen=True, slots=True)
class Deletion:
    """What ECR answered to one delete call: digests deleted, and failure codes by digest."""

    deleted: frozenset[str]
    failures: Mapping[str, str]


class EcrRegistry:
    """The private registry of the session's account and region."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._workers = aws.workers

    @property
    def _ecr(self) -> Api:
        return self._aws.api("ecr")

    def repositories(self) -> list[Repository]:
        """Return every repository with its resource tags, in the order of their names."""
        answers = list(
            self._ecr.each("DescribeRepositories", "repositories", maxResults=REPOSITORIES_A_PAGE)
        )
        found = [one for one in self._workers.map(self._repository, answers) if one]
        return sorted(found, key=lambda repository: repository.name)

    def images(self, repository: Repository) -> list[Image]:
        """Return every image of a repository, archived ones too; none if it has vanished."""
        images: dict[str, Image] = {}
        for image in map(_image, self._listing(repository)):
            # Pages are not a snapshot: an image that moved between them comes twice.
            known = images.get(image.digest)
            images[image.digest] = _with_tags_of_both(known, image) if known else image
        return list(images.values())

    def digests(self, repository: Repository) -> Iterator[str]:
        """Yield the digest of every image of a repository, page by page."""
        for answer in self._listing(repository):
            yield answer["imageDigest"]

    def pull_exclusions(self) -> list[str]:
        """Return the principals whose pulls do not change pull times."""
        operation, key = "ListPullTimeUpdateExclusions", "pullTimeUpdateExclusions"
        return list(self._ecr.each(operation, key, maxResults=EXCLUSIONS_A_PAGE))

    def exclude_pulls_of(self, principal: str) -> None:
        """Have ECR not record the pulls of this principal."""
        self._ecr.find(
            "RegisterPullTimeUpdateExclusion",
            "ExclusionAlreadyExistsException",
            principalArn=principal,
        )

    def still_there(self, repository: Repository, digests: Sequence[str]) -> dict[str, Image]:
        """Describe up to 100 images again; those that have vanished are not in the answer."""
        try:
            answer = self._ecr.find(
                "DescribeImages",
                _GONE,
                repositoryName=repository.name,
                imageIds=[{"imageDigest": digest} for digest in digests],
                filter={"imageStatus": "ANY"},
            )
        except ApiError as error:
            # One vanished image fails the whole call.
            if error.code != "ImageNotFoundException":
                raise
            wanted = set(digests)
            return {one.digest: one for one in self.images(repository) if one.digest in wanted}
        return {one.digest: one for one in map(_image, (answer or {}).get("imageDetails", ()))}

    def children(
        self, repository: Repository, images: Sequence[Image]
    ) -> dict[str, tuple[str, ...] | None]:
        """Return the digests that each image's manifest lists, None if it is not an index.

        Images that vanished since they were listed are not in the answer. Raise ManifestError if
        any other manifest could not be read or parsed.
        """
        read = self._workers.map(
            lambda batch: self._children(repository, batch), list(batches(images, IMAGES_A_CALL))
        )
        return {digest: children for answer in read for digest, children in answer.items()}

    def policies(self, repository: Repository) -> list[str]:
        """Return the policy document of the repository, if it has one."""
        answer = self._ecr.find(
            "GetRepositoryPolicy",
            "RepositoryPolicyNotFoundException",
            _GONE,
            repositoryName=repository.name,
        )
        return [answer["policyText"]] if answer else []

    def registry_policies(self) -> list[str]:
        """Return the policy document of the whole registry, if it has one."""
        answer = self._ecr.find("GetRegistryPolicy", "RegistryPolicyNotFoundException")
        return [answer["policyText"]] if answer else []

    def replication(self) -> dict[str, Any]:
        """Return the registry's ``replicationConfiguration``."""
        answer = self._ecr.call("DescribeRegistry")
        if "replicationConfiguration" not in answer:
            raise IncompleteAnswerError("DescribeRegistry returned no replicationConfiguration")
        configuration: dict[str, Any] = answer["replicationConfiguration"]
        return configuration

    def delete(self, repository: Repository, digests: Sequence[str]) -> Deletion:
        """Delete up to 100 images by digest, with all their tags; return what ECR answered.

        If the SDK sent the call again, an image that is not found was deleted by an attempt whose
        answer was lost.
        """
        answer = self._ecr.find(
            "BatchDeleteImage",
            _GONE,
            repositoryName=repository.name,
            imageIds=[{"imageDigest": digest} for digest in digests],
        )
        if answer is None:
            return Deletion(frozenset(), dict.fromkeys(digests, "ImageNotFound"))
        deleted = {one["imageDigest"] for one in answer.get("imageIds", ())}
        failures = {
            str(one.get("imageId", {}).get("imageDigest")): str(one.get("failureCode"))
            for one in answer.get("failures", ())
        }
        if answer.get("ResponseMetadata", {}).get("RetryAttempts"):
            deleted |= {digest for digest, code in failures.items() if code in NOT_FOUND}
        silent = [digest for digest in digests if digest not in deleted | failures.keys()]
        return self._with_silent(repository, silent, deleted, failures)

    def archive(self, repository: Repository, digest: str) -> None:
        """Move one image to the archive storage class; raise ApiError if that failed."""
        self._set_storage_class(repository.name, digest, "ARCHIVE")

    def restore(self, repository_name: str, digest: str) -> None:
        """Restore one image from the archive; ECR takes up to 20 minutes."""
        self._set_storage_class(repository_name, digest, "STANDARD")

    def _listing(self, repository: Repository) -> Iterator[Mapping[str, Any]]:
        return self._ecr.each_found(
            "DescribeImages",
            "imageDetails",
            _GONE,
            repositoryName=repository.name,
            maxResults=IMAGES_A_PAGE,
            filter={"imageStatus": "ANY"},
        )

    def _set_storage_class(self, repository_name: str, digest: str, target: str) -> None:
        self._ecr.call(
            "UpdateImageStorageClass",
            repositoryName=repository_name,
            imageId={"imageDigest": digest},
            targetStorageClass=target,
        )

    def _repository(self, answer: Mapping[str, Any]) -> Repository | None:
        arn = answer["repositoryArn"]
        tags = self._ecr.find("ListTagsForResource", _GONE, resourceArn=arn)
        if tags is None:
            return None
        # arn:PARTITION:ecr:REGION:ACCOUNT:repository/NAME
        _, _, _, region, account, _ = arn.split(":", 5)
        return Repository(
            registry=Registry(account, region),
            name=answer["repositoryName"],
            arn=arn,
            tags={tag["Key"]: tag.get("Value", "") for tag in tags.get("tags", ())},
        )

    def _children(
        self, repository: Repository, images: Sequence[Image]
    ) -> dict[str, tuple[str, ...] | None]:
        answer = self._ecr.find(
            "BatchGetImage",
            _GONE,
            repositoryName=repository.name,
            imageIds=[{"imageDigest": image.digest} for image in images],
            acceptedMediaTypes=sorted(
                _MEDIA_TYPES | {one.media_type for one in images if one.media_type}
            ),
        )
        if answer is None:
            return {}
        manifests = {
            one["imageId"]["imageDigest"]: one.get("imageManifest", "")
            for one in answer.get("images", ())
        }
        return dict(self._understood(images, manifests, answer.get("failures", ())))

    def _understood(
        self,
        images: Sequence[Image],
        manifests: Mapping[str, str],
        failures: Sequence[Mapping[str, Any]],
    ) -> Iterator[tuple[str, tuple[str, ...] | None]]:
        codes = {one.get("imageId", {}).get("imageDigest"): one["failureCode"] for one in failures}
        for image in images:
            if image.digest in manifests:
                yield image.digest, children_in(image, manifests[image.digest])
            elif codes.get(image.digest) not in NOT_FOUND:
                code = codes.get(image.digest, "no answer")
                raise ManifestError(image.digest, f"could not be read: {code}")

    def _with_silent(
        self,
        repository: Repository,
        silent: Sequence[str],
        deleted: set[str],
        failures: dict[str, str],
    ) -> Deletion:
        """Look up each image that the answer does not mention: it is gone, or was not deleted."""
        try:
            there = set(self.still_there(repository, silent)) if silent else set()
        except ApiError:
            there = set(silent)
        gone = set(silent) - there
        return Deletion(frozenset(deleted | gone), failures | dict.fromkeys(there, "NotInAnswer"))


def _image(answer: Mapping[str, Any]) -> Image:
    media_type = answer.get("imageManifestMediaType")
    artifact_type = answer.get("artifactMediaType")
    return Image(
        digest=answer["imageDigest"],
        tags=tuple(answer.get("imageTags", ())),
        pushed_at=_utc(answer.get("imagePushedAt")),
        size_bytes=answer.get("imageSizeInBytes", 0),
        media_type=intern(media_type) if media_type else None,  # one text for all of its kind
        pulled_at=_utc(answer.get("lastRecordedPullTime")),
        subject=answer.get("subjectManifestDigest"),
        artifact_type=intern(artifact_type) if artifact_type else None,
        status=_status(answer),
        archived_at=_utc(answer.get("lastArchivedAt")),
        activated_at=_utc(answer.get("lastActivatedAt")),
    )


def _status(answer: Mapping[str, Any]) -> ImageStatus:
    status = answer.get("imageStatus", ImageStatus.ACTIVE)
    try:
        return ImageStatus(status)
    except ValueError as error:
        raise IncompleteAnswerError(
            f"ECR returned the status {status} of {answer['imageDigest']}, which this version of "
            "the program does not know"
        ) from error


def _with_tags_of_both(first: Image, second: Image) -> Image:
    return replace(second, tags=tuple(dict.fromkeys((*first.tags, *second.tags))))


def _utc(time: datetime | float | None) -> datetime | None:
    if time is None:
        return None
    if isinstance(time, datetime):
        return time.astimezone(UTC)
    return datetime.fromtimestamp(time, UTC)
