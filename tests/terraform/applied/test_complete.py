"""The complete example, applied to a fake AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from moto.core.authorization import enable_iam_authentication

from ecr_cleaner.core.model import Action
from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.report.events import NONE_VISITED, SLOW_SCAN
from terraform_support import MODULE, PROJECT, FakeAws, Terraform, example_in

REGION = "eu-west-1"
ACCOUNT = "123456789012"
NAME = "cleaner-under-test"

FUNCTION = "module.ecr_cleaner.aws_lambda_function.this"
LIFECYCLE = "module.ecr_cleaner.aws_ecr_lifecycle_policy.this[0]"
IMAGE = "module.ecr_cleaner.terraform_data.image[0]"
ROLE_POLICY = "module.ecr_cleaner.aws_iam_role_policy.function[0]"


@pytest.fixture(scope="module")
def complete(
    terraform_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Terraform:
    """Return the complete example, applied."""
    directory = tmp_path_factory.mktemp("complete")
    terraform = example_in(directory, "examples/complete", terraform_environ)
    terraform.variables = {"region": REGION, "name": NAME}
    terraform.apply()
    return terraform


def package(terraform: Terraform) -> Path:
    """Return the program's sources in Terraform's copy of the project."""
    return terraform.directory.parent.parent / "lambda_src" / "ecr_cleaner"


def test_second_plan_is_empty_even_if_a_test_run_left_bytecode(complete: Terraform) -> None:
    bytecode = package(complete) / "__pycache__" / "model.cpython-313.pyc"
    bytecode.parent.mkdir()
    bytecode.write_bytes(b"bytecode")

    assert complete.plan() == {}


def test_program_accepts_the_settings_of_the_function(complete: Terraform, aws: FakeAws) -> None:
    function = aws.client("lambda", REGION).get_function(FunctionName=NAME)
    environment = function["Configuration"]["Environment"]["Variables"]

    assert environment == complete.outputs()["environment"]
    assert Settings.from_environ(environment) == Settings(
        dry_run=True,
        keep_days=30,
        keep_count=3,
        keep_tag_patterns=("v*", "release-*"),
        keep_pulled_days=14,
        ledger=f"s3://{NAME}-{ACCOUNT}-{REGION}/ledger",
        plans=f"s3://{NAME}-{ACCOUNT}-{REGION}/plans/",
        event_queue=f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{NAME}-events",
        register_pull_exclusion=True,
        rules=(
            RepositoryRule(
                repositories=("payments/*", "billing/*"),
                keep_days=365,
                keep_count=20,
                keep_tag_patterns=("*",),
            ),
            RepositoryRule(
                repositories=("shared/*",), keep_days=180, waived_guards=("cross-account-pull",)
            ),
            RepositoryRule(
                repositories=("sandbox/*",), keep_days=3, keep_count=0, keep_pulled_days=0
            ),
        ),
        action=Action.ARCHIVE,
        archive_days=180,
        max_deletions=5000,
        rescan_after_seconds=120,
        task_definition_revisions=2,
    )


def test_function_is_what_the_example_asks_for(complete: Terraform, aws: FakeAws) -> None:
    client = aws.client("lambda", REGION)
    function = client.get_function(FunctionName=NAME)
    invocation = client.get_function_event_invoke_config(FunctionName=NAME)

    configuration = function["Configuration"]
    assert configuration["Timeout"] == 900
    assert configuration["MemorySize"] == 1024
    assert configuration["Architectures"] == ["arm64"]
    assert configuration["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": f"/aws/lambda/{NAME}",
    }
    assert function["Concurrency"] == {"ReservedConcurrentExecutions": 1}
    assert function["Code"]["ImageUri"] == complete.outputs()["image_uri"]
    assert invocation["MaximumRetryAttempts"] == 0
    topic = invocation["DestinationConfig"]["OnFailure"]["Destination"]
    assert topic == f"arn:aws:sns:{REGION}:{aws.account_id}:{NAME}-failed-runs"


def test_schedule_starts_the_function(complete: Terraform, aws: FakeAws) -> None:
    schedule = aws.client("scheduler", REGION).get_schedule(Name=NAME)

    assert complete.outputs()["function_name"] == NAME
    assert schedule["ScheduleExpression"] == "cron(0 3 ? * MON-FRI *)"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Warsaw"
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["Arn"].endswith(f":function:{NAME}")
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 0


@pytest.mark.usefixtures("complete")
def test_repository_of_the_own_image_is_not_opted_in(aws: FakeAws) -> None:
    client = aws.client("ecr", REGION)
    (repository,) = client.describe_repositories(repositoryNames=[NAME])["repositories"]
    tags = client.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]

    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert {"Key": "BoxCleanerEnabled", "Value": "false"} in tags


@pytest.mark.usefixtures("complete")
def test_lifecycle_policy_never_expires_the_image_that_runs(aws: FakeAws) -> None:
    client = aws.client("ecr", REGION)
    text = client.get_lifecycle_policy(repositoryName=NAME)["lifecyclePolicyText"]
    function = aws.client("lambda", REGION).get_function(FunctionName=NAME)

    protecting, _ = json.loads(text)["rules"]
    (tag,) = protecting["selection"]["tagPatternList"]
    assert function["Code"]["ImageUri"].endswith(f"/{NAME}:{tag}")


def test_no_credential_ends_up_in_the_state(complete: Terraform, aws: FakeAws) -> None:
    token = aws.client("ecr", REGION).get_authorization_token()["authorizationData"][0]
    state = complete.state()

    assert FUNCTION.rpartition(".")[0].rpartition(".")[2] in state
    assert token["authorizationToken"] not in state
    assert "auth-token" not in state


def test_changed_source_plans_the_rebuild_and_nothing_else(complete: Terraform) -> None:
    source = package(complete) / "__init__.py"
    written = source.read_text()
    source.write_text(written + "\n# changed\n")
    try:
        plan = complete.plan()
    finally:
        source.write_text(written)

    assert plan == {IMAGE: "replace", FUNCTION: "update", LIFECYCLE: "replace"}


# -- Logs, metrics and alarms ------------------------------------------------------------------


@pytest.mark.usefixtures("complete")
def test_saved_queries_are_those_of_the_files(aws: FakeAws) -> None:
    saved = aws.client("logs", REGION).describe_query_definitions()["queryDefinitions"]
    files = [file.read_text().strip() for file in (PROJECT / MODULE / "queries").iterdir()]

    assert sorted(query["queryString"] for query in saved) == sorted(files)
    assert {name for query in saved for name in query["logGroupNames"]} == {f"/aws/lambda/{NAME}"}
    assert all(query["name"].startswith(f"{NAME}/") for query in saved)


@pytest.mark.usefixtures("complete")
def test_every_metric_has_the_field_of_its_pattern_as_its_value(aws: FakeAws) -> None:
    filters = aws.client("logs", REGION).describe_metric_filters()["metricFilters"]
    of_summary = [one for one in filters if "Run finished" in one["filterPattern"]]

    for one in of_summary:
        (metric,) = one["metricTransformations"]
        field = metric["metricValue"].removeprefix("$.")
        assert one["filterPattern"] == f'{{ ($.event = "Run finished") && ($.{field} >= 0) }}'
        assert metric["metricNamespace"] == f"ECRCleaner/{NAME}"
        assert metric["unit"] == ("Bytes" if "bytes" in field else metric["unit"])
    assert "DeletionsFailed" in {one["filterName"] for one in of_summary}
    others = {one["filterName"] for one in filters if one not in of_summary}
    assert others == {"RunsWithoutVisit", "SlowScans"}


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize(
    ("name", "event"), [("RunsWithoutVisit", NONE_VISITED), ("SlowScans", SLOW_SCAN)]
)
def test_runs_near_a_limit_are_counted_by_their_event(aws: FakeAws, name: str, event: str) -> None:
    (one,) = aws.client("logs", REGION).describe_metric_filters(
        logGroupName=f"/aws/lambda/{NAME}", filterNamePrefix=name
    )["metricFilters"]

    (metric,) = one["metricTransformations"]
    assert one["filterPattern"] == f'{{ $.event = "{event}" }}'
    assert (metric["metricName"], metric["metricValue"]) == (name, "1")
    assert metric["metricNamespace"] == f"ECRCleaner/{NAME}"


def test_alarms_notify_the_topic(complete: Terraform, aws: FakeAws) -> None:
    alarms = aws.client("cloudwatch", REGION).describe_alarms()["MetricAlarms"]
    topics = complete.outputs()["alarm_topic_arns"]

    assert {alarm["AlarmName"]: alarm["TreatMissingData"] for alarm in alarms} == {
        f"{NAME}-function-failed": "notBreaching",
        f"{NAME}-deletions-failed": "notBreaching",
        f"{NAME}-none-visited": "notBreaching",
        f"{NAME}-slow-scan": "notBreaching",
        f"{NAME}-no-runs": "breaching",
        f"{NAME}-has-run": "ignore",
    }
    # A run with failed deletions is a failed run, so only the other alarm notifies.
    assert {alarm["AlarmName"]: alarm["AlarmActions"] for alarm in alarms} == {
        f"{NAME}-function-failed": topics,
        f"{NAME}-deletions-failed": [],
        f"{NAME}-none-visited": topics,
        f"{NAME}-slow-scan": topics,
        f"{NAME}-no-runs": [],
        f"{NAME}-has-run": [],
    }
    (silent,) = (alarm for alarm in alarms if alarm["AlarmName"].endswith("-no-runs"))
    assert silent["EvaluationPeriods"] == 2
    queries = {query["Id"]: query for query in silent["Metrics"]}
    assert queries["runs"]["Expression"] == "FILL(invocations, 0)"
    assert queries["invocations"]["MetricStat"]["Period"] == 72 * 3600
    (composite,) = aws.client("cloudwatch", REGION).describe_alarms(AlarmTypes=["CompositeAlarm"])[
        "CompositeAlarms"
    ]
    assert (composite["AlarmName"], composite["AlarmActions"]) == (f"{NAME}-silent", topics)


def test_dashboard_shows_only_metrics_that_exist(complete: Terraform, aws: FakeAws) -> None:
    name = complete.outputs()["dashboard_name"]
    body = aws.client("cloudwatch", REGION).get_dashboard(DashboardName=name)["DashboardBody"]
    filters = aws.client("logs", REGION).describe_metric_filters()["metricFilters"]

    widgets = json.loads(body)["widgets"]
    shown = {
        (metric[0], metric[1])
        for widget in widgets
        for metric in widget["properties"].get("metrics", ())
    }
    written = {(f"ECRCleaner/{NAME}", one["filterName"]) for one in filters}
    lambdas_own = {("AWS/Lambda", name) for name in ("Errors", "Invocations")}
    assert shown <= written | lambdas_own
    assert {widget["type"] for widget in widgets} == {"text", "metric", "alarm", "log"}


# -- Permissions -------------------------------------------------------------------------------

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def repositories(aws: FakeAws) -> Iterator[None]:
    """Two repositories, one of which opted in to cleaning."""
    ecr = aws.client("ecr", REGION)
    for name, enabled in (("opted-in", "true"), ("opted-out", "false")):
        ecr.create_repository(
            repositoryName=name, tags=[{"Key": "BoxCleanerEnabled", "Value": enabled}]
        )
    yield
    for name in ("opted-in", "opted-out"):
        ecr.delete_repository(repositoryName=name, force=True)


def denied(aws: FakeAws, role_arn: str, repository: str) -> set[str]:
    """Return the operations on a repository's images that IAM denies to the role."""
    ecr = aws.client("ecr", REGION, **aws.credentials_of(role_arn))
    found = set()
    with enable_iam_authentication():
        for operation in (ecr.batch_get_image, ecr.batch_delete_image):
            try:
                operation(repositoryName=repository, imageIds=[{"imageDigest": DIGEST}])
            except ClientError as error:
                if "is not authorized to perform" not in str(error):
                    raise
                found.add(error.operation_name)
    return found


@pytest.mark.usefixtures("repositories")
def test_role_of_a_dry_run_may_read_and_not_delete(complete: Terraform, aws: FakeAws) -> None:
    role = complete.outputs()["role_arn"]

    assert denied(aws, role, "opted-in") == {"BatchDeleteImage"}


# The last test, because no other one expects this change.
@pytest.mark.usefixtures("repositories")
def test_role_may_delete_only_in_repositories_that_opted_in(
    complete: Terraform, aws: FakeAws
) -> None:
    assert complete.plan(dry_run=False) == {FUNCTION: "update", ROLE_POLICY: "update"}
    complete.apply_plan()
    role = complete.outputs()["role_arn"]

    assert denied(aws, role, "opted-in") == set()
    assert denied(aws, role, "opted-out") == {"BatchDeleteImage"}
    assert complete.plan(dry_run=False) == {}
