"""What holds for any API server: the fake one, and a real one if KUBE_APISERVER names it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]  # moto brings it, without types

from ecr_cleaner.aws import kubernetes
from ecr_cleaner.aws.kubernetes_access import in_cluster
from ecr_cleaner.core.kubernetes import (
    REQUIRED,
    SKIPPED,
    SKIPPED_GROUPS,
    ClusterError,
    Kind,
    Obstacle,
)
from ecr_cleaner.core.usage_document import UsageDocument
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.cluster import read_cluster
from fakes.scripted import HOST
from kubernetes_servers import ADMIN, BINARY, READER_USER, Rule, Server, fake_server, real_server

WIDGETS = Kind("example.com", "v1", "widgets", "Widget")
CONFIGMAPS = next(kind for kind in REQUIRED if kind.name == "configmaps")
IN_CLUSTER = Path(__file__).parents[2] / "examples/in-cluster"


def pod_spec(tag: str) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": f"{HOST}/app:{tag}"}],
    }


def template(tag: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "x"}}, "spec": pod_spec(tag)}


SELECTED = {"selector": {"matchLabels": {"app": "x"}}}
ALWAYS = {"restartPolicy": "Always"}


def running_forever(tag: str) -> dict[str, Any]:
    made = template(tag)
    made["spec"] |= ALWAYS
    return made


# A valid object of each required kind, with a tag of its own.
OBJECTS: Mapping[str, dict[str, Any]] = {
    "replicationcontrollers": {
        "spec": {"replicas": 0, "selector": {"app": "x"}, "template": running_forever("rc")}
    },
    "podtemplates": {"template": template("podtemplate")},
    "deployments.apps": {
        "spec": {"replicas": 0, **SELECTED, "template": running_forever("deploy")}
    },
    "replicasets.apps": {"spec": {"replicas": 0, **SELECTED, "template": running_forever("rs")}},
    "statefulsets.apps": {
        "spec": {"replicas": 0, "serviceName": "x", **SELECTED, "template": running_forever("sts")}
    },
    "daemonsets.apps": {"spec": {**SELECTED, "template": running_forever("ds")}},
    "controllerrevisions.apps": {"revision": 1, "data": {"spec": {"template": template("cr")}}},
    "cronjobs.batch": {
        "spec": {
            "schedule": "0 0 * * *",
            "suspend": True,
            "jobTemplate": {"spec": {"template": {"spec": pod_spec("cronjob")}}},
        }
    },
    "jobs.batch": {"spec": {"template": {"spec": pod_spec("job")}}},
    "configmaps": {"data": {"image": f"{HOST}/app:configmap"}},
    "pods": {"spec": pod_spec("pod")},
}
TAGS = {
    *("rc", "podtemplate", "deploy", "rs", "sts", "ds", "cr", "cronjob", "job", "configmap", "pod"),
}


def without(kind: Kind) -> str:
    return f"without-{kind.name}"


USERS = ("nobody", "newcomer", READER_USER, *(without(kind) for kind in (*REQUIRED, WIDGETS)))


@pytest.fixture(scope="module", params=["fake", *(["real"] if BINARY else [])])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("kube-apiserver")
    real = request.param == "real"
    with real_server(directory, USERS) if real else fake_server() as made:
        made.define(WIDGETS)
        for kind in REQUIRED:
            made.create(kind, "contract", OBJECTS[kind.name])
        for number in range(5):
            made.create(CONFIGMAPS, f"contract-{number}", {"data": {}})
        made.create(WIDGETS, "contract", {"spec": {"image": f"{HOST}/app:widget"}})
        yield made


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "FIRST_LIMIT", 2)
    monkeypatch.setattr(kubernetes, "MOST_ITEMS", 2)


def read(server: Server, user: str = ADMIN, *waived: str) -> UsageDocument:
    return read_cluster("c", server.api(user), Deadline(), waived_api_groups=waived)


# -- Discovery -----------------------------------------------------------------------------------


def test_every_required_kind_is_discovered_and_pods_come_last(server: Server) -> None:
    names = [kind.name for kind in server.api().kinds()]

    assert names[-len(REQUIRED) :] == [kind.name for kind in REQUIRED]
    assert WIDGETS.name in names
    assert not {"secrets", "events", "nodes"} & set(names)


def test_anybody_may_discover(server: Server) -> None:
    assert server.api("nobody").kinds() == server.api().kinds()


def test_kind_that_is_not_served_is_told_apart(server: Server) -> None:
    gone = Kind("example.com", "v1", "gadgets", "Gadget")
    assert failure(server, kind=gone) is Obstacle.VANISHED


def test_group_without_a_backend_guards_unless_it_is_waived(server: Server) -> None:
    group = "broken.example.com"
    server.add_group_without_backend(group)
    try:
        document = read(server)
        waived = read(server, ADMIN, group)
    finally:
        server.remove_group(group)

    assert document.problem.startswith(f"it answered with an error (*.{group}): HTTP 503")
    assert document.fix.endswith("name the group in WAIVED_API_GROUPS")
    assert waived.problem == ""


# -- Lists ---------------------------------------------------------------------------------------


def test_every_kind_is_read_in_full(server: Server) -> None:
    document = read(server)

    assert document.problem == ""
    assert set(document.kinds) == {kind.name for kind in server.api().kinds()}
    found = {reference.tag for reference, _ in document.held}
    assert found >= (TAGS - {"configmap"}) | {"widget"}
    # In a text, the tag may be what is found, or the repository as a whole.
    assert found & {"configmap", None}


@pytest.mark.usefixtures("small_pages")
def test_pages_hold_every_object_once(server: Server) -> None:
    pages: list[list[str]] = []

    server.api().each_page(CONFIGMAPS, lambda items: pages.append(uids(items)))

    names = [name for page in pages for name in page]
    assert len(pages) >= 3
    assert all(len(page) <= 2 for page in pages)
    assert len(set(names)) == len(names) >= 6


@pytest.mark.usefixtures("small_pages")
def test_list_that_expires_is_read_again_from_its_beginning(server: Server) -> None:
    pages: list[list[str]] = []

    def take(items: list[Any]) -> None:
        pages.append(uids(items))
        if len(pages) == 1:
            server.expire(CONFIGMAPS)

    server.api().each_page(CONFIGMAPS, take)

    assert pages[0] == pages[1]
    assert len({uid for page in pages[1:] for uid in page}) == sum(map(len, pages[1:])) >= 6


@pytest.mark.usefixtures("small_pages")
def test_list_that_always_expires_is_an_error(server: Server) -> None:
    with pytest.raises(ClusterError) as raised:
        server.api().each_page(CONFIGMAPS, lambda _: server.expire(CONFIGMAPS))

    assert raised.value.obstacle is Obstacle.EXPIRED
    assert "HTTP 410" in raised.value.detail
    # The last page expires nothing for the next test.
    server.api().each_page(CONFIGMAPS, lambda _: None)


def test_large_list_comes_compressed_and_is_read(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    encodings: list[str] = []
    unpack = kubernetes.KubernetesApi._unpacked  # noqa: SLF001 - what comes over the wire

    def note(api: Any, answer: tuple[str, bytes], kind: Kind | None = None) -> bytes:
        encodings.append(answer[0])
        return unpack(api, answer, kind)

    monkeypatch.setattr(kubernetes.KubernetesApi, "_unpacked", note)
    text = "x" * 200_000 + f" {HOST}/app:large"
    server.create(WIDGETS, "large", {"spec": {"text": text}})

    assert "large" in {reference.tag for reference, _ in read(server).held}
    assert "gzip" in encodings


def uids(items: list[Any]) -> list[str]:
    return [item["metadata"]["uid"] for item in items]


# -- Rights --------------------------------------------------------------------------------------


def failure(server: Server, user: str = ADMIN, kind: Kind = REQUIRED[-1]) -> Obstacle:
    with pytest.raises(ClusterError) as raised:
        server.api(user).each_page(kind, lambda _: None)
    return raised.value.obstacle


def test_unknown_token_is_told_apart(server: Server) -> None:
    assert failure(server, "unknown") is Obstacle.NOT_AUTHENTICATED
    assert read(server, "unknown").problem.startswith("it does not know the caller: HTTP 401")


def test_missing_right_is_told_apart(server: Server) -> None:
    assert failure(server, "nobody") is Obstacle.FORBIDDEN


@pytest.mark.parametrize("kind", [*REQUIRED, WIDGETS], ids=lambda kind: kind.name)
def test_list_that_is_denied_guards_and_the_rule_of_the_fix_allows_it(
    server: Server, kind: Kind
) -> None:
    user = without(kind)
    rules = [rule_for(one) for one in server.api().kinds() if one.name != kind.name]
    server.allow(user, rules)

    denied = read(server, user)

    assert denied.problem.startswith(f"it denies a list ({kind.name}): HTTP 403, {kind.name} is")
    (named,) = re.findall(r"\{.*?\}", denied.fix)
    server.allow(user, [*rules, yaml.safe_load(named)])
    assert read(server, user).problem == ""


def test_one_fix_names_all_lists_that_are_denied(server: Server) -> None:
    denied = read(server, "newcomer")

    assert not denied.kinds
    rules = [yaml.safe_load(named) for named in re.findall(r"\{.*?\}", denied.fix)]
    assert len(rules) == len({group for rule in rules for group in rule["apiGroups"]}) >= 4
    server.allow("newcomer", rules)
    document = read(server, "newcomer")
    assert document.problem == ""
    assert WIDGETS.name in document.kinds


def rule_for(kind: Kind) -> Rule:
    return {"apiGroups": [kind.group], "resources": [kind.resource], "verbs": ["list"]}


@pytest.fixture(scope="module")
def applied(server: Server) -> Server:
    """Apply what examples/in-cluster holds."""
    files = yaml.safe_load((IN_CLUSTER / "kustomization.yaml").read_text())["resources"]
    texts = ((IN_CLUSTER / file).read_text() for file in files)
    server.apply([one for text in texts for one in yaml.safe_load_all(text)])
    return server


def test_role_of_the_example_is_enough_for_the_function(applied: Server) -> None:
    document = read(applied, READER_USER, WIDGETS.group)

    assert document.problem == ""
    assert {reference.tag for reference, _ in document.held} >= TAGS - {"configmap"}


def test_role_of_the_example_is_enough_for_the_pod(applied: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(applied.endpoint.authority)
    (tmp_path / "token").write_text(applied.pod_token("ecr-cleaner", "ecr-cleaner"))
    host, _, port = urlsplit(applied.endpoint.url).netloc.partition(":")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    api = in_cluster(environ, "c", Deadline(), tmp_path)
    document = read_cluster("c", api, Deadline(), waived_api_groups=[WIDGETS.group])

    assert document.problem == ""


def test_role_of_the_example_reads_no_custom_resources_and_the_fix_says_so(
    applied: Server,
) -> None:
    document = read(applied, READER_USER)

    assert document.problem.startswith("it denies a list (widgets.example.com): HTTP 403")
    assert document.fix.endswith("name the group in WAIVED_API_GROUPS")


def test_role_of_the_example_reads_no_secrets(applied: Server) -> None:
    assert failure(applied, READER_USER, Kind("", "v1", "secrets", "Secret")) is Obstacle.FORBIDDEN


# -- An independent client -----------------------------------------------------------------------

KUBECTL = shutil.which("kubectl") or ""

if KUBECTL:

    def kubectl(server: Server, directory: Path, *arguments: str) -> list[str]:
        (directory / "ca.crt").write_text(server.endpoint.authority)
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [
                KUBECTL,
                f"--server={server.endpoint.url}",
                f"--certificate-authority={directory / 'ca.crt'}",
                f"--token={ADMIN}",
                *arguments,
            ],
            env={"HOME": str(directory), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    def test_kubectl_finds_the_same_kinds(server: Server, tmp_path: Path) -> None:
        listed = kubectl(server, tmp_path, "api-resources", "--verbs=list", "--output=name")

        names = {name for name in listed if name.partition(".")[2] not in SKIPPED_GROUPS}
        assert {kind.name for kind in server.api().kinds()} == names - SKIPPED

    def test_kubectl_lists_the_same_objects(server: Server, tmp_path: Path) -> None:
        kinds = [*REQUIRED, WIDGETS]
        template = "{{range .items}}{{.metadata.uid}}{{println}}{{end}}"
        arguments = ["get", ",".join(kind.name for kind in kinds), "--all-namespaces"]
        output = f"--output=go-template={template}"
        listed = kubectl(server, tmp_path, *arguments, "--chunk-size=3", output)

        found: list[str] = []
        for kind in server.api().kinds():
            if kind.name in {one.name for one in kinds}:
                server.api().each_page(kind, lambda items: found.extend(uids(items)))
        assert sorted(listed) == sorted(found)
        assert len(found) >= len(kinds)
