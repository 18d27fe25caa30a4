"""``permissions.json`` by itself: complete, in order, and nothing that AWS does not know."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import botocore.session
import pytest

import ecr_cleaner
from ecr_cleaner.core.model import WAIVABLE_GUARDS
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.sources import SOURCES, sources_for

PERMISSIONS = json.loads((Path(ecr_cleaner.__path__[0]) / "permissions.json").read_text())
OPTIONAL = Settings(
    inspector_coverage=True, reference_lists=("ssm:list",), cluster_documents=("s3://bucket/",)
)
GROUPS = ("usage", "optional", "guards", "memory", "pull-times", "targets")
ALONE = ("read", "regions", "delete", "archive", "approval")
LISTS: dict[str, list[str]] = {name: PERMISSIONS[name] for name in ALONE} | {
    f"{group}.{name}": actions for group in GROUPS for name, actions in PERMISSIONS[group].items()
}
# Of no source of every run.
OTHER_SERVICES = {"ec2", "ecr", "eks", "organizations", "s3", "sns", "sqs", "ssm", "sts"}
CHANGES_SOMETHING = {"delete", "archive", "pull-times.register"}
# In a dry run as well: of the module itself, not of ECR.
MEMORY = {"memory.ledger", "memory.events", "memory.plans", "memory.runs"}
# It tells a person of a plan.
TELLS = {"approval"}
# The role that is assumed only reads: a test of its module says so.
ASSUMES = {"targets.accounts"}


@cache
def known_actions() -> set[str]:
    """Return prefix and operation of all that the SDK knows of the services in use."""
    everything = sources_for(OPTIONAL)
    session = botocore.session.get_session()
    known: dict[str, set[str]] = defaultdict(set)
    for service in {source.service for source in everything} | OTHER_SERVICES:
        model = session.get_service_model(service)
        known[model.signing_name].update(model.operation_names)
    # IAM's name for ListObjectsV2.
    known["s3"].add("ListBucket")
    return {f"{prefix}:{name}" for prefix, names in known.items() for name in names}


def test_there_is_nothing_but_what_terraform_reads() -> None:
    assert set(PERMISSIONS) == {*GROUPS, *ALONE}


def test_each_source_has_its_entry() -> None:
    assert sorted(PERMISSIONS["usage"]) == sorted(source.name for source in SOURCES)


def test_each_optional_source_has_its_entry() -> None:
    everything = sources_for(OPTIONAL)
    optional = [source.name for source in everything if source not in SOURCES]

    assert sorted(PERMISSIONS["optional"]) == sorted(optional)


def test_each_guard_that_can_be_waived_has_its_entry() -> None:
    assert sorted(PERMISSIONS["guards"]) == sorted(guard.value for guard in WAIVABLE_GUARDS)


@pytest.mark.parametrize("group", GROUPS)
def test_entries_are_sorted(group: str) -> None:
    assert list(PERMISSIONS[group]) == sorted(PERMISSIONS[group])


@pytest.mark.parametrize("actions", LISTS.values(), ids=LISTS)
def test_actions_are_sorted_without_duplicates_or_wildcards(actions: list[str]) -> None:
    assert actions
    assert actions == sorted(set(actions))
    assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", action) for action in actions)


@pytest.mark.parametrize("actions", LISTS.values(), ids=LISTS)
def test_every_action_exists(actions: list[str]) -> None:
    # IAM has an action for the bucket, which the API calls otherwise.
    assert set(actions) - {"s3:ListBucket"} <= known_actions()


@pytest.mark.parametrize("name", sorted(MEMORY))
def test_the_memory_needs_nothing_of_ecr(name: str) -> None:
    assert {one.partition(":")[0] for one in LISTS[name]} <= {"s3", "sqs"}


def test_approval_is_asked_for_and_nothing_else() -> None:
    assert LISTS["approval"] == ["sns:Publish"]


def test_another_account_is_only_entered() -> None:
    assert LISTS["targets.accounts"] == ["sts:AssumeRole"]


@pytest.mark.parametrize(
    "name", sorted(LISTS.keys() - CHANGES_SOMETHING - MEMORY - TELLS - ASSUMES)
)
def test_what_a_dry_run_may_do_only_reads(name: str) -> None:
    verbs = {re.sub(r"([a-z])[A-Z].*", r"\1", one.partition(":")[2]) for one in LISTS[name]}

    assert verbs <= {"Batch", "Describe", "Get", "List", "Search"}
    assert not {"ecr:BatchDeleteImage", "ecr:BatchImportUpstreamImage"} & set(LISTS[name])
