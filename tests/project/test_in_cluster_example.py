"""The manifests in ``examples/in-cluster``: they fit together, and list without secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # moto brings it, without types

from ecr_cleaner.__main__ import _parser
from ecr_cleaner.core.kubernetes import READER, REQUIRED, SKIPPED

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "examples/in-cluster"
KUSTOMIZATION = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())
MANIFESTS = [
    document
    for file in KUSTOMIZATION["resources"]
    for document in yaml.safe_load_all((DIRECTORY / file).read_text())
]


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [one for one in MANIFESTS if one["kind"] == kind]
    return dict(found)


RULES = manifest("ClusterRole")["rules"]


def test_kustomization_names_every_manifest() -> None:
    files = {file.name for file in DIRECTORY.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    assert {one["kind"] for one in MANIFESTS} == {
        *("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "CronJob")
    }


@pytest.mark.parametrize("rule", RULES)
def test_role_only_lists_and_never_secrets(rule: dict[str, Any]) -> None:
    assert rule["verbs"] == ["list"]
    assert "secrets" not in rule["resources"]
    assert "*" not in rule["apiGroups"]
    if "" in rule["apiGroups"]:
        assert "*" not in rule["resources"]
    assert set(rule) == {"apiGroups", "resources", "verbs"}


def allowed(group: str, resource: str) -> bool:
    return any(
        group in rule["apiGroups"] and {resource, "*"} & set(rule["resources"]) for rule in RULES
    )


@pytest.mark.parametrize("kind", REQUIRED, ids=[kind.name for kind in REQUIRED])
def test_role_lists_every_required_kind(kind: Any) -> None:
    assert allowed(kind.group, kind.resource)


def test_role_lists_nothing_of_the_core_group_that_is_skipped() -> None:
    core = {one for one in SKIPPED if "." not in one}
    assert not any(allowed("", resource) for resource in core)


def test_binding_is_for_the_group_of_the_access_entry_and_for_the_service_account() -> None:
    binding = manifest("ClusterRoleBinding")
    account = manifest("ServiceAccount")["metadata"]

    assert binding["roleRef"]["name"] == manifest("ClusterRole")["metadata"]["name"] == READER
    group, pod = binding["subjects"]
    assert (group["kind"], group["name"]) == ("Group", READER)
    assert (pod["kind"], pod["name"], pod["namespace"]) == (
        *("ServiceAccount", account["name"], account["namespace"]),
    )
    terraform = (ROOT / "terraform/eks.tf").read_text()
    assert f'kubernetes_groups = ["{READER}"]' in terraform


def test_all_of_it_is_in_the_namespace() -> None:
    namespace = manifest("Namespace")["metadata"]["name"]
    assert {manifest(kind)["metadata"]["namespace"] for kind in ("ServiceAccount", "CronJob")} == {
        namespace
    }


def test_job_runs_a_command_that_exists_under_the_service_account() -> None:
    pod = manifest("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["serviceAccountName"] == manifest("ServiceAccount")["metadata"]["name"]
    assert container["command"][:3] == ["python", "-m", "ecr_cleaner"]
    chosen = _parser().parse_args([*container["command"][3:], *container["args"]])
    assert chosen.command == "scan-cluster"
    assert chosen.output.startswith("s3://")


def test_readme_shows_the_access_entry_of_the_module() -> None:
    readme = (DIRECTORY / "README.md").read_text()
    assert f'kubernetes_groups = ["{READER}"]' in readme
    scan_role = (ROOT / "terraform/modules/scan-role/README.md").read_text()
    assert f'kubernetes_groups = ["{READER}"]' in scan_role
    for file in re.findall(r"`([a-z-]+\.yaml)`", readme):
        assert (DIRECTORY / file).exists()
