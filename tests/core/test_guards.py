"""Who else may pull, or lose, images: from a policy or configuration document to a guard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import REPOSITORY, sha, usage
from ecr_cleaner.core.guards import (
    cross_account_pull,
    delete_replication,
    deleted_identities,
    eks_clusters,
    no_usage,
)
from ecr_cleaner.core.in_use import InUse, RepositoryUse
from ecr_cleaner.core.locations import Scanned
from ecr_cleaner.core.model import (
    ClusterReading,
    Guard,
    ImageReference,
    ReferencePattern,
    Registry,
    Usage,
)

OWN = "111122223333"
OTHER = "999988887777"
OTHER_ROOT = f"arn:aws:iam::{OTHER}:root"
PULL = ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]


def statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": OTHER_ROOT}, "Action": PULL} | more


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def condition(operator: str, key: str, value: Any) -> dict[str, Any]:
    return {operator: {key: value}}


@pytest.mark.parametrize(
    ("document", "who"),
    [
        (policy(statement()), OTHER_ROOT),
        (policy(statement(Principal={"AWS": OTHER})), OTHER),
        (policy(statement(Principal={"AWS": [OWN, OTHER]})), OTHER),
        (policy(statement(Principal="*")), "everyone"),
        (policy(statement(Principal={"AWS": "*"})), "everyone"),
        (policy(statement(Principal={"Federated": "idp"})), "idp"),
        (policy({**statement(), "NotPrincipal": {"AWS": OWN}}), "everyone"),
        (policy(statement(Action="ecr:*")), OTHER_ROOT),
        (policy(statement(Action="*")), OTHER_ROOT),
        (policy(statement(Action="ECR:batchget*")), OTHER_ROOT),
        (policy({"Effect": "Allow", "Principal": "*", "NotAction": "ecr:PutImage"}), "everyone"),
        (policy(statement(Resource=REPOSITORY.arn)), OTHER_ROOT),
        (policy(statement(Resource=["arn:aws:ecr:*:*:repository/*"])), OTHER_ROOT),
        (policy(statement(NotResource="arn:aws:ecr:::nothing")), OTHER_ROOT),
        # An organisation is more than this account.
        (policy(statement(Principal="*", Condition=condition(
            "StringEquals", "aws:PrincipalOrgID", "o-1"))), "everyone"),
        # A condition that does not leave the own account alone.
        (policy(statement(Principal="*", Condition=condition(
            "StringNotEquals", "aws:PrincipalAccount", OWN))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "StringEquals", "aws:PrincipalAccount", [OWN, OTHER]))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{OTHER}:role/*"))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "ArnLike", "aws:PrincipalArn", "*"))), "everyone"),
        # Functions of another account pull through the service.
        (policy(statement(Principal={"Service": "lambda.amazonaws.com"}, Condition=condition(
            "StringLike", "aws:sourceARN", f"arn:aws:lambda:eu-west-1:{OTHER}:function:*"))),
         "lambda.amazonaws.com"),
        (policy(statement(Principal="*", Condition=condition(
            "ForAnyValue:StringEquals", "aws:PrincipalAccount", OWN))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "StringEqualsIfExists", "aws:PrincipalAccount", OWN))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/*"))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/*"))), "everyone"),
        (policy(statement(Principal="*", Condition={})), "everyone"),
        (policy(statement(Principal={"Service": "codebuild.amazonaws.com"}, Condition=condition(
            "StringEquals", "aws:SourceAccount", OTHER))), "codebuild.amazonaws.com"),
        (policy(statement(Principal={"Service": "lambda.amazonaws.com", "AWS": OTHER})), OTHER),
        (policy(statement(Principal={"AWS": f"arn:aws:iam::{OTHER}:user/ci"})),
         f"arn:aws:iam::{OTHER}:user/ci"),
        (policy(statement(Principal={"AWS": f"arn:aws-cn:iam::{OTHER}:root"})),
         f"arn:aws-cn:iam::{OTHER}:root"),
        # What became of a principal that was deleted.
        (policy(statement(Principal={"AWS": "AROAEXAMPLEID"})), "AROAEXAMPLEID"),
        (policy(statement(Action="ecr:Batch*")), OTHER_ROOT),
        (policy(statement(Action=["ecr:PutImage", "ecr:GetDownloadUrlForLayer"])), OTHER_ROOT),
        (policy(statement(Action="ecr:?atchGetImage")), OTHER_ROOT),
        (policy(statement(NotPrincipal={"AWS": OWN}, NotAction="ecr:*")), "everyone"),
        (policy(statement(Resource=[f"{REPOSITORY.arn}-other", REPOSITORY.arn])), OTHER_ROOT),
        (policy(statement(Resource="arn:aws:ecr:*:${aws:PrincipalAccount}:repository/a")),
         OTHER_ROOT),
        # A denial takes nothing away from what another statement allows to others.
        (policy(statement(), statement(Effect="Deny", Principal={"AWS": OWN})), OTHER_ROOT),
        # Functions of other accounts of an organisation.
        (policy(statement(Principal={"Service": "lambda.amazonaws.com"}, Condition=condition(
            "StringEquals", "aws:SourceOrgID", "o-1"))), "lambda.amazonaws.com"),
        (policy(statement(Principal={"Service": "lambda.amazonaws.com"}, Condition=condition(
            "ForAnyValue:StringLike", "aws:SourceOrgPaths", "o-1/*"))), "lambda.amazonaws.com"),
        # Services whose images no usage source sees, even if they act for the own account only.
        (policy(statement(Principal={"Service": "mgn.amazonaws.com"})), "mgn.amazonaws.com"),
        (policy(statement(Principal={"Service": "new.amazonaws.com"}, Condition=condition(
            "StringEquals", "aws:SourceAccount", OWN))), "new.amazonaws.com"),
        (policy(statement(Principal={"Service": ["ecs-tasks.amazonaws.com", "new.aws.internal"]})),
         "new.aws.internal"),
        # One statement object instead of a list.
        (json.dumps({"Statement": statement()}), OTHER_ROOT),
    ],
)  # fmt: skip
def test_a_policy_that_lets_others_pull_guards(document: str, who: str) -> None:
    guarded = cross_account_pull(REPOSITORY, [document])
    assert guarded
    assert guarded.guard is Guard.CROSS_ACCOUNT_PULL
    assert guarded.why.startswith(f"{who} may pull from this repository")
    assert "waive the guard cross-account-pull" in guarded.why


@pytest.mark.parametrize(
    "document",
    [
        policy(),
        policy(statement(Effect="Deny")),
        policy(statement(Action="ecr:PutImage")),
        policy(statement(Action=["ecr:DescribeImages", "ecr:ListImages"])),
        policy(statement(Principal={"AWS": OWN})),
        policy(statement(Principal={"AWS": [f"arn:aws:iam::{OWN}:root"]})),
        policy(statement(Principal={"AWS": f"arn:aws:iam::{OWN}:role/deploy"})),
        policy(statement(Principal={"AWS": f"arn:aws:sts::{OWN}:assumed-role/a/b"})),
        policy(statement(Principal={"Service": "lambda.amazonaws.com"})),
        policy(statement(Principal={"Service": "lambda.amazonaws.com"}, Condition=condition(
            "StringLike", "aws:sourceARN", f"arn:aws:lambda:eu-west-1:{OWN}:function:*"))),
        policy(statement(Principal="*", Condition=condition(
            "StringEquals", "aws:PrincipalAccount", OWN))),
        policy(statement(Principal="*", Condition=condition(
            "StringEquals", "AWS:principalaccount", [OWN]))),
        policy(statement(Principal="*", Condition=condition(
            "ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{OWN}:role/*"))),
        policy(statement(Principal="*", Condition=condition(
            "StringLike", "aws:SourceArn", f"arn:aws:lambda:*:{OWN}:function:*"))),
        policy(statement(Principal="*", Condition={
            "StringEquals": {"aws:PrincipalOrgID": "o-1", "aws:PrincipalAccount": OWN}})),
        policy(statement(Principal={"Service": "codebuild.amazonaws.com"})),
        policy(statement(Principal={"Service": "codebuild.amazonaws.com"}, Condition=condition(
            "StringEquals", "aws:SourceAccount", OWN))),
        policy(statement(Principal={"AWS": f"arn:aws-us-gov:iam::{OWN}:root"})),
        policy(statement(Principal={"Federated": f"arn:aws:iam::{OWN}:saml-provider/idp"})),
        policy(statement(Principal={"Service": ["ecs-tasks.amazonaws.com", "BATCH.amazonaws.com",
                                               "lambda.amazonaws.com.cn"]})),
        # Services that copy or inspect images and run none.
        policy(statement(Principal={"Service": ["inspector2.amazonaws.com",
                                               "replication.ecr.amazonaws.com"]})),
        # A role and a user that were deleted: their ids are never given again.
        policy(statement(Principal={"AWS": ["AROAEXAMPLEID1234567", "AIDAEXAMPLEID1234567"]})),
        policy(statement(Action=[])),
        # A registry's policy, as replication and pull-through caches from elsewhere ask for it.
        policy(statement(Action=["ecr:ReplicateImage", "ecr:CreateRepository"])),
        policy(statement(Action=["ecr:BatchImportUpstreamImage"])),
        policy(statement(Action=["ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
                                 "ecr:CompleteLayerUpload", "ecr:BatchCheckLayerAvailability"])),
        policy(statement(Resource="arn:aws:ecr:eu-west-1:111122223333:repository/other")),
        policy(statement(Resource="arn:aws:ecr:eu-west-1:111122223333:repository/app-*")),
        policy(statement(Resource=[])),
    ],
)  # fmt: skip
def test_a_policy_for_the_own_account_or_about_something_else_guards_nothing(document: str) -> None:
    assert cross_account_pull(REPOSITORY, [document]) is None


def test_service_whose_source_is_waived_guards() -> None:
    document = policy(statement(Principal={"Service": "codebuild.amazonaws.com"}))
    assert cross_account_pull(REPOSITORY, [document], waived_sources=["batch"]) is None
    assert cross_account_pull(REPOSITORY, [document], waived_sources=["codebuild"])


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (policy(statement(Principal={"AWS": "AROAEXAMPLEID1234567"})), ["AROAEXAMPLEID1234567"]),
        (policy(statement(Principal={"AWS": [OWN, "AIDAEXAMPLEID1234567"]})),
         ["AIDAEXAMPLEID1234567"]),
        (policy(statement(), statement(Principal="*")), []),
        (policy(statement(Principal={"Service": "AROAEXAMPLEID1234567"})), []),
        (policy(statement(Condition=condition("StringLike", "aws:userid", "AROAEXAMPLEID123456"))),
         []),
        (policy(statement(Principal={"AWS": ["AKIAEXAMPLEID1234567", "aroaexampleid1"]})), []),
        ("not JSON", []),
        ("[]", []),
    ],
)  # fmt: skip
def test_deleted_roles_and_users_in_a_policy_are_named(document: str, found: list[str]) -> None:
    assert deleted_identities([document, document]) == found


def test_every_policy_counts_and_each_outsider_is_named_once() -> None:
    assert cross_account_pull(REPOSITORY, []) is None
    guarded = cross_account_pull(
        REPOSITORY, [policy(statement()), policy(statement(Principal="*"))] * 2
    )
    assert guarded
    assert guarded.why.startswith(f"{OTHER_ROOT}, everyone may pull from this repository")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"Statement": 1}',
        '{"Statement": ["text"]}',
        policy({"Effect": "Allow"}),
        policy({"Effect": "Allow", "Action": PULL}),
        policy(statement(Action=[1])),
        policy(statement(Principal={"AWS": 1})),
        policy(statement(Condition=["text"])),
        policy(statement(Condition=None)),
        policy(statement(Condition={"StringEquals": "text"})),
        policy(statement(Condition=condition("ArnLike", "aws:PrincipalArn", 1))),
        policy(statement(Resource=1)),
        policy(statement(Action={"ecr": "*"})),
        policy(None),
        "[" * 100_000,
    ],
)
def test_a_policy_that_is_not_understood_guards(document: str) -> None:
    guarded = cross_account_pull(REPOSITORY, [document])
    assert guarded
    assert "could not be parsed" in guarded.why


VALUES = st.none() | st.integers() | st.text() | st.lists(st.text())
STATEMENTS = st.dictionaries(
    st.sampled_from(["Effect", "Principal", "Action", "Resource", "Condition", "NotPrincipal"]),
    VALUES | st.dictionaries(st.sampled_from(["AWS", "Service", "StringEquals"]), VALUES),
)


@given(st.lists(STATEMENTS | VALUES))
def test_no_policy_at_all_makes_it_fail(statements: list[Any]) -> None:
    guarded = cross_account_pull(REPOSITORY, [policy(*statements)])
    assert guarded is None or guarded.guard is Guard.CROSS_ACCOUNT_PULL


DESTINATIONS = [{"region": "us-east-1", "registryId": OTHER}]
ENABLED = {"enabled": True}


def rule(*filters: tuple[str, str], **more: Any) -> dict[str, Any]:
    listed = [{"filter": text, "filterType": kind} for text, kind in filters]
    return {
        "destinations": DESTINATIONS,
        "repositoryFilters": listed,
        "deleteReplication": ENABLED,
    } | more


PREFIX = "PREFIX_MATCH"


@pytest.mark.parametrize(
    ("rules", "guards"),
    [
        ([], False),
        ([rule()], True),
        ([rule(deleteReplication={"enabled": False})], False),
        ([rule(deleteReplication={})], False),
        ([{"destinations": DESTINATIONS}], False),
        ([{"destinations": DESTINATIONS, "deleteReplication": ENABLED}], True),
        ([rule(("ap", PREFIX))], True),
        ([rule(("app-", PREFIX))], False),
        ([rule(("other", PREFIX), ("app", PREFIX))], True),
        ([rule(("other", PREFIX)), rule(("app", PREFIX))], True),
        ([rule(("other", "SOMETHING_NEW"))], True),
    ],
)
def test_a_deletion_that_would_be_replicated_guards(rules: list[Any], guards: bool) -> None:
    guarded = delete_replication(REPOSITORY, {"rules": rules})
    assert (guarded is not None) is guards
    if guarded:
        assert guarded.guard is Guard.DELETE_REPLICATION
        assert f"replicated to {OTHER} in us-east-1, where" in guarded.why


def test_no_configuration_replicates_nothing() -> None:
    assert delete_replication(REPOSITORY, {}) is None


def clusters(
    listed: list[str], *readings: ClusterReading, waived: tuple[str, ...] = ()
) -> list[str]:
    """Return the reasons of the guards that stand."""
    guards = list(eks_clusters(REPOSITORY.registry, listed, readings, waived))
    assert {one.guard for one in guards} <= {Guard.EKS_CLUSTERS}
    return [one.why for one in guards]


PROD_ARN = "arn:aws:eks:eu-west-1:111122223333:cluster/prod"
READ = ClusterReading("eks", "prod")
UNREAD = ClusterReading("eks", "prod", "it denies a list", "allow it")


def test_without_clusters_nothing_guards() -> None:
    assert clusters([]) == []


def test_cluster_that_was_read_in_full_lifts_its_guard_and_no_other() -> None:
    assert clusters(["prod"], READ) == []
    (why,) = clusters(["prod", "test"], READ)
    assert "cluster test was not read in full: it was not scanned" in why


def test_guard_names_cluster_reason_and_fix() -> None:
    (why,) = clusters(["prod"], UNREAD)
    assert why == (
        "the Kubernetes cluster prod was not read in full: it denies a list; to fix it, allow it. "
        "If nothing in it runs images of this registry, name it in WAIVED_CLUSTERS"
    )


def test_there_is_a_guard_for_each_cluster() -> None:
    assert len(clusters(["a", "b", "c"])) == 3


def test_cluster_that_is_read_but_not_listed_any_more_guards_if_it_failed() -> None:
    assert clusters([], READ) == []
    assert len(clusters([], UNREAD)) == 1


@pytest.mark.parametrize("arn", [PROD_ARN, PROD_ARN.replace("arn:aws:", "arn:aws-cn:")])
def test_document_lifts_the_guard_of_the_cluster_with_its_arn(arn: str) -> None:
    document = ClusterReading("cluster-documents", arn)
    assert clusters(["prod"], UNREAD, document) == []
    assert clusters(["prod"], document) == []


@pytest.mark.parametrize(
    "name",
    [
        "prod",
        PROD_ARN.replace("eu-west-1", "eu-west-2"),
        PROD_ARN.replace("111122223333", "444455556666"),
        PROD_ARN + "-2",
        PROD_ARN.replace(":eks:", ":ecs:"),
    ],
)
def test_document_of_another_cluster_lifts_nothing(name: str) -> None:
    (why,) = clusters(["prod"], UNREAD, ClusterReading("cluster-documents", name))
    assert "it denies a list" in why


def test_doubtful_document_guards_even_if_the_cluster_is_not_of_eks() -> None:
    doubtful = ClusterReading("cluster-documents", "k3s", "it is too old", "write it again")
    (why,) = clusters(["prod"], READ, doubtful)
    assert "cluster k3s was not read in full: it is too old" in why
    assert clusters(["prod"], READ, doubtful, waived=("k3s",)) == []
    assert clusters([], doubtful, ClusterReading("cluster-documents", "k3s")) == []


def test_both_problems_of_a_cluster_are_named() -> None:
    doubtful = ClusterReading("cluster-documents", PROD_ARN, "it is too old", "write it again")
    (why,) = clusters(["prod"], UNREAD, doubtful)
    assert "it denies a list; to fix it, allow it. it is too old; to fix it, write it" in why


def test_waived_cluster_does_not_guard() -> None:
    assert clusters(["prod"], UNREAD, waived=("prod",)) == []
    assert len(clusters(["prod", "production"], waived=("prod",))) == 1


FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:ecr-cleaner"


@pytest.mark.parametrize(
    ("consumers", "own_function", "stands"),
    [
        ([], "", True),
        ([], "ecr-cleaner", True),
        (["arn:task"], "ecr-cleaner", False),
        (["arn:task"], "", False),
        ([FUNCTION, f"{FUNCTION}:$LATEST", f"{FUNCTION}:7"], "ecr-cleaner", True),
        ([f"{FUNCTION}:$LATEST", "arn:task"], "ecr-cleaner", False),
        ([f"{FUNCTION}-of-others:1"], "ecr-cleaner", False),
        ([f"{FUNCTION}:$LATEST"], "", False),
        ([f"{FUNCTION}:$LATEST"], "ecr.cleaner", False),
    ],
)
def test_no_usage_but_its_own_guards(
    consumers: list[str], own_function: str, *, stands: bool
) -> None:
    use = RepositoryUse()
    for number, consumer in enumerate(consumers):
        use.add(usage(digest=sha(str(number)), consumer=consumer))
    assert bool(no_usage([RepositoryUse(), use], own_function)) is stands


@pytest.mark.parametrize("reference", [{"digest": sha("a")}, {"tag": "v1"}, {}])
def test_usage_of_any_kind_is_usage(reference: dict[str, str]) -> None:
    use = RepositoryUse()
    use.add(usage(**reference))
    assert no_usage([use], "") is None


def test_no_usage_says_how_to_go_on() -> None:
    guarded = no_usage([], "")
    assert guarded
    assert guarded.guard is Guard.NO_USAGE
    assert "set EXPECT_NO_USAGE to true" in guarded.why


# -- What was scanned is no outsider -----------------------------------------------------------

ORGANIZATION = "o-a1b2c3d4e5"
SCANNED = Scanned(frozenset({Registry(OTHER, "us-east-1")}), ORGANIZATION)
THIRD = "555566667777"


@pytest.mark.parametrize(
    ("document", "outsider"),
    [
        (policy(statement()), None),
        (policy(statement(Principal={"AWS": [OWN, OTHER]})), None),
        (policy(statement(Principal={"AWS": [OTHER, THIRD]})), THIRD),
        (policy(statement(Principal="*")), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "StringEquals", "aws:PrincipalAccount", [OWN, OTHER]))), None),
        (policy(statement(Principal="*", Condition=condition(
            "StringEquals", "aws:PrincipalAccount", [OTHER, THIRD]))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "StringEquals", "aws:PrincipalOrgID", ORGANIZATION))), None),
        (policy(statement(Principal="*", Condition=condition(
            "StringEquals", "aws:PrincipalOrgID", [ORGANIZATION, "o-other"]))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "StringLike", "aws:PrincipalOrgID", "o-*"))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "StringNotEquals", "aws:PrincipalOrgID", ORGANIZATION))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "ForAnyValue:StringLike", "aws:PrincipalOrgPaths", f"{ORGANIZATION}/r-1/*"))), None),
        (policy(statement(Principal="*", Condition=condition(
            "ForAnyValue:StringLike", "aws:PrincipalOrgPaths", f"{ORGANIZATION}*"))), "everyone"),
        (policy(statement(Principal="*", Condition=condition(
            "ForAllValues:StringLike", "aws:PrincipalOrgPaths", f"{ORGANIZATION}/*"))), "everyone"),
        (policy(statement(Principal={"Service": "lambda.amazonaws.com"}, Condition=condition(
            "StringLike", "aws:sourceArn", f"arn:aws:lambda:eu-west-1:{OTHER}:function:*"))), None),
        (policy(statement(Principal={"Service": "lambda.amazonaws.com"}, Condition=condition(
            "StringEquals", "aws:SourceOrgID", ORGANIZATION))), None),
        (policy(statement(Principal={"Service": "lambda.amazonaws.com"}, Condition=condition(
            "StringLike", "aws:sourceArn", f"arn:aws:lambda:eu-west-1:{THIRD}:function:*"))),
         "lambda.amazonaws.com"),
    ],
)  # fmt: skip
def test_accounts_and_organizations_that_were_scanned_do_not_guard(
    document: str, outsider: str | None
) -> None:
    guarded = cross_account_pull(REPOSITORY, [document], (), SCANNED)
    assert (guarded is None) == (outsider is None)
    if guarded:
        assert guarded.why.startswith(f"{outsider} may pull from this repository, ")
        assert "scan them with SCAN_ACCOUNTS" in guarded.why


def test_an_organization_that_was_not_scanned_whole_guards() -> None:
    partly = Scanned(SCANNED.registries)
    limited = condition("StringEquals", "aws:PrincipalOrgID", ORGANIZATION)
    assert cross_account_pull(
        REPOSITORY, [policy(statement(Principal="*", Condition=limited))], (), partly
    )


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        (THIRD, f"{THIRD} (the organization has this account as SUSPENDED) may pull"),
        (f"arn:aws:iam::{THIRD}:role/r", "role/r (the organization has this account as SUSPENDED)"),
        ("444455556666", "444455556666 may pull"),
    ],
)
def test_an_account_that_could_not_be_scanned_guards_with_its_state(
    principal: str, named: str
) -> None:
    scanned = Scanned(SCANNED.registries, ORGANIZATION, {THIRD: "SUSPENDED"})
    guarded = cross_account_pull(
        REPOSITORY, [policy(statement(Principal={"AWS": principal}))], (), scanned
    )
    assert guarded
    assert named in guarded.why


REPLICA = Registry(OTHER, "us-east-1")
BY_DIGEST = Usage(ImageReference(REPLICA, "app", digest=sha("a")), "arn:task", "ecs")
BY_TAG = Usage(ImageReference(REPLICA, "app", tag="v1"), "arn:task", "ecs")
OF_ANY_TAG = Usage(ImageReference(REPLICA, "app"), "arn:task", "ecs")
OF_ANOTHER = Usage(ImageReference(REPLICA, "other", tag="v1"), "arn:task", "ecs")
COMPUTED = Usage(ReferencePattern("a*", OTHER), "arn:task", "ecs")


@pytest.mark.parametrize(
    ("region", "used", "guards"),
    [
        ("us-east-1", [], False),
        ("us-east-1", [BY_DIGEST, OF_ANOTHER], False),
        ("us-west-2", [], True),
        # A tag may have moved in one of the two registries, and the deletion is by digest.
        ("us-east-1", [BY_TAG], True),
        ("us-east-1", [OF_ANY_TAG], True),
        ("us-east-1", [COMPUTED], True),
    ],
)
def test_replication_of_deletions_guards_unless_all_uses_of_the_replica_are_known_by_digest(
    region: str, used: list[Usage], *, guards: bool
) -> None:
    destination = {"registryId": OTHER, "region": region}
    rules = [{"destinations": [destination], "deleteReplication": ENABLED}]
    guarded = delete_replication(REPOSITORY, {"rules": rules}, SCANNED, InUse(used))
    assert (guarded is not None) == guards
    assert guarded is None or "scan it with SCAN_ACCOUNTS and SCAN_REGIONS" in guarded.why


ELSEWHERE = f"arn:aws:eks:us-east-1:{OTHER}:cluster/prod"


@pytest.mark.parametrize(
    ("readings", "waived", "named"),
    [
        ([], (), [ELSEWHERE]),
        ([ClusterReading("eks", ELSEWHERE)], (), []),
        ([ClusterReading("eks", "prod")], (), [ELSEWHERE]),
        ([ClusterReading("cluster-documents", ELSEWHERE)], (), []),
        ([ClusterReading("eks", ELSEWHERE, "denied", "allow it")], (), [ELSEWHERE]),
        ([], ("prod",), [ELSEWHERE]),
        ([], (ELSEWHERE,), []),
    ],
)
def test_clusters_elsewhere_go_by_their_arn(
    readings: list[ClusterReading], waived: tuple[str, ...], named: list[str]
) -> None:
    found = list(eks_clusters(REPOSITORY.registry, [ELSEWHERE], readings, waived))
    assert [one.why.split()[3] for one in found] == named
