"""Usage documents: what a cluster runs, written by ``scan-cluster`` from within the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from ecr_cleaner.aws.api import TooLargeError
from ecr_cleaner.aws.s3_object import S3Object
from ecr_cleaner.core.errors import reading_of
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.usage_document import DocumentError, HeldReferences, parse_document
from ecr_cleaner.usage.shared.target import Target

MOST_BYTES = 50_000_000
_FIX = "let the CronJob in the cluster write it again (examples/in-cluster), or delete it"


class ClusterDocuments:
    """Reads the documents that are named, and each ``*.json`` below a prefix that ends with ``/``.

    A document that is missing, too large, incomplete, too old or not understood does not fail the
    scan: a guard stands for its cluster. What it names is kept all the same.
    """

    name = "cluster-documents"
    service = "s3"
    everywhere = False
    what = (
        "only if `CLUSTER_DOCUMENTS` is set: the same as `eks`, in clusters that the function "
        "cannot reach, written from within by [`scan-cluster`](examples/in-cluster)"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the usages of all documents; the result of each is added to the target."""
        named = target.settings.cluster_documents
        addresses = dict.fromkeys(one for where in named for one in self._addresses(target, where))
        for reading, held in target.workers.map(lambda one: self._read(target, one), addresses):
            target.clusters.append(reading)
            for reference, consumer in held:
                yield Usage(reference, consumer, self.name)

    def _addresses(self, target: Target, where: str) -> list[S3Object]:
        named = S3Object.at(where)
        if named.key and not named.key.endswith("/"):
            return [named]
        with reading_of(where):
            keys = _keys(target, named.bucket, named.key)
        found = [S3Object(named.bucket, key) for key in keys]
        if not found:
            doubt = self._reading(where, "there is no usage document below it")
            target.clusters.append(doubt)
        return found

    def _read(self, target: Target, address: S3Object) -> tuple[ClusterReading, HeldReferences]:
        try:
            with reading_of(address):
                found = address.find(target.api("s3"), MOST_BYTES)
            if found is None:
                missing = self._reading(str(address), "there is no such usage document")
                return missing, HeldReferences()
            document = parse_document(found["Body"])
        except (DocumentError, TooLargeError) as error:
            return self._reading(str(address), str(error)), HeldReferences()
        most = timedelta(minutes=target.settings.cluster_document_minutes)
        doubt = document.doubt(target.deadline.now(), most)
        if not doubt:
            return ClusterReading(self.name, document.cluster), document.held
        problem = f"{doubt} ({address})"
        return self._reading(document.cluster, problem, document.fix or _FIX), document.held

    def _reading(self, cluster: str, problem: str, fix: str = _FIX) -> ClusterReading:
        return ClusterReading(self.name, cluster, problem, fix)


def _keys(target: Target, bucket: str, prefix: str) -> list[str]:
    pages = target.api("s3").pages("ListObjectsV2", Bucket=bucket, Prefix=prefix)
    keys = [one["Key"] for page in pages for one in _contents(page)]
    return [key for key in keys if key.endswith(".json")]


def _contents(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a page; S3 leaves an empty list out."""
    contents: list[dict[str, Any]] = page["Contents"] if page["KeyCount"] else []
    return contents
