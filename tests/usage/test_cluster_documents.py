"""Usage documents in S3: believed if complete and recent, otherwise a guard."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.test_usage_document import REFERENCES, document
from core.worlds import NOW
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage import cluster_documents
from ecr_cleaner.usage.cluster_documents import ClusterDocuments
from fakes.aws_api import account, error
from fakes.scripted import DENIED, THROTTLED, Scripted

PREFIX = "s3://bucket/clusters/"
KEY = "clusters/kind.json"
RECENT = document().to_json()
OLD = replace(document(), started=NOW - timedelta(minutes=121)).to_json()


def s3(objects: Mapping[str, Any], **lines: Any) -> Scripted:
    """Return an S3 with these objects in one bucket."""

    def get(parameters: dict[str, Any]) -> Any:
        content = objects.get(parameters["Key"], error("NoSuchKey"))
        if isinstance(content, Exception):
            raise content
        data = content.encode() if isinstance(content, str) else content
        return {"Body": io.BytesIO(data), "ContentLength": len(data)}

    def listed(parameters: dict[str, Any]) -> Any:
        keys = [key for key in objects if key.startswith(parameters["Prefix"])]
        position = int(parameters.get("ContinuationToken", "0"))
        page: dict[str, Any] = {"KeyCount": 0, "IsTruncated": position < len(keys)}
        if position < len(keys):
            page |= {"KeyCount": 1, "Contents": [{"Key": keys[position]}]}
            page |= {"NextContinuationToken": str(position + 1)}
        return page

    made = Scripted("s3").on("GetObject", get).on("ListObjectsV2", listed)
    for operation, line in lines.items():
        made.on(operation, line)
    assert isinstance(made, Scripted)
    return made


def scanned(api: Scripted, *where: str, minutes: int = 120) -> tuple[list[Usage], Any]:
    settings = Settings(cluster_documents=where or (PREFIX,), cluster_document_minutes=minutes)
    with account(api, settings=settings, deadline=Deadline(lambda: NOW)) as target:
        return list(ClusterDocuments().usages(target)), target.clusters


def test_recent_document_is_believed() -> None:
    usages, readings = scanned(s3({KEY: RECENT}))

    assert readings == [ClusterReading("cluster-documents", "kind")]
    assert [one.reference for one in usages] == list(REFERENCES)
    assert {(one.consumer, one.source) for one in usages} == {
        ("kind/shop/Deployment/web", "cluster-documents")
    }


def test_documents_on_all_pages_are_read_and_other_objects_are_not() -> None:
    other = document(cluster="k3s").to_json()
    objects = {"clusters/": "", "clusters/a.txt": "x", KEY: RECENT, "clusters/z.json": other}

    _, readings = scanned(s3(objects))

    assert [one.cluster for one in readings] == ["kind", "k3s"]


def test_document_may_be_named_by_its_key() -> None:
    api = s3({KEY: RECENT})
    _, readings = scanned(api, f"s3://bucket/{KEY}", PREFIX)

    assert len(readings) == 1
    assert [one["Key"] for one in api.asked("GetObject")] == [KEY]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (OLD, "began 121 minutes ago"),
        (document(problem="it denies a list", fix="allow it").to_json(), "it denies a list"),
        (document(kinds=("pods",)).to_json(), "lacks replicationcontrollers"),
    ],
)
def test_doubtful_document_guards_its_cluster_and_what_it_names_is_kept(
    content: str, problem: str
) -> None:
    usages, (reading,) = scanned(s3({KEY: content}))

    assert reading.cluster == "kind"
    assert problem in reading.problem
    assert f"s3://bucket/{KEY}" in reading.problem
    assert reading.fix
    assert len(usages) == len(REFERENCES)


def test_age_is_bounded_by_the_setting() -> None:
    _, (reading,) = scanned(s3({KEY: OLD}), minutes=130)

    assert not reading.problem


@pytest.mark.parametrize("content", ["", "{}", "<html>", RECENT[:-9], '{"schema": 2}'])
def test_what_is_not_a_document_guards_by_its_address(content: str) -> None:
    usages, (reading,) = scanned(s3({KEY: content}))

    assert reading.cluster == f"s3://bucket/{KEY}"
    assert "not a usage document" in reading.problem
    assert usages == []


def test_missing_document_guards() -> None:
    _, (reading,) = scanned(s3({}), f"s3://bucket/{KEY}")

    assert "there is no such usage document" in reading.problem


def test_prefix_without_documents_guards() -> None:
    _, (reading,) = scanned(s3({"clusters/readme.txt": "x"}))

    assert (reading.cluster, reading.problem) == (PREFIX, "there is no usage document below it")


@pytest.mark.parametrize("fault", [DENIED, THROTTLED, error("NoSuchBucket")])
@pytest.mark.parametrize("operation", ["ListObjectsV2", "GetObject"])
def test_bucket_that_cannot_be_read_ends_the_scan(operation: str, fault: Exception) -> None:
    where = PREFIX if operation == "ListObjectsV2" else f"s3://bucket/{KEY}"
    with pytest.raises(CleanerError, match=f"^{where} could not be read: s3 {operation} failed"):
        scanned(s3({KEY: RECENT}, **{operation: fault}))


def test_page_without_its_list_ends_the_scan() -> None:
    with pytest.raises(KeyError):
        scanned(s3({}, ListObjectsV2={"KeyCount": 1}))


def test_huge_document_guards_and_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_documents, "MOST_BYTES", len(RECENT))
    usages, (large, read) = scanned(s3({"clusters/large.json": RECENT + " ", KEY: RECENT}))

    assert large.cluster == "s3://bucket/clusters/large.json"
    assert large.problem == f"{large.cluster} has more than {len(RECENT)} bytes"
    assert large.fix
    assert read == ClusterReading("cluster-documents", "kind")
    assert len(usages) == len(REFERENCES)
