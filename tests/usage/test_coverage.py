"""What a run states about each kind of consumer: scanned, not in this region, or waived."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ecr_cleaner
from ecr_cleaner.aws.availability import Availability
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import InvalidSettingError, ScanError
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.usage.scan import Scan, State, scan
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.usage.sources import SOURCES, sources_for
from ecr_cleaner.workers import Workers
from fakes.aws_api import REGION, FakeSession, home_target
from fakes.ecr import CALLER
from fakes.log import FakeLog
from fakes.scripted import DENIED, HOST, Scripted

PERMISSIONS = json.loads((Path(ecr_cleaner.__path__[0]) / "permissions.json").read_text())
ACTIONS: dict[str, list[str]] = PERMISSIONS["usage"] | PERMISSIONS["optional"]
OPTIONAL = Settings(
    inspector_coverage=True,
    reference_lists=("ssm:list",),
    cluster_documents=("s3://bucket/clusters/",),
)
EVERYTHING = sources_for(OPTIONAL)
NAMES = [source.name for source in EVERYTHING]
DEFINITION = "arn:aws:ecs:eu-north-1:123456789012:task-definition/report:3"
# App Runner has never come to this region, and comes to no other any more.
WITHOUT_APP_RUNNER = "eu-north-1"
UNHEARD_OF = "eu-west-9"

Calls = Counter[tuple[str, str, str]]


class EmptyAccount:
    """An account that has every service, and nothing in any of them."""

    def __init__(self) -> None:
        services = {source.service for source in EVERYTHING} | {"ecr", "ec2", "ssm", "sts"}
        self.apis = {service: Scripted(service) for service in services}
        self._sessions: dict[str, FakeSession] = {}

    def session(self, region: str) -> FakeSession:
        """Return the one session of a region: each reads the SDK's list of regions for itself."""
        if region not in self._sessions:
            self._sessions[region] = FakeSession(list(self.apis.values()), region)
        return self._sessions[region]

    def reset(self) -> None:
        """Forget what was asked, and have nothing in any service again."""
        for api in self.apis.values():
            api.calls.clear()
        self.apis["ecr"].line("DescribeRepositories", {"repositories": []})
        parameter = {"Value": f"{HOST}/app:1", "LastModifiedDate": datetime.now(UTC)}
        self.apis["ecr"].line("DescribeRegistry", {"replicationConfiguration": {"rules": []}})
        self.apis["sts"].line("GetCallerIdentity", {"Arn": CALLER})
        self.apis["ssm"].line("GetParameter", {"Parameter": parameter})
        self.apis["s3"].line("ListObjectsV2", {"KeyCount": 0})
        for source in EVERYTHING:
            for operation in own_operations(source, self.apis[source.service]):
                self.apis[source.service].line(operation, {})

    @property
    def calls(self) -> Calls:
        return Counter(
            (service, operation, str(parameters))
            for service, api in self.apis.items()
            for operation, parameters in api.calls
        )

    def scan(
        self, settings: Settings, region: str = REGION, sources: Sequence[UsageSource] = SOURCES
    ) -> Scan:
        with Workers(4) as workers:
            return scan(home_target(Aws(self.session(region), workers), settings), sources)

    def run(self, settings: Settings, region: str = REGION) -> tuple[dict[str, Any], FakeLog]:
        log = FakeLog()
        with Workers(4) as workers:
            aws = Aws(self.session(region), workers)
            self.apis["ec2"].line("DescribeRegions", {"Regions": [{"RegionName": region}]})
            summary = Cleaner(aws, settings, log.logger(), sources_for(settings)).run()
        return summary, log


def own_operations(source: UsageSource, api: Scripted) -> list[str]:
    """Return what the source asks its own service, by its entry in permissions.json."""
    prefix = api.client.meta.service_model.signing_name + ":"
    return [one.removeprefix(prefix) for one in ACTIONS[source.name] if one.startswith(prefix)]


@pytest.fixture(scope="module")
def made_once() -> EmptyAccount:
    """Make the clients of all services once: that takes long."""
    return EmptyAccount()


@pytest.fixture
def empty(made_once: EmptyAccount, monkeypatch: pytest.MonkeyPatch) -> EmptyAccount:
    # What the SDK's list of regions lacks is there.
    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", lambda _: True)
    made_once.reset()
    return made_once


def states(result: Scan) -> dict[str, State]:
    return {reading.source: reading.state for reading in result.readings}


def test_coverage_line_and_summary_name_every_kind_of_consumer(empty: EmptyAccount) -> None:
    image = {"image": f"{HOST}/app:1"}
    empty.apis["ecs"].line("ListTaskDefinitions", {"taskDefinitionArns": [DEFINITION]})
    empty.apis["ecs"].line(
        "DescribeTaskDefinition", {"taskDefinition": {"containerDefinitions": [image]}}
    )
    settings = Settings(waived_sources=("batch",), waived_guards=("eks-clusters",))

    summary, log = empty.run(settings, WITHOUT_APP_RUNNER)

    (coverage,) = log.events("Coverage")
    assert coverage == {
        "event": "Coverage",
        "log_level": "info",
        "sources": {
            "ecs": {"state": "scanned", "usages": 1},
            "eks": {"state": "scanned", "usages": 0},
            "ecs-daemons": {"state": "scanned", "usages": 0},
            "eventbridge-rules": {"state": "scanned", "usages": 0},
            "eventbridge-scheduler": {"state": "scanned", "usages": 0},
            "eventbridge-pipes": {"state": "scanned", "usages": 0},
            "lambda": {"state": "scanned", "usages": 0},
            "codepipeline": {"state": "scanned", "usages": 0},
            "app-runner": {"state": "not in this region"},
            "batch": {"state": "waived"},
            "codebuild": {"state": "scanned", "usages": 0},
            "step-functions": {"state": "scanned", "usages": 0},
            "sagemaker": {"state": "scanned", "usages": 0},
            "sagemaker-jobs": {"state": "scanned", "usages": 0},
            "sagemaker-studio": {"state": "scanned", "usages": 0},
            "sagemaker-packages": {"state": "scanned", "usages": 0},
            "sagemaker-monitoring": {"state": "scanned", "usages": 0},
            "sagemaker-pipelines": {"state": "scanned", "usages": 0},
            "agentcore": {"state": "scanned", "usages": 0},
            "emr-serverless": {"state": "scanned", "usages": 0},
            "lambda-runtimes": {"state": "scanned", "usages": 0},
            "launch-templates": {"state": "scanned", "usages": 0},
            "launch-configurations": {"state": "scanned", "usages": 0},
            "elastic-beanstalk": {"state": "scanned", "usages": 0},
            "lightsail": {"state": "scanned", "usages": 0},
            "emr": {"state": "scanned", "usages": 0},
            "emr-on-eks": {"state": "scanned", "usages": 0},
            "eventbridge-subscribers": {"state": "scanned", "usages": 0},
            "gamelift": {"state": "scanned", "usages": 0},
            "image-builder": {"state": "scanned", "usages": 0},
            "healthomics": {"state": "scanned", "usages": 0},
            "braket": {"state": "scanned", "usages": 0},
            "greengrass": {"state": "scanned", "usages": 0},
            "clean-rooms-ml": {"state": "scanned", "usages": 0},
            "iot-sitewise": {"state": "scanned", "usages": 0},
        },
        "waived_guards": ["eks-clusters"],
    }
    assert summary["coverage"] == coverage["sources"]


def test_optional_sources_are_named_where_they_are_switched_on(empty: EmptyAccount) -> None:
    _, log = empty.run(OPTIONAL)

    (coverage,) = log.events("Coverage")
    sources = coverage["sources"]
    assert list(sources)[-3:] == ["inspector", "reference-lists", "cluster-documents"]
    assert sources["cluster-documents"] == {"state": "scanned", "usages": 0}
    assert sources["inspector"] == {"state": "scanned", "usages": 0}
    assert sources["reference-lists"] == {
        "state": "scanned",
        "usages": 1,
        "lists": [{"list": "ssm:list", "entries": 1, "in_this_registry": 0}],
    }


@pytest.mark.parametrize("name", [source.name for source in SOURCES])
def test_waiving_a_source_drops_its_calls_and_nothing_else(empty: EmptyAccount, name: str) -> None:
    # Sources share the list of clusters: what is theirs alone they ask in a cluster.
    clusters = {"clusterArns": ["arn:aws:ecs:eu-north-1:123456789012:cluster/main"]}
    empty.apis["ecs"].line("ListClusters", clusters)
    empty.scan(Settings())
    every = empty.calls
    empty.reset()
    empty.apis["ecs"].line("ListClusters", clusters)

    result = empty.scan(Settings(waived_sources=(name,)))

    assert states(result) == {
        source.name: State.WAIVED if source.name == name else State.SCANNED for source in SOURCES
    }
    dropped = every - empty.calls
    assert empty.calls - every == Counter()
    assert dropped
    for service, operation, _ in dropped:
        prefix = empty.apis[service].client.meta.service_model.signing_name
        assert f"{prefix}:{operation}" in ACTIONS[name]


def test_waiving_batch_leaves_not_one_call_to_batch(empty: EmptyAccount) -> None:
    empty.scan(Settings(waived_sources=("batch",)))

    assert empty.apis["batch"].calls == []
    assert {service for service, _, _ in empty.calls} == {
        source.service for source in SOURCES if source.name != "batch"
    }


def test_every_source_may_be_waived_together(empty: EmptyAccount) -> None:
    names = tuple(source.name for source in SOURCES)

    assert set(states(empty.scan(Settings(waived_sources=names))).values()) == {State.WAIVED}
    assert empty.calls == Counter()


@pytest.mark.parametrize("waived", [("bacth",), ("batch", "Batch"), ("inspector",), ("gke",)])
def test_unknown_waived_source_is_an_error_before_any_call(
    empty: EmptyAccount, waived: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidSettingError) as failure:
        empty.run(Settings(waived_sources=waived))

    assert str(failure.value) == (
        f"WAIVED_SOURCES is {','.join(waived)!r}, but must be a comma-separated list of "
        f"{', '.join(source.name for source in SOURCES)}; unknown: {waived[-1]}"
    )
    assert empty.calls == Counter()


@pytest.mark.parametrize("source", EVERYTHING, ids=NAMES)
def test_source_that_the_region_does_not_have_is_told_apart_and_not_called(
    empty: EmptyAccount, source: UsageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", lambda _: False)
    monkeypatch.setattr(Availability, "_published_regions", lambda *_: {"us-east-1"})
    region = WITHOUT_APP_RUNNER if source.name == "app-runner" else UNHEARD_OF

    result = empty.scan(Settings(), region, [source])

    assert [reading.fields() for reading in result.readings] == [{"state": "not in this region"}]
    assert empty.calls == Counter()


def test_region_that_only_dns_knows_is_scanned(empty: EmptyAccount) -> None:
    """The SDK's list of regions lags behind: what it lacks is not taken for absent."""
    assert set(states(empty.scan(Settings(), UNHEARD_OF)).values()) == {State.SCANNED}


def test_waived_source_is_waived_though_the_region_lacks_it(empty: EmptyAccount) -> None:
    settings = Settings(waived_sources=("app-runner",))

    assert states(empty.scan(settings, WITHOUT_APP_RUNNER))["app-runner"] is State.WAIVED


@pytest.mark.parametrize("source", SOURCES, ids=[source.name for source in SOURCES])
def test_source_that_fails_ends_the_run_before_coverage_is_stated(
    empty: EmptyAccount, source: UsageSource
) -> None:
    """There is no fourth state."""
    others = {one.name for one in SOURCES if one.name != source.name}
    for operation in own_operations(source, empty.apis[source.service]):
        empty.apis[source.service].line(operation, DENIED)

    with pytest.raises(ScanError) as failure:
        empty.run(Settings(waived_sources=tuple(others)))

    assert failure.value.fields["source"] == source.name
    assert failure.value.fields["missing_action"] in ACTIONS[source.name]
    # Repositories and copies are listed beside the scan; beyond that, nothing was done.
    beside = {"DescribeRegistry", "DescribeRepositories"}
    assert {operation for operation, _ in empty.apis["ecr"].calls} <= beside


class Surprising:
    """A source that fails in a way that nobody thought of."""

    name = "surprising"
    service = "ecs"
    what = "nothing"
    everywhere = True

    def usages(self, account: object) -> list[Any]:
        del account
        raise KeyError("taskDefinitionArn")


def test_answer_that_nobody_expected_ends_the_scan_too(empty: EmptyAccount) -> None:
    with pytest.raises(ScanError, match=r"surprising could not be read .* KeyError\('taskDefin"):
        empty.scan(Settings(), sources=[Surprising()])
