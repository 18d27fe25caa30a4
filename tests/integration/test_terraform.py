"""The module: formatted, valid, true to its own tests, and applied for real against a fake AWS."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from moto.core.authorization import enable_iam_authentication

import engine_stand_in
from ecr_cleaner.core.model import Action
from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.deadline import RESERVE
from ecr_cleaner.report.events import NONE_VISITED
from terraform_support import (
    EXAMPLES,
    MODULE,
    PROJECT,
    FakeAws,
    Terraform,
    TerraformError,
    copy_project,
    example_in,
    fake_aws,
    require_terraform,
)

REGION = "eu-west-1"
NAME = "cleaner-under-test"

FUNCTION = "module.ecr_cleaner.aws_lambda_function.this"
LIFECYCLE = "module.ecr_cleaner.aws_ecr_lifecycle_policy.this[0]"
IMAGE = "module.ecr_cleaner.terraform_data.image[0]"
ROLE_POLICY = "module.ecr_cleaner.aws_iam_role_policy.function[0]"

# -- As it is written --------------------------------------------------------------------------


@pytest.mark.parametrize("directory", [MODULE, "examples"])
def test_configuration_is_formatted(directory: str) -> None:
    done = subprocess.run(
        [require_terraform(), "fmt", "-check", "-recursive", "-diff", directory],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("directory", [MODULE, *EXAMPLES])
def test_configuration_is_valid(directory: str, tmp_path: Path) -> None:
    Terraform(copy_project(tmp_path) / directory).init().validate()


def test_shortest_timeout_leaves_time_to_clean() -> None:
    variables = (PROJECT / MODULE / "variables.tf").read_text()
    (least,) = re.findall(r"var\.timeout >= (\d+)", variables)

    assert int(least) >= 2 * RESERVE.seconds
    assert set(re.findall(r"begins nothing new in .*? (\d+)", variables)) == {str(RESERVE.seconds)}


def test_module_passes_its_own_tests(tmp_path: Path) -> None:
    Terraform(copy_project(tmp_path) / MODULE).init().test()


# -- As it is applied --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAws]:
    with fake_aws() as server:
        yield server


@pytest.fixture(scope="module")
def complete(aws: FakeAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    """Return the complete example, applied."""
    terraform = example_in(tmp_path_factory.mktemp("complete"), "examples/complete", aws)
    terraform.variables = {"region": REGION, "name": NAME}
    terraform.apply()
    yield terraform
    terraform.destroy()


def package(terraform: Terraform) -> Path:
    """Return the program's sources in Terraform's copy of the project."""
    return terraform.directory.parent.parent / "lambda_src" / "ecr_cleaner"


def test_second_plan_is_empty_whatever_a_test_run_left_behind(complete: Terraform) -> None:
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
def test_image_that_runs_outlives_newer_ones(aws: FakeAws) -> None:
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


@pytest.fixture(scope="module")
def bare(aws: FakeAws, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Return the module without an example around it."""
    project = copy_project(tmp_path_factory.mktemp("bare"))
    return Terraform(project / MODULE, environ={**aws.environ, "AWS_REGION": REGION}).init()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"schedule_expression": "cron(0 3 ? * MON *)"},
            ("cron(0 3 ? * MON *)", "run_interval_hours", "silence_alarm_enabled"),
        ),
        ({"schedule_expression": "rate(7 days)"}, ("rate(7 days)", "84", "silence_alarm_enabled")),
        (
            {"schedule_expression": "rate(7 days)", "run_interval_hours": 84},
            ("rate(7 days)", "set silence_alarm_enabled to false"),
        ),
        (
            {"run_interval_hours": 23},
            ("cron(0 0 * * ? *)", "run_interval_hours is 23", "go off between runs"),
        ),
        ({"kms_key_arn": ""}, ('kms_key_arn is ""', "must be null or the ARN")),
        (
            {"schedule_expression": "rate(2 days)", "run_interval_hours": 24},
            ("rate(2 days)", "run_interval_hours is 24"),
        ),
        ({"run_interval_hours": 168}, ("run_interval_hours is 168", "84", "silence_alarm_enabled")),
        ({"timeout": 60}, ("timeout is 60", "120 to 900", "last 60 seconds")),
        (
            {"on_failure_destination_kms_key_arn": f"arn:aws:kms:{REGION}:123456789012:key/1"},
            ("on_failure_destination_kms_key_arn", "on_failure_destination_arn is null"),
        ),
        (
            {"image_uri": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/ecr-cleaner:1"},
            ("image_uri is", "amazonaws.com/ecr-cleaner:1", "a repository of your own"),
        ),
    ],
)
def test_refusal_tells_the_way_on(
    bare: Terraform, variables: dict[str, object], told: tuple[str, ...]
) -> None:
    with pytest.raises(TerraformError) as refused:
        bare.plan(**variables)

    errors = [
        line["diagnostic"]["detail"]
        for line in map(json.loads, str(refused.value).splitlines()[1:])
        if line["type"] == "diagnostic"
    ]
    assert len(errors) == 1, errors
    assert all(words in errors[0] for words in told), errors


# -- As operators see it -----------------------------------------------------------------------


@pytest.mark.usefixtures("complete")
def test_saved_queries_are_those_of_the_files(aws: FakeAws) -> None:
    saved = aws.client("logs", REGION).describe_query_definitions()["queryDefinitions"]
    files = [file.read_text().strip() for file in (PROJECT / MODULE / "queries").iterdir()]

    assert sorted(query["queryString"] for query in saved) == sorted(files)
    assert {name for query in saved for name in query["logGroupNames"]} == {f"/aws/lambda/{NAME}"}
    assert all(query["name"].startswith(f"{NAME}/") for query in saved)


@pytest.mark.usefixtures("complete")
def test_every_metric_is_what_its_pattern_names(aws: FakeAws) -> None:
    filters = aws.client("logs", REGION).describe_metric_filters()["metricFilters"]
    of_summary = [one for one in filters if one["filterName"] != "RunsWithoutVisit"]

    for one in of_summary:
        (metric,) = one["metricTransformations"]
        field = metric["metricValue"].removeprefix("$.")
        assert one["filterPattern"] == f'{{ ($.event = "Run finished") && ($.{field} >= 0) }}'
        assert metric["metricNamespace"] == f"ECRCleaner/{NAME}"
        assert metric["unit"] == ("Bytes" if "bytes" in field else metric["unit"])
    assert "DeletionsFailed" in {one["filterName"] for one in of_summary}


@pytest.mark.usefixtures("complete")
def test_runs_without_a_visit_are_counted_by_their_event(aws: FakeAws) -> None:
    (one,) = aws.client("logs", REGION).describe_metric_filters(
        logGroupName=f"/aws/lambda/{NAME}", filterNamePrefix="RunsWithoutVisit"
    )["metricFilters"]

    (metric,) = one["metricTransformations"]
    assert one["filterPattern"] == f'{{ $.event = "{NONE_VISITED}" }}'
    assert (metric["metricName"], metric["metricValue"]) == ("RunsWithoutVisit", "1")
    assert metric["metricNamespace"] == f"ECRCleaner/{NAME}"


def test_alarms_tell_the_topic(complete: Terraform, aws: FakeAws) -> None:
    alarms = aws.client("cloudwatch", REGION).describe_alarms()["MetricAlarms"]
    topics = complete.outputs()["alarm_topic_arns"]

    assert {alarm["AlarmName"]: alarm["TreatMissingData"] for alarm in alarms} == {
        f"{NAME}-function-failed": "notBreaching",
        f"{NAME}-deletions-failed": "notBreaching",
        f"{NAME}-none-visited": "notBreaching",
        f"{NAME}-no-runs": "breaching",
        f"{NAME}-has-run": "ignore",
    }
    # A run with failed deletions is a failed run, so only the other alarm notifies.
    assert {alarm["AlarmName"]: alarm["AlarmActions"] for alarm in alarms} == {
        f"{NAME}-function-failed": topics,
        f"{NAME}-deletions-failed": [],
        f"{NAME}-none-visited": topics,
        f"{NAME}-no-runs": [],
        f"{NAME}-has-run": [],
    }
    (silent,) = (alarm for alarm in alarms if alarm["AlarmName"].endswith("-no-runs"))
    assert silent["EvaluationPeriods"] == 2
    queries = {query["Id"]: query for query in silent["Metrics"]}
    assert queries["runs"]["Expression"] == "FILL(invocations, 0)"
    assert queries["invocations"]["MetricStat"]["Period"] == 72 * 3600
    (composite,) = aws.client("cloudwatch", REGION).describe_alarms(
        AlarmTypes=["CompositeAlarm"]
    )["CompositeAlarms"]
    assert (composite["AlarmName"], composite["AlarmActions"]) == (f"{NAME}-silent", topics)


def test_dashboard_shows_only_metrics_that_are_written(complete: Terraform, aws: FakeAws) -> None:
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


# -- As IAM judges it --------------------------------------------------------------------------

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
def test_iam_lets_a_dry_run_read_and_nothing_else(complete: Terraform, aws: FakeAws) -> None:
    role = complete.outputs()["role_arn"]

    assert denied(aws, role, "opted-in") == {"BatchDeleteImage"}


@pytest.mark.usefixtures("repositories")
def test_iam_limits_a_sweep_to_what_opted_in(complete: Terraform, aws: FakeAws) -> None:
    assert complete.plan(dry_run=False) == {FUNCTION: "update", ROLE_POLICY: "update"}
    complete.apply(dry_run=False)
    try:
        role = complete.outputs()["role_arn"]
        assert denied(aws, role, "opted-in") == set()
        assert denied(aws, role, "opted-out") == {"BatchDeleteImage"}
        assert complete.plan(dry_run=False) == {}
    finally:
        complete.apply()


def leftovers(aws: FakeAws, region: str) -> dict[str, list[object]]:
    """Return everything of the kinds that the module makes that is still there."""
    watch, logs = aws.client("cloudwatch", region), aws.client("logs", region)
    return {
        "functions": aws.client("lambda", region).list_functions()["Functions"],
        "repositories": aws.client("ecr", region).describe_repositories()["repositories"],
        "log groups": logs.describe_log_groups()["logGroups"],
        "saved queries": logs.describe_query_definitions()["queryDefinitions"],
        "metric filters": logs.describe_metric_filters()["metricFilters"],
        "alarms": watch.describe_alarms()["MetricAlarms"],
        "composite alarms": watch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"],
        "dashboards": [
            dashboard
            for dashboard in watch.list_dashboards()["DashboardEntries"]
            if region in dashboard["DashboardName"]
        ],
        "topics": aws.client("sns", region).list_topics()["Topics"],
        "schedules": aws.client("scheduler", region).list_schedules()["Schedules"],
        "roles": [
            role
            for role in aws.client("iam", region).list_roles()["Roles"]
            if region in role["RoleName"]
        ],
    }


def count(found: dict[str, list[object]]) -> dict[str, int]:
    return {kind: len(things) for kind, things in found.items()}


# The simple example is one of these two instances with fewer settings.
def test_instances_in_two_regions_come_and_go_without_a_trace(aws: FakeAws, tmp_path: Path) -> None:
    terraform = example_in(tmp_path, "examples/multi-region", aws)

    terraform.apply()
    for region in ("eu-central-1", "us-east-1"):
        assert count(leftovers(aws, region)) == {
            "functions": 1,
            "repositories": 1,
            "log groups": 1,
            "saved queries": len(list((PROJECT / MODULE / "queries").iterdir())),
            "metric filters": 11,
            "alarms": 5,
            "composite alarms": 1,
            "dashboards": 1,
            "topics": 1,
            "schedules": 1,
            "roles": 2,
        }
    assert terraform.plan() == {}

    terraform.destroy()
    for region in ("eu-central-1", "us-east-1"):
        assert set(count(leftovers(aws, region)).values()) == {0}


# -- The script that builds and pushes ---------------------------------------------------------

REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
SCRIPT = PROJECT / MODULE / "scripts" / "build-and-push.sh"


class Script:
    """The build script with a repository to push to and stand-ins for what it calls."""

    def __init__(self, directory: Path, aws: FakeAws) -> None:
        self.directory = directory
        self.ecr = aws.client("ecr", REGION)
        self.ecr.create_repository(repositoryName="own", imageTagMutability="IMMUTABLE")
        self.environ = {**os.environ, **aws.environ, "HOME": str(directory)}

    def run(
        self,
        *arguments: str,
        engine: str = "docker",
        commands: tuple[str, ...] = ("aws", *engine_stand_in.ENGINES),
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run it with an engine, and with nothing else on PATH than the system and the commands."""
        stand_ins = engine_stand_in.install(self.directory / "bin", commands)
        stand_ins["PATH"] = f"{self.directory / 'bin'}:/usr/bin:/bin"
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), *arguments, str(PROJECT / "lambda_src")],
            env={
                **self.environ,
                **stand_ins,
                "CONTAINER_ENGINE": engine,
                "IMAGE_URI": f"{REGISTRY}/own:tag",
                "IMAGE_ARCHITECTURE": "arm64",
                "IMAGE_REGION": REGION,
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def called(self, command: str, verb: str) -> list[list[str]]:
        """Return the arguments of each call of the command that began with the verb."""
        calls = engine_stand_in.calls(self.directory / "bin")
        return [call[2:] for call in calls if call[:2] == [command, verb] and "--help" not in call]

    def tags(self) -> list[str]:
        """Return the tags that the repository holds."""
        return [
            image["imageTag"] for image in self.ecr.list_images(repositoryName="own")["imageIds"]
        ]


@pytest.fixture
def script(aws: FakeAws, tmp_path: Path) -> Iterator[Script]:
    script = Script(tmp_path, aws)
    yield script
    script.ecr.delete_repository(repositoryName="own", force=True)


@pytest.mark.parametrize("engine", engine_stand_in.ENGINES)
def test_script_pushes_one_image_for_one_platform(script: Script, engine: str) -> None:
    done = script.run("--network", "host", engine=engine)

    assert (done.returncode, done.stderr) == (0, "")
    assert script.tags() == ["tag"]
    (build,) = script.called(engine, "build")
    assert build == [
        *("--platform", "linux/arm64", "--tag", f"{REGISTRY}/own:tag"),
        *("--provenance=false", "--network", "host", str(PROJECT / "lambda_src")),
    ]


def test_script_tells_the_classic_builder_where_it_builds(script: Script) -> None:
    done = script.run(STAND_IN_BUILDER="classic")

    assert (done.returncode, done.stderr) == (0, "")
    (build,) = script.called("docker", "build")
    assert build[4:-1] == ["--build-arg", "BUILDPLATFORM=linux/amd64"]


def test_script_builds_nothing_that_is_already_there(script: Script) -> None:
    first = script.run()
    second = script.run()

    assert (first.returncode, second.returncode) == (0, 0)
    assert len(script.called("docker", "build")) == 1
    assert "already exists in the repository" in second.stdout


def test_script_refuses_an_image_for_another_architecture(script: Script) -> None:
    done = script.run(STAND_IN_ARCHITECTURE="amd64")

    assert done.returncode == 1
    assert "docker built an image for amd64, not for arm64" in done.stderr
    assert script.tags() == []


@pytest.mark.parametrize(("there", "missing"), [(("docker",), "aws"), (("aws",), "nerdctl")])
def test_script_names_a_missing_command(
    script: Script, there: tuple[str, ...], missing: str
) -> None:
    done = script.run(engine="nerdctl", commands=there)

    assert done.returncode == 1
    assert f"the command {missing} was not found" in done.stderr
    assert "image_uri" in done.stderr


def test_script_fails_where_the_push_fails(script: Script) -> None:
    script.ecr.delete_repository(repositoryName="own", force=True)
    done = script.run()
    script.ecr.create_repository(repositoryName="own")

    assert done.returncode != 0


def test_script_leaves_the_users_docker_configuration_alone(script: Script) -> None:
    own = script.directory / ".docker"
    (own / "contexts").mkdir(parents=True)
    (own / "config.json").write_text('{"auths": {}}')
    scratch = script.directory / "scratch"
    scratch.mkdir()

    done = script.run(TMPDIR=str(scratch))

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((own / "config.json").read_text()) == {"auths": {}}
    assert list(scratch.iterdir()) == [], "the password stays nowhere"
    assert script.called("docker", "context") == [["show"]]


def test_script_logs_finch_out_again(script: Script) -> None:
    script.run(engine="finch")

    assert script.called("finch", "logout") == [[REGISTRY]]
