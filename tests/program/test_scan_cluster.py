"""``scan-cluster``: a pod writes the usage document of its own cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from moto import mock_aws

from ecr_cleaner import __main__ as shell
from ecr_cleaner.aws import kubernetes_access
from ecr_cleaner.core.usage_document import parse_document
from fakes.kubernetes import TOKEN, WORKFLOWS, FakeCluster, running
from fakes.scripted import HOST

ARGUMENTS = ["scan-cluster", "--cluster", "kind"]


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with running() as made:
        made.create("deployments.apps", "web", "shop", image=f"{HOST}/app:1")
        yield made


@pytest.fixture
def mount(tmp_path: Path, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mount the service account of a pod in that cluster."""
    (tmp_path / "ca.crt").write_text(cluster.authority.pem)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    host, _, port = cluster.url.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(kubernetes_access.in_cluster, "__defaults__", (tmp_path,), raising=True)
    return tmp_path


def last_error(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    found: dict[str, Any] = lines[-1]
    return found


@pytest.mark.usefixtures("mount")
def test_document_goes_to_standard_output_and_the_log_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert shell.main(ARGUMENTS) == 0

    output = capsys.readouterr()
    document = parse_document(output.out)
    assert document.cluster == "kind"
    assert [(one.repository, name) for one, name in document.held] == [
        ("app", "kind/shop/Deployment/web")
    ]
    assert document.problem == ""
    assert json.loads(output.err)["event"] == "Kubernetes cluster was read in full"


@pytest.mark.usefixtures("mount")
def test_document_goes_to_s3() -> None:
    with mock_aws():
        s3 = boto3.client("s3")
        region = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration=region)

        assert shell.main([*ARGUMENTS, "--output", "s3://bucket/clusters/kind.json"]) == 0

        content = s3.get_object(Bucket="bucket", Key="clusters/kind.json")["Body"].read()
    assert parse_document(content).cluster == "kind"


@pytest.mark.usefixtures("mount")
def test_incomplete_document_is_written_and_the_command_fails(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.denied.add("pods")

    assert shell.main(ARGUMENTS) == 1

    output = capsys.readouterr()
    document = parse_document(output.out)
    assert "it denies a list (pods)" in document.problem
    assert 'resources: ["pods"]' in document.fix
    assert "it denies a list (pods)" in json.loads(output.err)["error"]


@pytest.mark.usefixtures("mount")
def test_groups_may_be_waived(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.denied.update(one.full_name for one in WORKFLOWS)
    assert shell.main(ARGUMENTS) == 1

    monkeypatch.setenv("WAIVED_API_GROUPS", "argoproj.io")
    assert shell.main(ARGUMENTS) == 0


def test_token_is_read_again_after_it_was_replaced(mount: Path, cluster: FakeCluster) -> None:
    (mount / "token").write_text("expired")

    def replace(token: str) -> str | None:
        (mount / "token").write_text(TOKEN)
        return "tester" if token == TOKEN else None

    cluster.user_of = replace
    assert shell.main(ARGUMENTS) == 0
    assert cluster.tokens[:2] == ["expired", TOKEN]


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
@pytest.mark.usefixtures("mount")
def test_outside_a_pod_it_fails(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(missing)

    assert shell.main(ARGUMENTS) == 1
    assert "not a pod with a service account" in last_error(capsys)["error"]


def test_pod_without_a_service_account_fails(
    mount: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mount / "ca.crt").unlink()

    assert shell.main(ARGUMENTS) == 1
    assert "not a pod with a service account" in last_error(capsys)["error"]


def test_pod_without_a_token_fails(mount: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mount / "token").unlink()

    assert shell.main(ARGUMENTS) == 1
    assert "the token of the service account" in capsys.readouterr().out


def test_address_of_the_sixth_version_is_written_in_brackets(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("x")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    api = kubernetes_access.in_cluster(environ, "kind", mock.Mock(), tmp_path)

    assert api.url == "https://[fd00::1]:443"


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan-cluster"],
        [*ARGUMENTS, "--output", "file.json"],
        [*ARGUMENTS, "--output", "s3://bucket"],
        [*ARGUMENTS, "--output", "s3://bucket/kind.txt"],
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.main(arguments)
    assert ended.value.code == 2
