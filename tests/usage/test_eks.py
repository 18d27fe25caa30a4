"""The source ``eks``: everything in every cluster, or a guard with its reason and its fix."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from moto import mock_aws

from core.worlds import sha
from ecr_cleaner.aws import kubernetes
from ecr_cleaner.aws.kubernetes import KubernetesApi
from ecr_cleaner.aws.kubernetes_access import eks_token
from ecr_cleaner.aws.session import Aws, open_session
from ecr_cleaner.core.errors import ApiError, CleanerError, OutOfTimeError
from ecr_cleaner.core.kubernetes import REQUIRED
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.eks import Eks
from ecr_cleaner.usage.shared.cluster import read_cluster
from ecr_cleaner.workers import Workers
from fakes.aws_api import DEFAULTS, account, error, home_target
from fakes.certificates import authority
from fakes.kubernetes import (
    WORKFLOWS,
    FakeCluster,
    running,
)
from fakes.scripted import DENIED, HOST, Scripted, by

IMAGE = f"{HOST}/app:1"
FORMAT = "k8s-aws-v1."


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "_PAUSE", 0)


def is_presigned(token: str) -> str | None:
    return "tester" if token.startswith(FORMAT) else None


@contextmanager
def clusters(*names: str) -> Iterator[dict[str, FakeCluster]]:
    """Serve clusters that any presigned token opens."""
    with ExitStack() as stack:
        made = {name: stack.enter_context(running()) for name in names}
        for cluster in made.values():
            cluster.user_of = is_presigned
        yield made


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with clusters("prod") as made:
        yield made["prod"]


def described(cluster: FakeCluster, **more: Any) -> dict[str, Any]:
    """Return what DescribeCluster answers."""
    encoded = base64.b64encode(cluster.authority.pem.encode()).decode()
    content = {
        "status": "ACTIVE",
        "arn": "arn:aws:eks:eu-west-1:123456789012:cluster/prod",
        "endpoint": cluster.url,
        "certificateAuthority": {"data": encoded},
        "accessConfig": {"authenticationMode": "API"},
        "resourcesVpcConfig": {
            "vpcId": "vpc-1",
            "subnetIds": ["subnet-1"],
            "clusterSecurityGroupId": "sg-1",
            "endpointPublicAccess": True,
            "publicAccessCidrs": ["192.0.2.0/24"],
        },
    }
    return {"cluster": content | more}


def eks(made: Mapping[str, Any]) -> Scripted:
    """Return an EKS that lists these clusters on two pages, with an empty one between them."""
    answers = {
        name: described(one) if isinstance(one, FakeCluster) else one for name, one in made.items()
    }
    names = list(made)
    pages = [{"clusters": names[:1]}, {"clusters": []}, {"clusters": names[1:]}]
    return Scripted("eks", ListClusters=pages, DescribeCluster=by("name", answers))


def scanned(
    made: Mapping[str, Any], settings: Settings = DEFAULTS
) -> tuple[list[Usage], dict[str, ClusterReading]]:
    with account(eks(made), Scripted("sts"), settings=settings) as target:
        usages = list(Eks().usages(target))
        return usages, {one.cluster: one for one in target.clusters}


def held(cluster: FakeCluster, settings: Settings = DEFAULTS) -> set[tuple[str, str]]:
    """Return consumers with the tags that they hold in a cluster that is read in full."""
    usages, readings = scanned({"prod": cluster}, settings)
    assert readings["prod"].problem == ""
    return {(one.consumer, one.reference.tag or one.reference.digest or "") for one in usages}


POD = {"containers": [{"name": "main", "image": IMAGE}]}
TEMPLATE: dict[str, Any] = {"spec": {"template": {"spec": POD}}}


@pytest.mark.parametrize("kind", REQUIRED, ids=[kind.name for kind in REQUIRED])
def test_every_required_kind_counts(cluster: FakeCluster, kind: Any) -> None:
    cluster.create(kind.name, "web", "shop", any=TEMPLATE)
    name = next(one.kind for one in cluster.resources if one.full_name == kind.name)

    assert held(cluster) == {(f"prod/shop/{name}/web", "1")}


def test_custom_resources_and_other_kinds_count(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.create("workflowtemplates.argoproj.io", "nightly", "ci", any=TEMPLATE)
    values = {"values": {"image": {"repository": f"{HOST}/app", "tag": "7"}}}
    cluster.create("rollouts.argoproj.io", "web", "shop", spec=values)
    cluster.create("namespaces", "shop", metadata_of={"inject": f"{HOST}/app:proxy"})

    assert held(cluster) == {
        ("prod/ci/WorkflowTemplate/nightly", "1"),
        ("prod/shop/Rollout/web", "7"),
        ("prod/-/Namespace/shop", "proxy"),
    }


def test_deployment_without_pods_and_old_replica_set_count(cluster: FakeCluster) -> None:
    cluster.create("deployments.apps", "web", spec={"replicas": 0, "template": {"spec": POD}})
    old = {"containers": [{"image": f"{HOST}/app:0"}]}
    cluster.create("replicasets.apps", "web-0", spec={"replicas": 0, "template": {"spec": old}})

    assert held(cluster) == {
        ("prod/default/Deployment/web", "1"),
        ("prod/default/ReplicaSet/web-0", "0"),
    }


def test_digest_that_a_pod_runs_counts(cluster: FakeCluster) -> None:
    statuses = [{"name": "main", "image": IMAGE, "imageID": f"{HOST}/app@{sha('a')}"}]
    cluster.create("pods", "web-0", spec=POD, status={"containerStatuses": statuses})

    assert held(cluster) == {
        ("prod/default/Pod/web-0", "1"),
        ("prod/default/Pod/web-0", sha("a")),
    }


def test_secrets_events_and_nodes_are_not_listed(cluster: FakeCluster) -> None:
    for resource in ("secrets", "events", "nodes", "leases.coordination.k8s.io"):
        cluster.create(resource, "x", any=TEMPLATE)

    assert held(cluster) == set()
    assert not any(
        path.endswith(("/secrets", "/events", "/nodes", "/leases")) for path in cluster.listed
    )


def test_pods_are_listed_last(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    held(cluster)

    assert cluster.listed[-len(REQUIRED) :] == [kind.path for kind in REQUIRED]
    assert cluster.listed[-1] == "/api/v1/pods"


def test_nothing_but_lists_and_discovery_is_asked_for(cluster: FakeCluster) -> None:
    held(cluster)

    for request in cluster.requests:
        assert re.fullmatch(r"/apis?(/[a-z0-9./]+)?(\?limit=[0-9]+)?", request)


def test_same_consumer_of_thousands_is_held_once(cluster: FakeCluster) -> None:
    for number in range(300):
        cluster.create("pods", f"web-{number}", spec=POD)

    usages, _ = scanned({"prod": cluster})
    assert len(usages) == 10


# -- Several clusters ----------------------------------------------------------------------------


def test_all_kinds_of_clusters_are_listed(cluster: FakeCluster) -> None:
    api = eks({"prod": cluster})
    with account(api, Scripted("sts")) as target:
        list(Eks().usages(target))

    assert all(one["include"] == ["all"] for one in api.asked("ListClusters"))
    assert len(api.asked("ListClusters")) == 3


def test_cluster_that_cannot_be_read_does_not_hide_the_others() -> None:
    with clusters("dev", "prod", "test") as made:
        for one in made.values():
            one.create("pods", "web", spec=POD)
        made["prod"].denied.add("cronjobs.batch")

        usages, readings = scanned(made)

    assert {name for name, one in readings.items() if one.problem} == {"prod"}
    assert {"dev/default/Pod/web", "test/default/Pod/web"} <= {one.consumer for one in usages}


def test_what_was_found_before_a_failure_is_kept() -> None:
    with clusters("prod") as made:
        made["prod"].create("deployments.apps", "web", any=TEMPLATE)
        made["prod"].denied.add("pods")

        usages, readings = scanned(made)

    assert [one.consumer for one in usages] == ["prod/default/Deployment/web"]
    assert readings["prod"].problem


def test_each_cluster_gets_a_token_of_its_own() -> None:
    with clusters("dev", "prod") as made:
        scanned(made)
        (dev,), (prod,) = set(made["dev"].tokens), set(made["prod"].tokens)

    assert dev != prod


def test_waived_cluster_is_not_asked() -> None:
    with clusters("dev", "prod") as made:
        api = eks(made)
        with account(api, Scripted("sts"), settings=Settings(waived_clusters=("dev",))) as target:
            list(Eks().usages(target))

        assert [one["name"] for one in api.asked("DescribeCluster")] == ["prod"]
        assert made["dev"].requests == []
        assert [one.cluster for one in target.clusters] == ["prod"]


def test_waived_group_is_neither_read_nor_required(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.denied.update(one.full_name for one in WORKFLOWS)
    _, readings = scanned({"prod": cluster})
    assert "WAIVED_API_GROUPS" in readings["prod"].fix

    assert held(cluster, Settings(waived_api_groups=("argoproj.io",))) == set()


# -- Reasons and fixes ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUIRED, ids=[kind.name for kind in REQUIRED])
def test_denied_kind_is_named_with_the_rule_that_allows_it(cluster: FakeCluster, kind: Any) -> None:
    cluster.denied.add(kind.name)

    _, readings = scanned({"prod": cluster})

    assert f"it denies a list ({kind.name}): HTTP 403, " in readings["prod"].problem
    assert f'resources: ["{kind.resource}"], verbs: ["list"]' in readings["prod"].fix


@pytest.mark.parametrize("kind", REQUIRED, ids=[kind.name for kind in REQUIRED])
def test_required_kind_that_is_not_served_guards(cluster: FakeCluster, kind: Any) -> None:
    cluster.resources = [one for one in cluster.resources if one.full_name != kind.name]

    _, readings = scanned({"prod": cluster})

    assert f"it does not list {kind.name}" in readings["prod"].problem


def test_unknown_caller_is_told_of_the_access_entry(cluster: FakeCluster) -> None:
    cluster.user_of = lambda _: None
    old = described(cluster, accessConfig={"authenticationMode": "CONFIG_MAP"})

    _, readings = scanned({"prod": cluster, "old": old})

    assert "it does not know the caller: HTTP 401" in readings["prod"].problem
    assert readings["prod"].fix.startswith("create an access entry")
    assert readings["old"].fix.startswith("allow access entries (aws eks update-cluster-config")


def test_endpoint_that_cannot_be_reached_is_told_of_its_network() -> None:
    with running() as gone:
        pass
    network = {"vpcId": "vpc-9", "subnetIds": ["subnet-9"], "endpointPublicAccess": False}
    private = described(gone, resourcesVpcConfig=network)

    _, readings = scanned({"public": gone, "private": private})

    assert urlsplit(gone.url).netloc in readings["public"].problem
    assert "publicAccessCidrs (now 192.0.2.0/24)" in readings["public"].fix
    assert "subnet-9" in readings["private"].fix
    assert "publicAccessCidrs" not in readings["private"].fix


def test_wrong_authority_is_told() -> None:
    with clusters("prod") as made:
        other = base64.b64encode(authority(number=1).pem.encode()).decode()
        answer = described(made["prod"], certificateAuthority={"data": other})
        _, readings = scanned({"prod": answer})

    assert "the certificate of its API server" in readings["prod"].problem
    assert made["prod"].requests == []


@pytest.mark.parametrize("data", [None, "", "?", "bm90IGEgY2VydGlmaWNhdGU=", "4pyT"])
def test_without_an_authority_nothing_is_sent(cluster: FakeCluster, data: str | None) -> None:
    content = {"data": data} if data is not None else {}
    answer = described(cluster, certificateAuthority=content)

    _, readings = scanned({"prod": answer})

    assert "the certificate of its API server" in readings["prod"].problem
    assert cluster.requests == []


@pytest.mark.parametrize("state", ["CREATING", "FAILED", "PENDING"])
def test_cluster_without_an_endpoint_guards(state: str) -> None:
    _, readings = scanned({"new": {"cluster": {"status": state}}})

    assert f"its status is {state}" in readings["new"].problem


def test_connected_cluster_is_to_be_read_from_within() -> None:
    arn = "arn:aws:eks:eu-west-1:123456789012:cluster/rack"
    rack = {"status": "ACTIVE", "arn": arn, "connectorConfig": {"provider": "OTHER"}}

    _, readings = scanned({"rack": {"cluster": rack}})

    assert readings["rack"].problem.startswith("it is only connected to EKS")
    assert f"with --cluster={arn}, and" in readings["rack"].fix


def test_denied_kinds_are_all_named_and_the_others_are_read(cluster: FakeCluster) -> None:
    cluster.create("pods", "web", spec=POD)
    cluster.denied.update({"deployments.apps", "jobs.batch"})

    usages, readings = scanned({"prod": cluster})

    assert "it denies a list (deployments.apps, jobs.batch): " in readings["prod"].problem
    assert '["deployments"]' in readings["prod"].fix
    assert '["jobs"]' in readings["prod"].fix
    assert [one.consumer for one in usages] == ["prod/default/Pod/web"]


# -- Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [DENIED, error("ServerException"), error("ThrottlingException")])
def test_clusters_that_cannot_be_listed_end_the_scan(fault: Exception) -> None:
    with (
        account(Scripted("eks", ListClusters=fault), Scripted("sts")) as target,
        pytest.raises(ApiError, match="eks ListClusters failed"),
    ):
        list(Eks().usages(target))


@pytest.mark.parametrize("fault", [DENIED, error("ServerException"), error("ThrottlingException")])
def test_cluster_that_cannot_be_described_ends_the_scan(
    cluster: FakeCluster, fault: Exception
) -> None:
    with pytest.raises(ApiError, match="eks DescribeCluster failed"):
        scanned({"prod": cluster, "other": fault})


def test_cluster_that_vanished_since_the_listing_runs_nothing(cluster: FakeCluster) -> None:
    _, readings = scanned({"prod": cluster, "gone": error("ResourceNotFoundException")})

    assert readings["gone"].problem == ""


@pytest.mark.parametrize("metadata", [None, {}, {"name": 5}])
def test_object_without_a_name_guards(cluster: FakeCluster, metadata: Any) -> None:
    cluster.objects["pods"].append({"metadata": metadata, "spec": POD})

    _, readings = scanned({"prod": cluster})

    assert "an object has no name" in readings["prod"].problem


def test_failure_that_nobody_foresaw_guards(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(_: object) -> None:
        raise KeyError("metadata")

    cluster.create("pods", "web")
    monkeypatch.setattr("ecr_cleaner.usage.shared.cluster.references_of", surprise)

    _, readings = scanned({"prod": cluster})

    assert "KeyError('metadata')" in readings["prod"].problem


def test_time_that_runs_out_within_a_cluster_ends_the_scan(cluster: FakeCluster) -> None:
    left = iter([100.0] * 5)
    late = Deadline(seconds_left=lambda: next(left, 39.0))
    api = KubernetesApi("prod", cluster.endpoint, lambda: FORMAT, late)

    with pytest.raises(OutOfTimeError, match="prod"):
        read_cluster("prod", api, late)
    assert len(cluster.requests) == 5


# -- Tokens, as STS sees them --------------------------------------------------------------------


def caller(token: str, cluster: str, host: str) -> str | None:
    """Return the ARN behind a token, as the authenticator of EKS finds it: by asking STS."""
    encoded = token.removeprefix(FORMAT)
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    query = parse_qs(urlsplit(url).query)
    signed = query["X-Amz-SignedHeaders"][0].split(";")
    assert url.startswith(f"https://{host}/?")
    assert signed == ["host", "x-k8s-aws-id"]
    assert query["Action"] == ["GetCallerIdentity"]
    assert int(query["X-Amz-Expires"][0]) <= 900
    answer = requests.get(url, headers={"x-k8s-aws-id": cluster}, timeout=10)
    found = ET.fromstring(answer.content).find(".//{*}Arn")  # noqa: S314 - moto's
    return None if found is None else found.text


def own_api(cluster: FakeCluster, workers: Workers) -> KubernetesApi:
    """Return the API of a cluster with tokens of the session's credentials."""
    target = home_target(Aws(open_session("eu-west-1"), workers))
    encoded = base64.b64encode(cluster.authority.pem.encode()).decode()
    return target.kubernetes("prod", cluster.url, encoded)


def test_token_is_one_that_sts_knows(cluster: FakeCluster) -> None:
    callers: list[str | None] = []

    def user_of(token: str) -> str | None:
        callers.append(caller(token, "prod", "sts.eu-west-1.amazonaws.com"))
        return callers[-1]

    cluster.user_of = user_of
    with mock_aws(), Workers(2) as workers:
        assert own_api(cluster, workers).kinds()

    assert len(set(callers)) == len(set(cluster.tokens)) == 1
    assert str(callers[0]).startswith("arn:aws:sts::123456789012:")
    assert re.fullmatch(r"k8s-aws-v1\.[A-Za-z0-9_-]+", cluster.tokens[0])


def test_token_is_signed_for_the_endpoint_that_the_environment_names(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://sts.example.com")
    with Workers(2) as workers:
        assert own_api(cluster, workers).kinds()

    encoded = cluster.tokens[0].removeprefix(FORMAT)
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    assert url.startswith(b"https://sts.example.com/?Action=GetCallerIdentity&")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_without_credentials_there_is_no_token(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with Workers(2) as workers, pytest.raises(CleanerError, match="credentials"):
        own_api(cluster, workers).kinds()

    assert cluster.requests == []


def test_role_that_cannot_be_assumed_for_a_token_is_an_error_of_ours() -> None:
    session = mock.Mock()
    session.get_credentials.side_effect = error("AccessDenied", "not authorized to assume it")

    with pytest.raises(CleanerError, match=r"no token can be made for the cluster prod: .* assume"):
        eks_token(session, mock.Mock(), "prod")
