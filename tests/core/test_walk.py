"""What an answer refers to: references, templates of references, and task definitions."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecr_cleaner.core.model import NOT_ECR, ImageReference, ReferencePattern, Registry
from ecr_cleaner.core.reference import parse
from ecr_cleaner.core.walk import Found, TaskDefinition, find

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
HERE = Registry("123456789012", "eu-west-1")
DIGEST = "sha256:" + "a" * 64
TASKS = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"


def app(tag: str | None = None, digest: str | None = None, name: str = "app") -> ImageReference:
    return ImageReference(HERE, name, tag, digest)


def pattern(repository: str, tag: str | None = None) -> ReferencePattern:
    """Return a pattern in this registry."""
    return ReferencePattern(repository, "123456789012", "eu-west-1", tag)


def references(answer: Any) -> list[ImageReference | ReferencePattern]:
    return list(find(answer).references)


# -- References in strings -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HOST}/app:v1", app("v1")),
        (f" {HOST}/team/app ", app("latest", name="team/app")),
        (f"{HOST}/app:v1@{DIGEST}", app(digest=DIGEST)),
        ("123456789012.dkr-ecr.eu-west-1.on.aws/app:v1", app("v1")),
        (f"docker-pullable://{HOST}/app@{DIGEST}", app(digest=DIGEST)),
        (f"docker:{HOST}/app:v1", app("v1")),
        (f"oci://{HOST}/app:v1", app("v1")),
        (f"docker run {HOST}/app:v1 --all", app("v1")),
        (f"docker run {HOST}/app@{DIGEST} --all", app(digest=DIGEST)),
        (f'docker run "{HOST}/app:v1" && echo done', app("v1")),
        (f"run ({HOST}/app:v1), then stop", app("v1")),
        (f"it runs {HOST}/app@{DIGEST}.", app(digest=DIGEST)),
        (f"['docker', 'run', '{HOST}/app:v1']", app("v1")),
        (f'{{"image": "{HOST}/app:v1"}}', app("v1")),
        (f'{{"image": "{HOST}\\/app:v1" cut off', app("v1")),
        (f"printf 'a\\n{HOST}/app:v1\\n'", app("v1")),
        # The end of the tag is not certain.
        (f"it runs {HOST}/app:v1.", app()),
        (f"it runs {HOST}/app.", app()),
        (f"FROM {HOST}/app\nRUN make", app()),
        (f"{HOST}/app:v1<br>", app()),
        (f"{HOST}/app:v1/more", app()),
        (f"{HOST}/app:", app()),
        (f"{HOST}/app@sha256:abc", app()),
        (f"{HOST}/app:v1é", app()),
    ],
)
def test_reference_is_found_as_it_was_meant_or_wider(text: str, expected: ImageReference) -> None:
    assert references([text, text]) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$.image",
        HOST,
        f"https://{HOST}",
        f"https://{HOST}/",
        "busybox:latest",
        "public.ecr.aws/nginx/nginx:1",
        f"{HOST}.example.com/app:v1",
        f"1{HOST}/app:v1",
        "11112222333.dkr.ecr.eu-west-1.amazonaws.com/app:v1",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.org/app:v1",
        "docker login $ACCOUNT.dkr.ecr.$REGION.amazonaws.com",
    ],
)
def test_string_without_a_reference_has_none(text: str) -> None:
    assert references([text]) == []


def test_several_references_in_one_string_are_all_found() -> None:
    assert references(f"{HOST}/a:1,{HOST}/b:2 && docker pull {HOST}/c:3") == [
        app("1", name="a"),
        app("2", name="b"),
        app("3", name="c"),
    ]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("image", app("latest")),
        ("ImageUri", app("latest")),
        ("containerUri", app("latest")),
        ("IMAGE", app()),
        ("repositoryUri", app()),
    ],
)
def test_no_tag_means_latest_in_a_field_for_an_image_and_any_image_elsewhere(
    field: str, expected: ImageReference
) -> None:
    """A program may add a tag to what it finds in its environment."""
    assert references({field: f"{HOST}/app"}) == [expected]


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        ("image", "imageDigest"),
        ("Image", "ImageDigest"),
        ("imageUri", "resolvedImageDigest"),
        ("ImageUri", "ResolvedImageDigest"),
        ("TrainingImage", "TrainingImageDigest"),
    ],
)
def test_digest_beside_an_image_counts_beside_its_tag(image: str, digest: str) -> None:
    """SageMaker may write it in capitals, ECR never does."""
    answer = {image: f"{HOST}/app:v1", digest: DIGEST.upper().replace("SHA", "sha")}

    assert set(references(answer)) == {app("v1"), app(digest=DIGEST)}


def test_digest_of_something_else_is_not_combined() -> None:
    assert references({"image": f"{HOST}/app:v1", "sourceDigest": DIGEST}) == [app("v1")]
    assert references({"image": f"{HOST}/app:v1", "imageDigest": "abc"}) == [app("v1")]


def outside(name: str) -> ImageReference:
    """Return an image that another registry than ECR holds."""
    return ImageReference(NOT_ECR, name, digest=DIGEST)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"image": "nginx:1", "imageDigest": DIGEST}, [outside("nginx:1")]),
        ({"imageID": f"docker.io/library/nginx@{DIGEST}"}, [outside("docker.io/library/nginx")]),
        ({"imageID": f"docker-pullable://ghcr.io/a/b@{DIGEST}"}, [outside("ghcr.io/a/b")]),
        ({"cmd": f"run localhost:5000/a:v1@{DIGEST} now"}, [outside("localhost:5000/a:v1")]),
        ({"imageID": DIGEST}, []),
        ({"imageID": f"@{DIGEST}"}, []),
        ({"imageID": f"nginx@{DIGEST}a"}, []),
        ({"image": f"{HOST}/app@{DIGEST}"}, [app(digest=DIGEST)]),
    ],
)
def test_digest_in_a_registry_that_is_not_of_ecr_is_found(answer: Any, expected: list[Any]) -> None:
    """A signature of it may be in ECR."""
    assert references(answer) == expected


# -- Where strings are ---------------------------------------------------------------------------


APP = f"{HOST}/app"
CHARTS = ReferencePattern("charts/*", HERE.account, HERE.region)
OTHER_HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
OTHER_APP = ImageReference(Registry("123456789012", "us-east-1"), "app")


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"image": APP, "tag": "v1"}, {app("latest"), app("v1")}),
        ({"image": APP, "tag": 7}, {app("latest"), app("7")}),
        ({"image": APP, "appVersion": "v1"}, {app("latest"), app("v1")}),
        ({"image": APP, "digest": DIGEST}, {app("latest"), app(digest=DIGEST)}),
        ({"repository": APP, "imageTag": "v1"}, {app(), app("v1")}),
        ({"registry": HOST, "repository": "app", "tag": "v1"}, {app(), app("v1")}),
        ({"registry": HOST, "image": "app", "tag": "v1"}, {app("latest"), app("v1")}),
        ({"registry": HOST, "repository": "app"}, {app()}),
        ({"image": f"{APP}:v1", "tag": "v2"}, {app("v1")}),
        ({"image": APP, "stage": True, "tag": None, "tags": []}, {app("latest")}),
        ({"image": APP, "tag": "no tag"}, {app("latest"), app()}),
        ({"image": APP, "tag": "${TAG}"}, {app("latest"), app()}),
        ({"image": APP, "tag": 1.2}, {app("latest"), app()}),
        ({"image": APP, "tags": ["v1", "v2"]}, {app("latest"), app()}),
        ({"ImageUri": APP, "ImageTag.$": "$.tag"}, {app("latest"), app()}),
        ({"image": APP, "tag": {"Ref": "Tag"}}, {app("latest"), app()}),
        ({"image": APP, "image_digest": "{{digest}}"}, {app("latest"), app()}),
        ({"registry": HOST, "image": "app:v1"}, {app("v1")}),
        ({"registry": HOST, "repository": f"app@{DIGEST}"}, {app(digest=DIGEST), outside("app")}),
        ({"registry": f"https://{HOST}/", "repository": "/app:v1"}, {app("v1")}),
        ({"imageRegistry": HOST, "imageName": "app", "imageTag": "v1"}, {app("latest"), app("v1")}),
        ({"registry": "docker.io", "image": "app:v1"}, set()),
        # The host stands alone, whatever the field is called.
        ({"ECR_REGISTRY": HOST, "ECR_REPOSITORY": "app", "IMAGE_TAG": "v1"}, {app(), app("v1")}),
        ({"ecrUrl": f"https://{HOST}", "imageName": "app:v1"}, {app("v1")}),
        ({"host": HOST, "containerImage": f"app@{DIGEST}"}, {app(digest=DIGEST), outside("app")}),
        ({"registry": "docker.io", "mirror": HOST, "repository": "app"}, {app()}),
        ({"registry": HOST, "mirror": OTHER_HOST, "repository": "app"}, {app(), OTHER_APP}),
        # Helm charts, as Argo CD names them.
        (
            {"repoURL": f"{HOST}/charts", "chart": "app"},
            {app(name="charts"), app(name="charts/app")},
        ),
        ({"repoURL": HOST, "chart": "app", "targetRevision": "1.2"}, {app()}),
        ({"repoURL": "https://charts.example.com", "chart": "app"}, set()),
        ({"repoURL": f"{HOST}/charts", "chart": ""}, {app(name="charts")}),
        ({"host": HOST, "name": "main", "repoUrl": "https://example.com/x"}, set()),
        ({"host": f"{HOST}.example.com", "repository": "app"}, set()),
        ({"image": APP} | {f"tag{n}": f"v{n}" for n in range(17)}, {app("latest"), app()}),
    ],
)
@pytest.mark.parametrize("form", ["an object", "JSON in a string"])
def test_parts_that_stand_apart_are_put_together(node: Any, expected: Any, form: str) -> None:
    written = node if form == "an object" else {"CONFIG": json.dumps(node)}
    assert set(references(written)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"oci://{HOST}/charts", {app(name="charts"), CHARTS}),
        (f"repository: oci://{HOST}/charts\nname: app\n", {app(name="charts"), CHARTS}),
        (f"oci://{HOST}/app:v1", {app("v1")}),
        (f"pull oci://{HOST}/app:v1 now", {app("v1")}),
    ],
)
def test_place_of_helm_charts_protects_the_charts_below_it(text: str, expected: Any) -> None:
    assert set(references({"url": text})) == expected


EVERY_CHART = ReferencePattern("*", HERE.account, HERE.region, charts=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"oci://{HOST}", [EVERY_CHART]),
        (f"oci://{HOST}/", [EVERY_CHART]),
        (f"dependencies:\n- name: app\n  repository: oci://{HOST}\n", [EVERY_CHART]),
        ("oci://$A.dkr.ecr.$R.amazonaws.com", [ReferencePattern("*", charts=True)]),
        (f"helm push app-1.0.0.tgz oci://{HOST}", []),
        (f"https://{HOST}", []),
        (f"helm registry login {HOST}", []),
    ],
)
def test_charts_at_the_root_of_a_registry_are_all_charts_of_it(
    text: str, expected: list[Any]
) -> None:
    assert references({"url": text}) == expected


BELOW_TEAM = pattern("team/*")


@pytest.mark.parametrize(
    "answer",
    [
        {"value": f"{HOST}/team"},
        {"REGISTRY": f"{HOST}/team"},
        {"imageRepository": f"{HOST}/team"},
        {"dockerHubMirror": f"https://{HOST}/team"},
        {"repos": [f"{HOST}/team/"]},
        {"script": f"REGISTRY={HOST}/team\nrun"},
        {"script": f"skaffold run --default-repo {HOST}/team"},
        {"values.yaml": f"global:\n  hub: {HOST}/team\n  tag: v1\n"},
        {"script": f"pull {HOST}/team/ now"},
        {"hosts.toml": f'[host."https://{HOST}/v2/team"]'},
    ],
)
def test_place_that_is_named_without_an_image_protects_what_is_below_it(answer: Any) -> None:
    """A mirror, or the registry of a chart, gets its names from elsewhere."""
    found = set(references(answer))

    assert BELOW_TEAM in found
    assert found <= {BELOW_TEAM, app(name="team"), app(name="v2/team"), pattern("team")}


@pytest.mark.parametrize(
    "answer",
    [
        {"IMAGE_PREFIX": f"{HOST}/team/app-"},
        {"values.yaml": f"imagePrefix: {HOST}/team/app-\n"},
        {"command": f"docker run {HOST}/team/app- more"},
    ],
)
def test_name_that_ends_as_no_name_does_is_the_begin_of_one(answer: Any) -> None:
    assert pattern("team/app-*") in references(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"image": f"{HOST}/team"},
        {"repositoryUri": f"{HOST}/team"},
        {"newName": f"{HOST}/team"},
        {"script": f"docker run {HOST}/team"},
        {"script": f"REPO={HOST}/team\n"},
        {"script": f"FROM {HOST}/team\nRUN make"},
        {"value": f"{HOST}/team:v1"},
    ],
)
def test_image_or_repository_is_no_place(answer: Any) -> None:
    assert BELOW_TEAM not in references(answer)


@pytest.mark.parametrize("end", ["manifests/v1", f"manifests/{DIGEST}", "tags/list", "blobs/x"])
def test_address_of_the_api_of_a_registry_means_the_repository(end: str) -> None:
    found = references({"script": f"curl https://{HOST}/v2/team/app/{end}"})

    assert pattern("team/app") in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"registry: {HOST}\nrepository: app\ntag: v1\n", {app(), app("v1")}),
        (f"image:\n  registry: '{HOST}'  # ours\n  imageName: \"app:v1\"\n", {app("v1")}),
        (f"a:\n  registry: {HOST}\n  secrets:\n    - s\n  repository: app\n", {app()}),
        (f"image: {{registry: {HOST}, repository: app, tag: v1}}\n", {app(), app("v1")}),
        (f"<registry>{HOST}</registry><repository>app</repository>", {app()}),
        (f"helm --set a.registry={HOST},a.repository=app,a.tag=v1", {app(), app("v1")}),
        (f'cat <<EOF\n{{\n  "registry": "{HOST}",\n  "repository": "app"\n}}\n', {app()}),
        (f"ECR_REGISTRY={HOST}\nREPO=app\nTAG=v1\n", {app(), app("v1")}),
        (f"export R={HOST}\nexport REPO=app\ndocker run $R/$REPO:$TAG\n", {app()}),
        (f"\tset REGISTRY={HOST}\r\n\tset REPO=app\r\n", {app()}),
        # A key may stand twice: in two documents, or assigned again.
        (
            f"registry: {HOST}\nrepository: app\n---\nregistry: {HOST}\nrepository: other\n",
            {app(), app(name="other")},
        ),
        (f"REGISTRY={HOST}\nREPO=app\nREPO=other\n", {app(), app(name="other")}),
        (f"registry: {HOST}\nport: 80\n", set()),
        ("registry: docker.io\nrepository: dkr\n", set()),
    ],
)
def test_parts_in_lines_of_a_text_are_put_together(text: str, expected: Any) -> None:
    assert set(references({"values.yaml": text})) == expected


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            [("REGISTRY", HOST), ("REPOSITORY", "app"), ("TAG", "v1")],
            {pattern("app"), pattern("app", "v1")},
        ),
        ([("ECR_REGISTRY", HOST), ("IMAGE_NAME", "app:v1")], {pattern("app", "v1")}),
        ([("REPOSITORY", APP), ("TAG", "v1")], {app(), pattern("app", "v1")}),
        (
            [("image.registry", HOST), ("image.repository", "app"), ("image.tag", "v1")],
            {pattern("app"), pattern("app", "v1")},
        ),
        (
            [("REGISTRY", HOST), ("REPOSITORY", "app"), ("TAG", "${TAG}")],
            {pattern("app")},
        ),
        ([("REGISTRY", HOST), ("PORT", "80")], set()),
        ([("REGISTRY", "docker.io"), ("REPOSITORY", "app")], set()),
    ],
)
@pytest.mark.parametrize(
    "written",
    [
        lambda name, value: {"name": name, "value": value},
        lambda name, value: {"Name": name, "Value": value},
        lambda name, value: {"ParameterKey": name, "ParameterValue": value},
        lambda name, value: f"{name}={value}",
        lambda name, value: f"--{name}={value}",
    ],
    ids=["Kubernetes", "AWS", "CloudFormation", "shell", "flags"],
)
def test_parts_in_a_list_of_names_and_values_are_put_together(
    items: list[tuple[str, str]], expected: Any, written: Any
) -> None:
    """As patterns: other variables beside them are no reason to report a broken reference."""
    found = set(references({"environment": [written(*one) for one in items]}))

    assert found - {pattern("app/*")} == expected


@pytest.mark.parametrize(
    "text",
    [
        f"env:\n- name: REGISTRY\n  value: {HOST}\n- name: REPOSITORY\n  value: app\n",
        f'[{{"name":"REGISTRY","value":"{HOST}"}}, {{"name":"REPO","value":"app"}}, <more>]',
    ],
    ids=["YAML", "JSON with a placeholder"],
)
def test_names_and_values_in_a_text_are_put_together(text: str) -> None:
    assert pattern("app") in references({"text": text})


def test_flags_with_their_values_behind_them_are_put_together() -> None:
    command = ["--registry", HOST, "--repository", "app", "--tag", "v1"]

    assert set(references({"args": command})) == {pattern("app"), pattern("app", "v1")}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # As charts of Istio and Bitnami have it.
        (
            {"global": {"hub": HOST, "tag": "v1", "proxy": {"image": "proxyv2"}}},
            {pattern("proxyv2")},
        ),
        (
            {"global": {"imageRegistry": HOST}, "image": {"repository": "team/app", "tag": "v1"}},
            {pattern("team/app", "v1")},
        ),
        (
            {"global": {"imageRegistry": HOST}, "image": {"name": "app", "digest": DIGEST}},
            {ReferencePattern("app", HERE.account, HERE.region, digest=DIGEST)},
        ),
        ({"registry": HOST, "a": {"image": "app:v1"}}, {pattern("app", "v1")}),
        ({"registry": HOST, "a": {"image": "app", "tag": "${TAG}"}}, {pattern("app")}),
        ({"registry": HOST, "a": {"image": "team/${NAME}:v1"}}, {pattern("team/*", "v1")}),
        (
            {"registry": HOST, "images": ["app:v1", "web:v2"]},
            {pattern("app", "v1"), pattern("web", "v2")},
        ),
        ({"registry": HOST, "image": {"name": "app"}}, {pattern("app")}),
        ({"registry": HOST, "images": {"web": "app:v1"}}, {pattern("app", "v1")}),
        ({"registry": HOST, "image": {"pullPolicy": "Always"}}, set()),
        ({"registry": HOST, "a": {"name": "app", "version": "1"}}, {pattern("app", "1")}),
        ({"a": [{"name": "REGISTRY", "value": HOST}], "b": {"image": "app"}}, {pattern("app")}),
        ({"a": HOST, "b": [{"name": "IMAGE", "value": "app:v1"}]}, {pattern("app", "v1")}),
        ({"a": HOST, "b": json.dumps({"image": "app:v1"})}, {pattern("app", "v1")}),
        ({"a": HOST, "values": "image:\n  repository: app\n  tag: v1\n"}, {pattern("app", "v1")}),
        (
            {"values": f"global:\n  imageRegistry: {HOST}\nimage:\n  repository: app\n  tag: v1\n"},
            {pattern("app", "v1")},
        ),
        (
            {"values": f"- registry: {HOST}\n  repository: app\n- repository: other\n"},
            {app(), pattern("other")},
        ),
        ({"registry": HOST, "a": {"chart": "app", "version": "1"}}, {pattern("app", "1")}),
        # Not the name of an image in that registry.
        ({"registry": HOST, "a": {"image": "docker.io/app:v1"}}, set()),
        ({"registry": HOST, "a": {"image": "localhost:5000/app:v1"}}, set()),
        ({"registry": HOST, "a": {"image": "https://example.com/logo"}}, set()),
        ({"registry": HOST, "a": {"image": "$.image"}}, set()),
        ({"registry": HOST, "a": {"image": "{{image}}"}}, set()),
        ({"registry": HOST, "a": {"image": "./app"}}, set()),
        ({"registry": HOST, "a": {"image": "an image"}}, set()),
        ({"registry": HOST, "a": {"image": ["", 7, None]}}, set()),
        ({"registry": HOST, "a": {"name": "app"}}, set()),
        ({"registry": "docker.io", "a": {"image": "app:v1"}}, set()),
    ],
)
def test_host_that_stands_alone_counts_for_every_image_without_a_host(
    answer: Any, expected: Any
) -> None:
    """As a pattern: if the image is not of that registry, nothing is reported as broken."""
    assert set(references(answer)) == expected


def test_of_many_hosts_that_stand_alone_only_some_count_for_other_images() -> None:
    """The work stays linear."""
    hosts = [f"{number:012}.dkr.ecr.eu-west-1.amazonaws.com" for number in range(100)]
    answer = {"a": [{"name": "HOST", "value": one} for one in hosts], "b": [{"image": "app"}] * 100}

    assert len(references(answer)) == 16


@pytest.mark.parametrize("name", ["org", "imageNamespace", "project", "repositoryPrefix"])
def test_namespace_may_stand_between_host_and_name(name: str) -> None:
    node = {"registry": HOST, name: "team", "repository": "app", "tag": "v1"}

    assert set(references(node)) >= {app("v1"), app("v1", name="team/app")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://x.example/?image={HOST}%2Fteam%2Fapp%3Av1&b=1", app("v1", name="team/app")),
        (f"image={HOST}%2fapp%40sha256%3a{'a' * 64}", app(digest=DIGEST)),
        (f"image={HOST}%252Fapp%253Av1", app("v1")),
        (f"%7B%22image%22%3A%22{HOST}%2Fapp%3Av1%22%7D", app("v1")),
        (f"{HOST}/app%3Av1", app("v1")),
        (f'run {{"image":"{HOST}\\u002fapp:v1"}}', app("v1")),
    ],
)
def test_encoded_reference_is_found(text: str, expected: Any) -> None:
    assert expected in references({"input": text})


@pytest.mark.parametrize("text", ["%s.dkr.ecr.%s.amazonaws.com/app:v1", f"{HOST}/app:v1 is 100%"])
def test_percent_sign_alone_is_no_encoding(text: str) -> None:
    assert {one.tag for one in references({"image": text})} == {"v1"}


def test_strings_are_found_at_any_depth() -> None:
    deep: Any = f"{HOST}/app:v1"
    for _ in range(100_000):
        deep = [deep]

    assert references({"a": [deep], "b": 3, "c": None}) == [app("v1")]


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_json_in_a_string_is_read_at_any_depth(depth: int) -> None:
    text = "[" * depth + json.dumps(f"{HOST}/app:v1") + "]" * depth

    assert references({"definition": text}) == [app("v1")]


def test_json_in_json_in_json_is_read() -> None:
    inner = json.dumps({"image": f"{HOST}/app", "taskDefinition": "web"})
    found = find({"a": json.dumps({"b": json.dumps({"c": inner})})})

    assert list(found.references) == [app("latest")]
    assert list(found.task_definitions) == [TaskDefinition("web")]


def test_every_value_of_a_repeated_name_counts() -> None:
    text = f'{{"image": "{HOST}/app:1", "image": "{HOST}/app:2"}}'

    assert set(references(text)) == {app("1"), app("2")}


def test_name_of_a_field_counts() -> None:
    assert references({f"{HOST}/app:v1": True}) == [app("v1")]


SCRIPT = f"#!/bin/sh\ndocker run --detach {HOST}/app:v1\n"


@pytest.mark.parametrize(
    "content",
    [
        SCRIPT.encode(),
        gzip.compress(SCRIPT.encode()),
        SCRIPT.encode("utf-16-le"),
        base64.b64encode(SCRIPT.encode()),
    ],
    ids=["plain", "gzip", "powershell", "twice"],
)
@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes, base64.urlsafe_b64encode])
def test_base64_is_read(content: bytes, encode: Any) -> None:
    assert references({"UserData": encode(content).decode()}) == [app("v1")]


def test_broken_gzip_is_no_error() -> None:
    content = gzip.compress(SCRIPT.encode())[:20] + b"x" * 40

    assert references({"UserData": base64.b64encode(content).decode()}) == []


def test_bytes_are_read_as_text() -> None:
    assert references({"recipe": f'{{"Uri": "docker:{HOST}/app:v1"}}'.encode()}) == [app("v1")]


# -- Templates -----------------------------------------------------------------------------------

ANY = ReferencePattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A tag is computed: the whole repository.
        (f"{{% '{HOST}/app:' & $version %}}", app()),
        (f"{{% '{HOST}/app' & ':' & $version %}}", app()),
        (f"States.Format('{HOST}/app:{{}}', $.tag)", app()),
        (f"States.Format('{{}}/{{}}:{{}}', '{HOST}', 'app', $.tag)", app()),
        (f"{HOST}/app:${{TAG}}", app()),
        (f"{HOST}/app:v1-$TAG", app()),
        (f"{HOST}/app:{{{{ tag }}}}", app()),
        (f"{HOST}/app:<tag>", app()),
        (f'"{HOST}/app:" + tag', app()),
        (f"{{% $replace('{HOST}/app:TAG', 'TAG', $tag) %}}", app()),
        # Account, region or host is computed.
        (
            "States.Format('{}.dkr.ecr.{}.amazonaws.com/forecast:latest', $.account, $.region)",
            ANY("forecast", tag="latest"),
        ),
        (
            "{% $account & '.dkr.ecr.eu-west-1.amazonaws.com/app:v1' %}",
            ANY("app", None, "eu-west-1", "v1"),
        ),
        ("123456789012.dkr.ecr.${R}.amazonaws.com/app:v1", ANY("app", "123456789012", None, "v1")),
        ("${A}.dkr.ecr.${R}.${S}/app:v1", ANY("app", tag="v1")),
        ("%s.dkr.ecr.%s.amazonaws.com/app:%s", ANY("app")),
        ("{account}.dkr.ecr.{region}.amazonaws.com/app:v1", ANY("app", tag="v1")),
        ("ACCOUNT_ID.dkr.ecr.eu-west-1.amazonaws.com/app:v1", ANY("app", None, "eu-west-1", "v1")),
        # The repository is computed: what its written part may match.
        (f"{{% '{HOST}/team/' & $name & ':v1' %}}", pattern("team/*", "v1")),
        (f"{HOST}/$NAME:v1", pattern("*", "v1")),
        (f"{HOST}/team/${{NAME}}-web", pattern("team/*")),
        (f"docker run {HOST}/app${{SUFFIX}}", pattern("app*")),
        (f"States.Format('{HOST}/{{}}', States.Format('team/{{}}', $.n))", pattern("team/*")),
        (f"{HOST}/team/${{NAME}}-web:v1", pattern("team/*-web", "v1")),
        # Nothing is computed in these.
        (f"{{% '{HOST}/app:v1' %}}", app("v1")),
        (f"{{% '{HOST}' & '/app:' & 'v1' %}}", app("v1")),
        (f"States.Format('{{}}/app:v1', '{HOST}')", app("v1")),
        (f"IMAGE=${{IMAGE:-{HOST}/app:v1}}", app("v1")),
        (f"run `echo {HOST}/app:v1`", app("v1")),
        # Placeholders within what stands between backticks, and those of PowerShell.
        ("const image = `${a}.dkr.ecr.${r}.amazonaws.com/app:v1`", ANY("app", tag="v1")),
        ("docker run `echo $A.dkr.ecr.$R.amazonaws.com/app:v1`", ANY("app", tag="v1")),
        (f"docker run {HOST}/team/$env:NAME", pattern("team/*")),
    ],
)
def test_what_is_written_in_a_template_decides(
    text: str, expected: ImageReference | ReferencePattern
) -> None:
    assert references({"image": text}) == [expected]


@pytest.mark.parametrize(
    ("text", "name", "tag"),
    [
        ("docker run ${ECR}/team/app:v1", "team/app", "v1"),
        ("docker run $env:ECR/team/app:v1", "team/app", "v1"),
        ("docker run $Env:ECR/app:$script:Tag", "app", None),
        ('docker pull "$ECR"/app:"$TAG"', "app", None),
        ("{% $host & '/app:v1' %}", "app", "v1"),
        ("image = os.environ['REGISTRY'] + '/app:v1'", "app", "v1"),
        ("States.Format('{}/app:{}', $.host, $.tag)", "app", None),
    ],
)
def test_host_that_is_computed_may_hold_a_part_of_the_name(
    text: str, name: str, tag: str | None
) -> None:
    assert references({"image": text}) == [ANY(name, tag=tag), ANY(f"*/{name}", tag=tag)]


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("image", "${REGISTRY}team/app:v1", [ANY("*team/app", tag="v1")]),
        ("ImageUri", "{% $registry & 'team/app' %}", [ANY("*team/app")]),
        ("Dockerfile", "FROM ${REGISTRY}team/app:v1\n", [ANY("*team/app", tag="v1")]),
        ("Dockerfile", "docker run -v ${DIR}data:/data x/y", []),
        ("command", "docker run ${DIR}data/more", []),
    ],
)
def test_prefix_that_is_computed_may_hold_the_host(
    field: str, text: str, expected: list[Any]
) -> None:
    assert references({field: text}) == expected


def test_each_branch_of_an_expression_counts() -> None:
    text = f"{{% $new ? '{HOST}/app:v2' : '{HOST}/app:v1' %}}"

    assert references({"ImageUri": text}) == [app("v2"), app("v1")]


@pytest.mark.parametrize(
    "text", ["cd $HOME/app", "s3://$BUCKET/app", "https://example.com/{id}", "{}:latest", "$.image"]
)
def test_path_with_a_variable_is_no_image(text: str) -> None:
    assert references({"command": text}) == []


@pytest.mark.parametrize(
    "command",
    [
        "docker push $A.dkr.ecr.$R.amazonaws.com/$NAME:$TAG",
        "docker tag $NAME:$TAG $A.dkr.ecr.$R.amazonaws.com/$NAME:$TAG",
        "docker build -t $A.dkr.ecr.$R.amazonaws.com/$NAME:$TAG .",
    ],
)
def test_build_script_that_pushes_anywhere_does_not_protect_everything(command: str) -> None:
    assert references({"buildspec": f"build:\n  - {command}\n"}) == []


def test_build_script_that_runs_anything_protects_everything() -> None:
    script = "docker run $A.dkr.ecr.$R.amazonaws.com/$NAME:$TAG"

    assert references({"buildspec": script}) == [ReferencePattern("*")]


GET = {"Get": "Parameters.Tag"}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"Std:Join": {"On": ":", "Values": [f"{HOST}/train", GET]}}, app(name="train")),
        ({"Std:Join": {"On": "", "Values": [HOST, "/train:", "v1"]}}, app("v1", name="train")),
        (
            {
                "Std:Join": {
                    "On": "/",
                    "Values": [
                        {
                            "Std:Join": {
                                "On": ".",
                                "Values": [GET, "dkr", "ecr", GET, "amazonaws.com"],
                            }
                        },
                        "train:v1",
                    ],
                }
            },
            ANY("train", tag="v1"),
        ),
        (
            {
                "Std:Join": {
                    "On": ".",
                    "Values": [123456789012, f"dkr.ecr.{HERE.region}.amazonaws.com/a:1"],
                }
            },
            app("1", name="a"),
        ),
        ({"Std:Join": {"On": GET, "Values": [f"{HOST}/train", "v1"]}}, pattern("train*")),
        (
            {
                "Fn::Join": [
                    "",
                    [
                        {"Ref": "AWS::AccountId"},
                        ".dkr.ecr.",
                        {"Ref": "AWS::Region"},
                        ".",
                        {"Ref": "AWS::URLSuffix"},
                        "/app:",
                        {"Ref": "Tag"},
                    ],
                ]
            },
            ANY("app"),
        ),
        (
            {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/app:v1"},
            ANY("app", tag="v1"),
        ),
        ({"Fn::Sub": [f"{HOST}/app:${{Tag}}", {"Tag": "v1"}]}, app()),
        ({"Fn::Join": ["", [{"Fn::Sub": f"{HOST}/app"}, ":", "v1"]]}, app("v1")),
    ],
)
def test_join_is_one_text(node: Any, expected: ImageReference | ReferencePattern) -> None:
    """And no half of it is a reference of its own, which might be broken."""
    assert references({"Image": node}) == [expected]


def test_what_a_join_computes_is_read_by_itself() -> None:
    choice = {"Fn::If": ["New", f"{HOST}/app:v2", f"{HOST}/app:v1"]}

    assert set(references({"Image": {"Fn::Join": ["", [choice]]}})) == {app("v1"), app("v2")}


@pytest.mark.parametrize("node", [{"Std:Join": 3}, {"Fn::Join": []}, {"Fn::Join": ["", "text"]}])
def test_join_of_another_shape_is_no_error(node: Any) -> None:
    assert references({"Image": node}) == []


def test_deeply_nested_joins_are_no_error() -> None:
    node: Any = f"{HOST}/app:v1"
    for _ in range(5_000):
        node = {"Fn::Join": ["", [node]]}

    assert references({"Image": node}) == [app("v1")]


def test_prefix_of_a_pull_through_cache_means_all_below_it() -> None:
    assert references({"ecrRepositoryPrefix": "quay"}) == [ReferencePattern("quay/*")]


# -- Task definitions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"any": f"{TASKS}web:3"}, [TaskDefinition(f"{TASKS}web:3", "eu-west-1", "123456789012")]),
        ({"any": f"run {TASKS}web."}, [TaskDefinition(f"{TASKS}web", "eu-west-1", "123456789012")]),
        ({"taskDefinition": "web"}, [TaskDefinition("web")]),
        ({"TaskDefinitionArn": "web:3"}, [TaskDefinition("web:3")]),
        ({"TASK_DEFINITION": "web"}, [TaskDefinition("web")]),
        ({"TaskDefinition": "{% 'web' %}"}, [TaskDefinition("web")]),
        (
            {"TaskDefinition": "{% $x ? 'web' : 'api:3' %}"},
            [TaskDefinition("web"), TaskDefinition("api:3")],
        ),
        ({"TaskDefinition.$": "States.Format('web:{}', $.revision)"}, [TaskDefinition("web")]),
        (
            {"any": "arn:aws:ecs:${AWS::Region}:${AWS::AccountId}:task-definition/web:${Revision}"},
            [TaskDefinition("web")],
        ),
        (
            {"any": "arn:aws:ecs:eu-west-1:{}:task-definition/web:3"},
            [TaskDefinition("web:3", "eu-west-1")],
        ),
        ({"TaskDefinition.$": "$.definition"}, []),
        ({"TaskDefinition.$": "States.Format('web-{}', $.name)"}, []),
        ({"any": "web"}, []),
        ({"any": "arn:aws:ecs:eu-west-1:123456789012:daemon-task-definition/web:3"}, []),
    ],
)
def test_task_definitions_are_found(answer: Any, expected: list[TaskDefinition]) -> None:
    assert list(find(answer).task_definitions) == expected


# -- Any text, and its cost ----------------------------------------------------------------------

NODES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=20,
)


@given(NODES)
def test_no_answer_is_an_error(answer: Any) -> None:
    assert isinstance(find(answer), Found)


PIECES = st.sampled_from(
    [
        *("{", "}", "{}", "{%", "%}", "${", "$A", "$(", "`", "<a>", "%s", "'", '"', "\\", "&", "+"),
        *(HOST, "/app", ":v1", f"@{DIGEST}", "States.Format(", "States.", ",", ")", ".dkr.ecr."),
        *("arn:aws:ecs:", ":task-definition/", "\x00", "[", "]", "\n", " ", "é"),
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=30).map("".join))
@example("States.Format('{}'")
def test_no_text_is_an_error(text: str) -> None:
    find({"image": text, "TaskDefinition": text, "Image": {"Fn::Join": ["", [text, {}]]}})


BEFORE = st.sampled_from(["", " ", "docker run ", "'", '"', "(", "=", "\n", "docker://", "a,"])
AFTER = st.sampled_from(
    ["", " ", "\n", "'", '"', ")", ",", ";", ".", ". And", " --flag", "$X", "{}"]
)
TAGS = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,20}\Z")


@given(BEFORE, TAGS, AFTER)
def test_reference_in_any_surroundings_protects_the_image_that_was_meant(
    before: str, tag: str, after: str
) -> None:
    """By that tag, or the whole repository; never by another tag alone."""
    protected = [
        one
        for one in references({"text": f"{before}{HOST}/app:{tag}{after}"})
        if one.repository == "app" and one.tag in {None, tag}
    ]

    assert protected or references({"text": f"{HOST}/app:{tag}{after}"})[0] == parse(
        f"{HOST}/app:{tag}{after}"
    )


def calls_of(answer: Any) -> int:
    """Return how many functions are called, of Python and of C, to walk an answer."""
    count = 0

    def counted(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        find(answer)
    finally:
        sys.setprofile(before)
    return count


ADVERSARIES = [
    ".dkr.ecr",
    ".dkr.ecr.a/",
    f"{HOST}/app:v1 ",
    "${",
    "$(a",
    "'a' & ",
    "`",
    "<a",
    "States.Format('{}',",
    ":task-definition/a ",
    "$A/image ",
    f"registry: {HOST}\nrepository: a\n",
    f" - registry: {HOST}\n",
    f"A={HOST} image=a ",
    "a.a-",
    "a={{",
    f"{HOST}%2Fa ",
    "%25",
    "%2F",
    "[",
    "QUJD" * 10,
]


@pytest.mark.parametrize("piece", ADVERSARIES)
def test_twice_the_text_is_at_most_twice_the_work(piece: str) -> None:
    once, twice = (calls_of(f"{piece * count}.dkr.ecr image") for count in (500, 1000))

    assert twice <= 2.2 * once + 200


def test_twice_the_states_are_twice_the_work() -> None:
    def machine(states: int) -> dict[str, str]:
        image = "States.Format('{}.dkr.ecr.{}.amazonaws.com/app:v1', $.account, $.region)"
        state = {"Type": "Task", "Parameters": {"ImageUri.$": image, "Image": f"{HOST}/app:v1"}}
        return {"definition": json.dumps({"States": {f"s{n}": state for n in range(states)}})}

    once, twice = (calls_of(machine(states)) for states in (200, 400))

    assert twice <= 2.1 * once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A function stands between the literals, or makes something of one.
        (f"{{% '{HOST}/' & $lowercase('APP') & ':v1' %}}", pattern("*")),
        (f"{{% $a & ('{HOST}/app:' & $b) & 'x' %}}", app()),
        # Deeper than anybody writes: the rest counts as computed.
        (f"{HOST}/app:" + "${" * 40 + "x" + "}" * 40, app()),
    ],
)
def test_expression_that_is_not_understood_is_read_wider(text: str, expected: Any) -> None:
    assert expected in references({"image": text})


def test_account_of_another_length_is_no_account() -> None:
    assert references("see 12345.dkr.ecr.eu-west-1.amazonaws.com/app:v1 there") == []
    assert references(f"see 9{HOST}/app:v1 there") == []


def test_host_of_another_suffix_is_no_registry_though_its_region_is_computed() -> None:
    assert references("123456789012.dkr.ecr.${R}.example.com/app:v1") == []


def test_host_without_a_name_is_no_reference() -> None:
    assert references(f"see {HOST}/:v1 there") == []
    assert references(f"see {HOST}/. there") == []


def test_computed_family_is_no_task_definition_where_a_definition_is_started() -> None:
    assert list(find({"TaskDefinition": "web-${NAME}"}).task_definitions) == []
    assert list(find({"x": "arn:aws:ecs:eu-west-1:1:task-definition/${N}"}).task_definitions) == []


def test_other_intrinsic_functions_are_computed_and_their_arguments_count() -> None:
    text = f"States.ArrayGetItem(States.Array('{HOST}/app:v1', '{HOST}/app:v2'), 0)"

    assert set(references({"ImageUri.$": text})) == {app("v1"), app("v2")}
    nested = f"States.Format('{HOST}/app:{{}}', States.Hash($.x, 'MD5'))"
    assert references({"ImageUri.$": nested}) == [app()]


def test_family_of_which_a_part_is_computed_is_no_task_definition() -> None:
    arn = "arn:aws:ecs:${AWS::Region}:123456789012:task-definition/web${Suffix}"

    assert list(find({"x": arn}).task_definitions) == []


def test_suffix_of_an_unknown_partition_is_no_registry() -> None:
    assert references("see 123456789012.dkr.ecr.eu-west-1${X}.example.org/app:v1 there") == []


def test_sign_that_no_name_holds_may_begin_a_computed_part() -> None:
    assert references(f"run {HOST}/app*") == [pattern("app*")]


def test_image_of_which_nothing_is_written_is_not_seen() -> None:
    assert references("docker pull $REGISTRY/$NAME:v1") == []
