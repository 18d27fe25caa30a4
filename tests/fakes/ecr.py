"""An in-memory ECR at the level of boto3's client, as strict as the real one where that matters.

What it takes and what it answers is held against the SDK's service model, so a misspelt parameter
or field fails. A test may change the world before any call (``before``), make calls fail (``fail``)
and make single images fail (``refuse``). ``calls`` records everything that was asked.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from types import SimpleNamespace
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.hooks import HierarchicalEmitter
from botocore.validate import ParamValidator

from fakes.models import model_of

Parameters = Mapping[str, Any]
Answer = dict[str, Any]

INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
MOST_A_PAGE = 1000
DEFAULT_PAGE = 100
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
MOST_IDS = 100

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html; every operation
# may answer these, so the model does not list them.
COMMON_ERRORS = frozenset(
    {
        "AccessDeniedException",
        "InternalFailure",
        "ThrottlingException",
        # What a region answers that does not offer the operation.
        "UnknownOperationException",
    }
)
MUTATIONS = frozenset(
    {"BatchDeleteImage", "RegisterPullTimeUpdateExclusion", "UpdateImageStorageClass"}
)

# Who calls, as the module leaves it: a role whose pulls are not recorded.
ROLE = "arn:aws:iam::111122223333:role/ecr-cleaner"
CALLER = "arn:aws:sts::111122223333:assumed-role/ecr-cleaner/function"

# Not a failure code: the image is not mentioned in the answer at all.
SILENT = "(silent)"


class NotInModelError(AssertionError):
    """Something that the real ECR does not know: no failure of a call, but one of the test."""


@dataclass(slots=True)
class StoredImage:
    """An image as the registry holds it; what it lists is read from its manifest."""

    digest: str
    manifest: str
    media_type: str = MANIFEST
    tags: list[str] = field(default_factory=list)
    pushed_at: datetime | None = None
    size_bytes: int = 1000
    pulled_at: datetime | None = None
    subject: str | None = None
    artifact_type: str | None = None
    status: str = "ACTIVE"
    archived_at: datetime | None = None
    activated_at: datetime | None = None

    @property
    def children(self) -> list[str]:
        try:
            return [entry["digest"] for entry in json.loads(self.manifest).get("manifests", ())]
        except (ValueError, LookupError, TypeError, AttributeError):
            return []


@dataclass(slots=True)
class StoredRepository:
    """A repository: its resource tags, and its images by digest in the order of their pushes."""

    name: str
    arn: str
    resource_tags: dict[str, str] = field(default_factory=dict)
    policy: str | None = None
    images: dict[str, StoredImage] = field(default_factory=dict)

    def indexes_of(self, digest: str) -> list[str]:
        """Return the images that list this one."""
        return [one.digest for one in self.images.values() if digest in one.children]


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made."""

    operation: str
    parameters: Parameters

    @property
    def digests(self) -> list[str]:
        return [one["imageDigest"] for one in self.parameters.get("imageIds", ())]


def manifest_of(name: str, children: Iterable[str] = (), media_type: str = MANIFEST) -> str:
    """Return a manifest that is an index where it has children or the media type says so."""
    listed = [{"digest": child, "mediaType": MANIFEST, "size": 7} for child in children]
    content: Answer = (
        {"manifests": listed} if listed or media_type in {INDEX, DOCKER_LIST} else {"config": {}}
    )
    return json.dumps({"schemaVersion": 2, "annotations": {"name": name}, **content})


class FakeEcr:
    """Stands in for ``boto3.client("ecr")``."""

    def __init__(
        self,
        account: str = "111122223333",
        region: str = "eu-west-1",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.account = account
        self.meta = SimpleNamespace(
            service_model=model_of("ecr"), region_name=region, events=HierarchicalEmitter()
        )
        self.repositories: dict[str, StoredRepository] = {}
        self.calls: list[Call] = []
        self.before: Callable[[Call], None] = lambda _: None
        self.registry_policy: str | None = None
        self.replication: Answer = {"rules": []}
        self.cache_rules: list[Answer] = []
        self.pull_exclusions = [ROLE]
        self.page_size = MOST_A_PAGE
        self.empty_pages = False
        self._clock = clock
        self._pages: dict[str, list[Any]] = {}
        self._counted: Counter[str] = Counter()
        self._failing: dict[str, dict[int | None, tuple[str, str]]] = defaultdict(dict)
        self._refused: dict[tuple[str, str], list[str]] = {}
        self._always_refused: dict[tuple[str, str], str] = {}
        self._lock = RLock()

    # What a test sets up.

    def create(self, name: str, resource_tags: Mapping[str, str] | None = None) -> StoredRepository:
        """Create a repository."""
        arn = f"arn:aws:ecr:{self.meta.region_name}:{self.account}:repository/{name}"
        self.repositories[name] = StoredRepository(name, arn, dict(resource_tags or {}))
        return self.repositories[name]

    def push(
        self, repository: str, name: str, children: Sequence[str] = (), **more: Any
    ) -> StoredImage:
        """Push an image; as with ECR, a tag that another image has moves to this one."""
        media_type = more.pop("media_type", INDEX if children else MANIFEST)
        manifest = more.pop("manifest", None)
        manifest = manifest_of(name, children, media_type) if manifest is None else manifest
        digest = (
            more.pop("digest", None) or f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        )
        stored = StoredImage(digest, manifest, media_type, **more)
        stored.tags = list(stored.tags)
        images = self.repositories[repository].images
        for other in images.values():
            other.tags = [tag for tag in other.tags if tag not in stored.tags]
        images[digest] = stored
        return stored

    def fail(self, operation: str, code: str, nth: int | None = None, message: str = "no") -> None:
        """Answer every call of an operation, or its nth (from 1), with an error."""
        self._failing[operation][nth] = (code, message)

    def refuse(self, operation: str, digest: str, code: str, times: int | None = None) -> None:
        """Let one image fail, always or so many times."""
        if times is None:
            self._always_refused[operation, digest] = code
        else:
            self._refused[operation, digest] = [code] * times

    def finish_restores(self) -> None:
        """Let the time pass that ECR takes to bring images back from the archive."""
        for repository in self.repositories.values():
            for image in repository.images.values():
                image.status = "ACTIVE" if image.status == "ACTIVATING" else image.status

    # What a test looks at.

    def digests(self, repository: str) -> set[str]:
        return set(self.repositories[repository].images)

    def calls_of(self, operation: str) -> list[Call]:
        return [call for call in self.calls if call.operation == operation]

    def mutations(self) -> list[Call]:
        return [call for call in self.calls if call.operation in MUTATIONS]

    # The client.

    def can_paginate(self, _: str) -> bool:
        """Answer no: the caller follows the page tokens by itself then, like for like."""
        return False

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        for operation, answer in _OPERATIONS.items():
            if name == xform_name(operation):
                return lambda **parameters: self._call(operation, answer, parameters)
        raise AttributeError(name)

    def _call(
        self, operation: str, answer: Callable[[FakeEcr, Parameters], Answer], given: Parameters
    ) -> Answer:
        model = model_of("ecr").operation_model(operation)
        _validate(given, model.input_shape)
        call = Call(operation, given)
        self.before(call)
        with self._lock:
            self.calls.append(call)
            self._counted[operation] += 1
            failing = self._failing[operation]
            failure = failing.get(self._counted[operation], failing.get(None))
            if failure:
                raise _error(operation, *failure)
            result = answer(self, given)
        # An answer may hold nothing where a request may not, though the model says it of both.
        _validate({key: value for key, value in result.items() if value != []}, model.output_shape)
        return result

    def _repository(self, operation: str, parameters: Parameters) -> StoredRepository:
        name = parameters["repositoryName"]
        if name not in self.repositories:
            raise _error(operation, "RepositoryNotFoundException", f"{name} does not exist")
        return self.repositories[name]

    def _refusal(self, operation: str, digest: str | None) -> str | None:
        key = (operation, digest or "")
        left = self._refused.get(key)
        return left.pop() if left else self._always_refused.get(key)

    def _page(self, operation: str, key: str, items: list[Any], parameters: Parameters) -> Answer:
        most = parameters.get("maxResults", DEFAULT_PAGE)
        if not 1 <= most <= MOST_A_PAGE:
            raise _error(operation, "InvalidParameterException", f"maxResults is {most}")
        token = parameters.get("nextToken")
        if token is not None and token not in self._pages:
            raise _error(operation, "InvalidParameterException", f"no such nextToken: {token}")
        if token is not None:
            items = self._pages[token]
        size = min(most, self.page_size)
        if self.empty_pages and token is not None and not token.endswith("after-empty"):
            return {key: [], "nextToken": self._keep(items, "after-empty")}
        here, rest = items[:size], items[size:]
        following = {"nextToken": self._keep(rest, "more")} if rest else {}
        return {key: here, **following}

    def _keep(self, items: list[Any], kind: str) -> str:
        token = f"{len(self.calls)}-{len(self._pages)}-{kind}"
        self._pages[token] = items
        return token

    def _describe_repositories(self, parameters: Parameters) -> Answer:
        found = [
            {"repositoryName": one.name, "repositoryArn": one.arn, "registryId": self.account}
            for one in self.repositories.values()
        ]
        return self._page("DescribeRepositories", "repositories", found, parameters)

    def _list_tags(self, parameters: Parameters) -> Answer:
        arn = parameters["resourceArn"]
        for repository in self.repositories.values():
            if repository.arn == arn:
                tags = repository.resource_tags.items()
                return {"tags": [{"Key": key, "Value": value} for key, value in tags]}
        raise _error("ListTagsForResource", "RepositoryNotFoundException", f"{arn} does not exist")

    def _repository_policy(self, parameters: Parameters) -> Answer:
        repository = self._repository("GetRepositoryPolicy", parameters)
        if repository.policy is None:
            code = "RepositoryPolicyNotFoundException"
            raise _error("GetRepositoryPolicy", code, f"{repository.name} has no policy")
        return {"repositoryName": repository.name, "policyText": repository.policy}

    def _get_registry_policy(self, _: Parameters) -> Answer:
        if self.registry_policy is None:
            code = "RegistryPolicyNotFoundException"
            raise _error("GetRegistryPolicy", code, "the registry has no policy")
        return {"registryId": self.account, "policyText": self.registry_policy}

    def _cache_rules(self, parameters: Parameters) -> Answer:
        operation, key = "DescribePullThroughCacheRules", "pullThroughCacheRules"
        return self._page(operation, key, self.cache_rules, parameters)

    def _describe_registry(self, _: Parameters) -> Answer:
        return {"registryId": self.account, "replicationConfiguration": self.replication}

    def _describe_images(self, parameters: Parameters) -> Answer:
        repository = self._repository("DescribeImages", parameters)
        wanted = parameters.get("filter", {}).get("imageStatus", "ACTIVE")
        _validate_enum("ImageStatusFilter", wanted)
        shown = [one for one in repository.images.values() if wanted in {"ANY", one.status}]
        if "imageIds" not in parameters:
            details = [self._detail(repository, one) for one in shown]
            return self._page("DescribeImages", "imageDetails", details, parameters)
        if {"maxResults", "nextToken"} & parameters.keys():
            raise _error("DescribeImages", "InvalidParameterException", "imageIds has no pages")
        return {"imageDetails": self._details_of(repository, shown, parameters["imageIds"])}

    def _details_of(
        self,
        repository: StoredRepository,
        shown: Iterable[StoredImage],
        ids: Sequence[Mapping[str, str]],
    ) -> list[Answer]:
        _at_most_100("DescribeImages", ids)
        by_digest = {one.digest: one for one in shown}
        found = {}
        for image_id in ids:
            image = by_digest.get(_digest(repository, image_id) or "")
            if image is None:
                # One that does not exist fails the whole call.
                raise _error("DescribeImages", "ImageNotFoundException", f"no image {image_id}")
            found[image.digest] = self._detail(repository, image)
        return list(found.values())

    def _detail(self, repository: StoredRepository, image: StoredImage) -> Answer:
        detail = {
            "registryId": self.account,
            "repositoryName": repository.name,
            "imageDigest": image.digest,
            "imageTags": list(image.tags) or None,
            "imageSizeInBytes": image.size_bytes,
            "imagePushedAt": image.pushed_at,
            "imageManifestMediaType": image.media_type,
            "lastRecordedPullTime": image.pulled_at,
            "subjectManifestDigest": image.subject,
            "artifactMediaType": image.artifact_type,
            "imageStatus": image.status,
            "lastArchivedAt": image.archived_at,
            "lastActivatedAt": image.activated_at,
        }
        return {key: value for key, value in detail.items() if value is not None}

    def _batch_get(self, parameters: Parameters) -> Answer:
        repository = self._repository("BatchGetImage", parameters)
        _at_most_100("BatchGetImage", parameters["imageIds"])
        images, failures = [], []
        for image_id in parameters["imageIds"]:
            digest = _digest(repository, image_id)
            refusal = self._refusal("BatchGetImage", digest)
            image = repository.images.get(digest or "")
            if refusal == SILENT:
                continue
            if refusal or image is None:
                failures.append(_failure(image_id, refusal or "ImageNotFound"))
            elif image.status != "ACTIVE":
                # Archived images cannot be pulled:
                # https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive-image.html
                failures.append(_failure(image_id, "ImageInaccessible"))
            else:
                # A known effect: https://github.com/aws/containers-roadmap/issues/2390
                if ROLE not in self.pull_exclusions:
                    image.pulled_at = self._clock()
                images.append(_manifest_answer(repository, image))
        return {"images": images, "failures": failures}

    def _batch_delete(self, parameters: Parameters) -> Answer:
        repository = self._repository("BatchDeleteImage", parameters)
        _at_most_100("BatchDeleteImage", parameters["imageIds"])
        # As it was before the call: an index that goes in the same call protects its children.
        referenced = {child for image in repository.images.values() for child in image.children}
        deleted: list[Answer] = []
        failures: list[Answer] = []
        for image_id in parameters["imageIds"]:
            digest = _digest(repository, image_id)
            code = self._refusal("BatchDeleteImage", digest) or _why_not(
                repository, image_id, digest, referenced
            )
            if code is None:
                deleted += _delete(repository, image_id, str(digest))
            elif code != SILENT:
                failures.append(_failure(image_id, code))
        return {"imageIds": deleted, "failures": failures}

    def _list_pull_exclusions(self, parameters: Parameters) -> Answer:
        operation, key = "ListPullTimeUpdateExclusions", "pullTimeUpdateExclusions"
        return self._page(operation, key, self.pull_exclusions, parameters)

    def _register_pull_exclusion(self, parameters: Parameters) -> Answer:
        operation, principal = "RegisterPullTimeUpdateExclusion", parameters["principalArn"]
        if principal in self.pull_exclusions:
            code = "ExclusionAlreadyExistsException"
            raise _error(operation, code, f"{principal} is excluded")
        self.pull_exclusions.append(principal)
        return {"principalArn": principal, "createdAt": self._clock()}

    def _update_storage_class(self, parameters: Parameters) -> Answer:
        operation = "UpdateImageStorageClass"
        _validate_enum("TargetStorageClass", parameters["targetStorageClass"])
        repository = self._repository(operation, parameters)
        digest = _digest(repository, parameters["imageId"])
        refusal = self._refusal(operation, digest)
        image = repository.images.get(digest or "")
        if refusal:
            raise _error(operation, refusal, "injected")
        if image is None:
            raise _error(operation, "ImageNotFoundException", f"no image {parameters['imageId']}")
        archive = parameters["targetStorageClass"] == "ARCHIVE"
        if archive is not (image.status == "ACTIVE"):
            code = "ImageStorageClassUpdateNotSupportedException"
            raise _error(operation, code, f"the image is {image.status}")
        if archive:
            image.status, image.archived_at = "ARCHIVED", self._clock()
        else:
            image.status, image.activated_at = "ACTIVATING", self._clock()
        return {"imageId": {"imageDigest": image.digest}, "imageStatus": image.status}


_OPERATIONS: dict[str, Callable[[FakeEcr, Parameters], Answer]] = {
    "DescribeRepositories": FakeEcr._describe_repositories,  # noqa: SLF001 - its own
    "ListTagsForResource": FakeEcr._list_tags,  # noqa: SLF001
    "GetRepositoryPolicy": FakeEcr._repository_policy,  # noqa: SLF001
    "GetRegistryPolicy": FakeEcr._get_registry_policy,  # noqa: SLF001
    "DescribeRegistry": FakeEcr._describe_registry,  # noqa: SLF001
    "DescribePullThroughCacheRules": FakeEcr._cache_rules,  # noqa: SLF001
    "DescribeImages": FakeEcr._describe_images,  # noqa: SLF001
    "BatchGetImage": FakeEcr._batch_get,  # noqa: SLF001
    "BatchDeleteImage": FakeEcr._batch_delete,  # noqa: SLF001
    "ListPullTimeUpdateExclusions": FakeEcr._list_pull_exclusions,  # noqa: SLF001
    "RegisterPullTimeUpdateExclusion": FakeEcr._register_pull_exclusion,  # noqa: SLF001
    "UpdateImageStorageClass": FakeEcr._update_storage_class,  # noqa: SLF001
}


def _validate(value: Any, shape: Any) -> None:
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise NotInModelError(report.generate_report())


def _validate_enum(shape: str, value: str) -> None:
    allowed = model_of("ecr").shape_for(shape).metadata["enum"]
    if value not in allowed:
        raise NotInModelError(f"{shape} is {value!r}, not one of {allowed}")


def _error(operation: str, code: str, message: str) -> ClientError:
    model = model_of("ecr").operation_model(operation)
    known = COMMON_ERRORS | {shape.name for shape in model.error_shapes}
    if code not in known:
        raise NotInModelError(f"{operation} never answers {code}, only {sorted(known)}")
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def _failure(image_id: Mapping[str, str], code: str) -> Answer:
    _validate_enum("ImageFailureCode", code)
    return {"imageId": dict(image_id), "failureCode": code, "failureReason": "because"}


def _at_most_100(operation: str, ids: Sequence[Any]) -> None:
    if not 1 <= len(ids) <= MOST_IDS:
        message = f"{len(ids)} image ids, but from 1 to {MOST_IDS} are allowed"
        raise _error(operation, "InvalidParameterException", message)


def _digest(repository: StoredRepository, image_id: Mapping[str, str]) -> str | None:
    if "imageDigest" in image_id:
        return image_id["imageDigest"]
    tagged = (one.digest for one in repository.images.values() if image_id["imageTag"] in one.tags)
    return next(tagged, None)


def _manifest_answer(repository: StoredRepository, image: StoredImage) -> Answer:
    return {
        "repositoryName": repository.name,
        "imageId": {"imageDigest": image.digest},
        "imageManifest": image.manifest,
        "imageManifestMediaType": image.media_type,
    }


def _why_not(
    repository: StoredRepository,
    image_id: Mapping[str, str],
    digest: str | None,
    referenced: Collection[str | None],
) -> str | None:
    image = repository.images.get(digest or "")
    if image is None:
        return "ImageNotFound"
    only_untagged = "imageDigest" not in image_id and len(image.tags) > 1
    return "ImageReferencedByManifestList" if digest in referenced and not only_untagged else None


def _delete(
    repository: StoredRepository, image_id: Mapping[str, str], digest: str
) -> Iterator[Answer]:
    """Yield an id for each tag that goes; by tag, the image goes with its last one."""
    image = repository.images[digest]
    by_tag = "imageDigest" not in image_id
    going = [image_id["imageTag"]] if by_tag else list(image.tags)
    image.tags = [tag for tag in image.tags if tag not in going]
    if not image.tags:
        del repository.images[digest]
    if not going:
        yield {"imageDigest": digest}
    for tag in going:
        yield {"imageDigest": digest, "imageTag": tag}
