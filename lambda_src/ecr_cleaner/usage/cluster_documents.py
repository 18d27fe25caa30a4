"""Usage documents: what a cluster runs, written by ``scan-cluster`` from within the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.usage_document import DocumentError, HeldReferences, parse_document
from ecr_cleaner.usage.shared.target import Target

MOST_BYTES = 50_000_000
_FIX = "let the CronJob in the cluster write it again (examples/in-cluster), or delete it"


@dataclass(frozen=True, slots=True)
class _Address:
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class ClusterDocuments:
    """Reads the documents that are named, and each ``*.json`` below a prefix that ends with ``/``.

    A document that is missing, incomplete, too old or not understood does not fail the scan: a
    guard stands for its cluster. What it names is kept all the same.
    """

    name = "cluster-documents"
    service = "s3"
    what = (
        "only if `CLUSTER_DOCUMENTS` is set: the same as `eks`, in clusters that the function "
        "cannot reach, written from within by [`scan-cluster`](examples/in-cluster)"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the usages of all documents; the result of each is added to the target."""
        named = target.settings.cluster_documents
        addresses = dict.fromkeys(one for where in named for one in self._addresses(target, where))
        for held in target.workers.map(lambda address: self._read(target, address), addresses):
            for reference, consumer in held:
                yield Usage(reference, consumer, self.name)

    def _addresses(self, target: Target, where: str) -> list[_Address]:
        bucket, _, key = where.removeprefix("s3://").partition("/")
        if key and not key.endswith("/"):
            return [_Address(bucket, key)]
        found = [_Address(bucket, one) for one in _keys(target, bucket, key)]
        if not found:
            self._doubt(target, where, "there is no usage document below it", _FIX)
        return found

    def _read(self, target: Target, address: _Address) -> HeldReferences:
        text = _text(target, address)
        if text is None:
            self._doubt(target, str(address), "there is no such usage document", _FIX)
            return HeldReferences()
        try:
            document = parse_document(text)
        except DocumentError as error:
            self._doubt(target, str(address), str(error), _FIX)
            return HeldReferences()
        most = timedelta(minutes=target.settings.cluster_document_minutes)
        doubt = document.doubt(target.deadline.now(), most)
        if doubt:
            self._doubt(target, document.cluster, f"{doubt} ({address})", document.fix or _FIX)
        else:
            target.clusters.append(ClusterReading(self.name, document.cluster))
        return document.held

    def _doubt(self, target: Target, cluster: str, problem: str, fix: str) -> None:
        target.clusters.append(ClusterReading(self.name, cluster, problem, fix))


def _keys(target: Target, bucket: str, prefix: str) -> list[str]:
    pages = target.api("s3").pages("ListObjectsV2", Bucket=bucket, Prefix=prefix)
    keys = [one["Key"] for page in pages for one in _contents(page)]
    return [key for key in keys if key.endswith(".json")]


def _contents(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a page; S3 leaves an empty list out."""
    contents: list[dict[str, Any]] = page["Contents"] if page["KeyCount"] else []
    return contents


def _text(target: Target, address: _Address) -> bytes | None:
    answer = target.api("s3").find("GetObject", "NoSuchKey", Bucket=address.bucket, Key=address.key)
    if answer is None:
        return None
    if answer["ContentLength"] > MOST_BYTES:
        raise CleanerError(f"{address} has more than {MOST_BYTES} bytes")
    return bytes(answer["Body"].read())
