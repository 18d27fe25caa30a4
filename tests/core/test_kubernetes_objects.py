"""References in objects of Kubernetes: every string, joined parts, and what pods run by digest."""

from __future__ import annotations

from typing import Any

import pytest

from core.worlds import sha
from ecr_cleaner.core.kubernetes_objects import references_of
from fakes.scripted import HOST

APP = f"{HOST}/app"
OTHER = f"{HOST}/other"
OTHER_HOST = HOST.replace("eu-west-1", "us-east-1")
A, B = sha("a"), sha("b")


def found(item: dict[str, Any]) -> set[str]:
    """Return references as ``repository:tag``, ``repository@digest`` or ``repository``."""
    return {
        one.repository
        + (f":{one.tag}" if one.tag else "")
        + (f"@{one.digest}" if one.digest else "")
        for one in references_of(item)
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"image": f"{APP}:1"}]},
        {"initContainers": [{"image": f"{APP}:1"}]},
        {"ephemeralContainers": [{"image": f"{APP}:1"}]},
        {"volumes": [{"image": {"reference": f"{APP}:1", "pullPolicy": "Always"}}]},
        {"containers": [{"args": [f"{APP}:1"]}]},
        {"containers": [{"env": [{"name": "SIDECAR", "value": f"{APP}:1"}]}]},
        {"template": {"spec": {"containers": [{"image": f"{APP}:1"}]}}},
        {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": f"{APP}:1"}]}}}}},
        {"steps": [{"run": {"containerTemplate": {"image": f"{APP}:1"}}}]},
    ],
)
def test_any_string_of_an_object_counts(spec: dict[str, Any]) -> None:
    assert found({"spec": spec}) == {"app:1"}


def test_any_other_member_of_an_object_counts() -> None:
    assert found({"template": {"spec": {"containers": [{"image": f"{APP}:1"}]}}}) == {"app:1"}
    assert found({"metadata": {"annotations": {"inject": f"{APP}:1"}}}) == {"app:1"}
    assert found({"data": {"pod.yaml": f"containers:\n- image: {APP}:1\n"}}) <= {"app", "app:1"}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"repository": APP, "tag": "1.2"}, {"app:1.2"}),
        ({"repository": APP, "tag": 7}, {"app:7"}),
        ({"repository": APP, "tag": "1", "digest": "{{digest}}"}, {"app"}),
        ({"image": APP, "tag": "{{inputs.parameters.tag}}"}, {"app:latest", "app"}),
        ({"registry": HOST, "image": "app:v1"}, {"app:v1"}),
        ({"registry": f"{HOST}/", "repository": "app", "tag": "v1"}, {"app:v1"}),
        ({"repository": APP, "imageTag": "1.2"}, {"app:1.2"}),
        ({"newName": APP, "newTag": "1.2"}, {"app:1.2"}),
        ({"repository": APP, "digest": A}, {f"app@{A}"}),
        ({"repository": APP, "tag": "1", "digest": A}, {"app:1", f"app@{A}"}),
        ({"registry": HOST, "repository": "app", "tag": "1"}, {"app:1"}),
        ({"ECR_REGISTRY": HOST, "ECR_REPO": "app", "IMAGE_TAG": "1"}, {"app:1"}),
        ({"registry": HOST, "mirror": OTHER_HOST, "repository": "app"}, {"app"}),
        ({"registry": HOST, "repository": "team/app", "tag": "1"}, {"team/app:1"}),
        ({"registry": f"{HOST}", "image": "app", "tag": "1"}, {"app:latest", "app:1"}),
        ({"repository": f"{APP}:1", "tag": "2"}, {"app:1"}),
        ({"image": APP, "tag": "1"}, {"app:latest", "app:1"}),
        ({"image": APP, "version": "v0.5"}, {"app:latest", "app:v0.5"}),
        ({"image": APP, "imagePullPolicy": "Always"}, {"app:latest"}),
        ({"baseImage": APP, "version": "v0.5"}, {"app:latest", "app:v0.5"}),
        # What is computed, or was a number once, may be any tag.
        ({"imageRegistry": APP, "tag": "1"}, {"app:latest", "app:1", "app/*"}),
        ({"hub": APP, "tag": "1"}, {"app:1", "app/*"}),
        ({"hub": APP}, {"app", "app/*"}),
        ({"repository": APP}, {"app"}),
        ({"repository": APP, "tag": ""}, {"app"}),
        ({"repository": APP, "tag": "{{ .Values.tag }}"}, {"app"}),
        ({"repository": APP, "tag": None}, {"app"}),
        ({"repository": APP, "tag": True}, {"app"}),
        ({"repository": APP, "tag": 1.1}, {"app"}),
        ({"repository": APP, "version": "1.0"}, {"app"}),
        ({"imageRepository": APP}, {"app", "app/*"}),
        # Not ours.
        ({"registry": "docker.io", "repository": "app", "tag": "1"}, set()),
        ({"registry": HOST, "repository": 5}, set()),
        ({"registry": HOST}, set()),
    ],
)
def test_repository_and_tag_beside_each_other_are_joined(
    node: dict[str, Any], expected: set[str]
) -> None:
    assert found({"spec": {"values": [{"image": node}]}}) == expected


def status(image_id: Any, image: str = f"{APP}:1") -> dict[str, Any]:
    return {
        "spec": {"containers": [{"name": "main", "image": f"{APP}:1"}]},
        "status": {
            "containerStatuses": [{"name": "main", "image": image, "imageID": image_id}],
        },
    }


@pytest.mark.parametrize(
    ("image_id", "expected"),
    [
        (f"{APP}@{A}", {"app:1", f"app@{A}"}),
        (f"docker-pullable://{APP}@{A}", {"app:1", f"app@{A}"}),
        (f"{OTHER}@{A}", {"app:1", f"app@{A}", f"other@{A}"}),
        (f"docker-pullable://{OTHER}@{A}", {"app:1", f"app@{A}", f"other@{A}"}),
        # A signature of what another registry holds may be in this one.
        (f"docker.io/library/app@{A}", {"app:1", f"app@{A}", f"docker.io/library/app@{A}"}),
        (A, {"app:1", f"app@{A}"}),
        (f"docker://{A}", {"app:1", f"app@{A}"}),
        ("", {"app:1"}),
        ("sha256:short", {"app:1"}),
        (None, {"app:1"}),
        (7, {"app:1"}),
    ],
)
def test_digest_that_runs_counts_in_its_repository_and_in_that_of_the_spec(
    image_id: Any, expected: set[str]
) -> None:
    assert found(status(image_id)) == expected


def test_image_that_the_runtime_names_counts_too() -> None:
    assert found(status(f"docker.io/x@{A}", image=f"{OTHER}:2")) == {
        *("app:1", "other:2", f"app@{A}", f"other@{A}", f"docker.io/x@{A}")
    }


@pytest.mark.parametrize("key", ["initContainerStatuses", "ephemeralContainerStatuses"])
def test_every_status_counts(key: str) -> None:
    item = status(f"{APP}@{A}")
    item["status"][key] = [{"name": "main", "image": f"{APP}:1", "imageID": f"{APP}@{B}"}]

    assert f"app@{B}" in found(item)


@pytest.mark.parametrize(
    "item",
    [
        {"spec": None, "status": None},
        {"spec": {"containers": "x"}, "status": {"containerStatuses": [None]}},
        {"spec": {"containers": [7]}, "status": {"containerStatuses": {}}},
        {"spec": [], "status": []},
    ],
)
def test_odd_objects_are_walked_all_the_same(item: dict[str, Any]) -> None:
    assert found({**item, "more": f"{APP}:1"}) == {"app:1"}


def test_status_of_a_container_that_the_spec_lacks_counts_by_itself() -> None:
    item = status(f"{OTHER}@{A}")
    item["spec"] = {"containers": []}

    assert found(item) == {"app:1", f"app@{A}", f"other@{A}"}
