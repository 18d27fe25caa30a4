"""Scan the cluster that this process runs in, and write its usage document."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.kubernetes import KubernetesApi
from ecr_cleaner.aws.s3_object import S3Object
from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.usage_document import UsageDocument
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.cluster import read_cluster

STANDARD_OUTPUT = "-"


def scan_own_cluster(
    cluster: str,
    api: KubernetesApi,
    deadline: Deadline,
    waived_api_groups: tuple[str, ...],
    write: Callable[[str], None],
) -> UsageDocument:
    """Write the usage document; raise RunFailedError if the cluster was not read in full.

    An incomplete document is written as well: it names what is missing, and a guard stands.
    """
    document = read_cluster(cluster, api, deadline, waived_api_groups=waived_api_groups)
    write(document.to_json())
    if document.problem:
        raise RunFailedError(
            f"the cluster {cluster} was not read in full: {document.problem}; to fix it, "
            f"{document.fix}"
        )
    return document


def writer(output: str, s3: Callable[[], Api]) -> Callable[[str], None]:
    """Return what writes a document to ``s3://BUCKET/KEY`` or to standard output."""

    def to_standard_output(text: str) -> None:
        sys.stdout.write(text + "\n")

    def to_s3(text: str) -> None:
        content = {"Body": text.encode(), "ContentType": "application/json"}
        s3().call("PutObject", **S3Object.at(output).parameters, **content)

    return to_standard_output if output == STANDARD_OUTPUT else to_s3
