"""The real Terraform for tests: its provider, copies of the project to run in, and a fake AWS.

The fake AWS is moto's server with what it lacks of the operations that the module and its IAM
documents rely on, added in a form that answers as AWS does.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import boto3
import pytest
from moto.awslambda import models as lambda_models
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ecr.models import ecr_backends
from moto.ecr.responses import ECRResponse
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.logs.responses import LogsResponse
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

import engine_stand_in

PROJECT = Path(__file__).resolve().parent.parent
MODULE = "terraform"
EXAMPLES = tuple(
    sorted(f"examples/{file.parent.name}" for file in PROJECT.glob("examples/*/main.tf"))
)

SECONDS_FOR_A_COMMAND = 300

# In the directory of a configuration. Applying it saves Terraform from planning a second time.
LAST_PLAN = "last.tfplan"

# -- Terraform and its provider ----------------------------------------------------------------

# Where operators put providers that Terraform must not download.
MIRROR_ROOTS = (
    "~/.terraform.d/plugins",
    "~/.terraform.d/plugin-cache",
    "/opt",
    "/srv",
    "/usr/share",
    "/usr/lib",
    "/usr/local/share",
    "/usr/local/lib",
    "/var/lib",
)
MIRROR_DEPTH = 3
PROVIDER = "*/hashicorp/aws/*/*/terraform-provider-aws_*"
INSTALLED_PROVIDER = f".terraform/providers/{PROVIDER}"


def require_terraform() -> str:
    """Return Terraform's path, or skip: in CI every skip is a failure."""
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("Terraform is not installed (1.9 or newer is needed for the module's tests)")
    return terraform


def provider_mirror() -> Path | None:
    """Return a directory with the AWS provider for Terraform, or None.

    TF_PLUGIN_MIRROR names one; otherwise the usual places are searched.
    """
    named = os.environ.get("TF_PLUGIN_MIRROR")
    if named:
        return Path(named)
    for root in MIRROR_ROOTS:
        for depth in range(MIRROR_DEPTH + 1):
            for binary in Path(root).expanduser().glob("*/" * depth + PROVIDER):
                return binary.parents[5]
    return None


def cli_config(mirror: Path | None) -> str:
    """Return Terraform's settings: the provider from a mirror if there is one, no update check."""
    if mirror is None:
        return "disable_checkpoint = true\n"
    return f"""\
disable_checkpoint = true

provider_installation {{
  filesystem_mirror {{
    path    = {json.dumps(str(mirror))}
    include = ["hashicorp/aws"]
  }}
  direct {{
    exclude = ["hashicorp/aws"]
  }}
}}
"""


def choose_provider(directory: Path) -> None:
    """Hold a root module to the provider's version in TF_PROVIDER_VERSION, if that is set.

    Otherwise Terraform takes the newest version that the module allows.
    """
    version = os.environ.get("TF_PROVIDER_VERSION")
    if version:
        override = {"aws": {"source": "hashicorp/aws", "version": version}}
        text = json.dumps({"terraform": {"required_providers": override}})
        (directory / "provider_override.tf.json").write_text(text)


def copy_project(destination: Path) -> Path:
    """Copy what Terraform reads, so that it writes nothing into the working tree."""
    ignore = shutil.ignore_patterns(".terraform*", "*.tfstate*", "__pycache__", ".mypy_cache")
    for directory in (MODULE, "lambda_src", "examples"):
        shutil.copytree(PROJECT / directory, destination / directory, ignore=ignore)
    return destination


class TerraformError(Exception):
    """A Terraform command ended with an unexpected exit code or with warnings."""


@dataclass
class Terraform:
    """Terraform in one directory of a copy of the project."""

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)
    variables: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.binary = require_terraform()
        config = self.directory / ".terraformrc"
        config.write_text(cli_config(provider_mirror()))
        choose_provider(self.directory)
        # TF_* of the developer would change what is tested.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("TF_")
        }
        self.environ = {
            **inherited,
            "TF_CLI_CONFIG_FILE": str(config),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            # Most of a command's time goes into reading the provider's schemas: collect less often.
            "GOGC": "400",
            **self.environ,
        }

    def run(self, *arguments: str, expect: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """Run a command and return its exit code and what it printed; raise on other exit codes."""
        done = subprocess.run(
            [self.binary, *arguments],
            cwd=self.directory,
            env=self.environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_FOR_A_COMMAND,
            check=False,
        )
        if done.returncode not in expect:
            message = (
                f"terraform {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}"
            )
            raise TerraformError(message)
        return done.returncode, done.stdout

    def init(self) -> Terraform:
        """Install the provider; nothing else works before."""
        self.run("init", "-no-color")
        return self

    def validate(self) -> None:
        """Check that the configuration is valid and causes no warning."""
        _, report = self.run("validate", "-json")
        if json.loads(report)["diagnostics"]:
            raise TerraformError(report)

    def test(self, file: str) -> None:
        """Run one file of the module's own tests."""
        self.run("test", "-no-color", f"-filter=tests/{file}")

    def plan(self, **variables: object) -> dict[str, str]:
        """Return what an apply would do: the action by address of each resource that changes."""
        plan = ("plan", "-json", f"-out={LAST_PLAN}")
        _, printed = self.run(*plan, *self._arguments(variables))
        messages = [json.loads(line) for line in printed.splitlines()]
        changes = [message["change"] for message in messages if message["type"] == "planned_change"]
        return {change["resource"]["addr"]: change["action"] for change in changes}

    def apply(self, **variables: object) -> str:
        """Apply, and return what was printed."""
        arguments = self._arguments(variables)
        return self.run("apply", "-no-color", "-auto-approve", *arguments)[1]

    def apply_plan(self) -> str:
        """Apply the last plan, and return what was printed."""
        return self.run("apply", "-no-color", LAST_PLAN)[1]

    def destroy(self, **variables: object) -> None:
        """Destroy everything that was applied."""
        self.run("destroy", "-no-color", "-auto-approve", *self._arguments(variables))

    def outputs(self) -> dict[str, Any]:
        """Return the values of the outputs."""
        _, shown = self.run("output", "-json")
        return {name: output["value"] for name, output in json.loads(shown).items()}

    def state(self) -> str:
        """Return the whole state as text."""
        return self.run("state", "pull")[1]

    def _arguments(self, variables: Mapping[str, object]) -> list[str]:
        given = {**self.variables, **variables}
        values = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in given.items()
        }
        return [f"-var={name}={value}" for name, value in values.items()]


def install_provider(directory: Path) -> Path:
    """Install the provider that the module asks for, and return its path."""
    shutil.copy(PROJECT / MODULE / "versions.tf", directory)
    Terraform(directory).init()
    (binary,) = directory.glob(INSTALLED_PROVIDER)
    return binary


# -- The fake AWS ------------------------------------------------------------------------------


# Parameters of PutQueryDefinition that DescribeQueryDefinitions returns.
QUERY_FIELDS = ("name", "queryString", "logGroupNames")


def query_definitions(response: LogsResponse) -> dict[str, dict[str, Any]]:
    """Return the saved queries of an account and region by id; a reset of moto forgets them."""
    found: dict[str, dict[str, Any]] = vars(response.logs_backend).setdefault("queries_saved", {})
    return found


def put_query_definition(response: LogsResponse) -> str:
    """Save a query, under a new id if none is given."""
    saved = query_definitions(response)
    identity = response._get_param("queryDefinitionId") or str(uuid4())  # noqa: SLF001
    given = {name: response._get_param(name) for name in QUERY_FIELDS}  # noqa: SLF001
    saved[identity] = {"queryDefinitionId": identity, "lastModified": 0, **given}
    return json.dumps({"queryDefinitionId": identity})


def describe_query_definitions(response: LogsResponse) -> str:
    """Answer with the saved queries whose names have the prefix, in one page."""
    prefix = response._get_param("queryDefinitionNamePrefix") or ""  # noqa: SLF001
    saved = query_definitions(response).values()
    return json.dumps(
        {"queryDefinitions": [one for one in saved if one["name"].startswith(prefix)]}
    )


def delete_query_definition(response: LogsResponse) -> str:
    """Delete a saved query; say whether it existed."""
    identity = response._get_param("queryDefinitionId")  # noqa: SLF001
    return json.dumps({"success": query_definitions(response).pop(identity, None) is not None})


def associate_kms_key(response: LogsResponse) -> str:
    """Set the key that encrypts a log group."""
    group = response.logs_backend.groups[response._get_param("logGroupName")]  # noqa: SLF001
    group.kms_key_id = response._get_param("kmsKeyId")  # noqa: SLF001
    return "{}"


def put_composite_alarm(response: CloudWatchResponse) -> Any:
    """Create a composite alarm: moto's metric alarms take a rule, but no operation sets it."""
    return response.put_metric_alarm()


# moto's functions, which those below extend.
make_function = lambda_models.LambdaFunction.__init__
describe_function = lambda_models.LambdaFunction.get_configuration
update_function = lambda_models.LambdaFunction.update_configuration
judge_statement = IAMPolicyStatement.is_action_permitted


def make_function_that_logs(
    function: Any, account_id: str, spec: dict[str, Any], *others: Any, **named: Any
) -> None:
    """Store the logging configuration; moto does not, and every plan would show a change."""
    # First: moto reads the configuration while it creates a function.
    default = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{spec['FunctionName']}"}
    function.logging_config = default | spec.get("LoggingConfig", {})
    make_function(function, account_id, spec, *others, **named)


def describe_function_as_aws(function: Any, *others: Any, **named: Any) -> dict[str, Any]:
    """Add the logging configuration, and remove image overrides if there are none."""
    described = describe_function(function, *others, **named)
    if not any(described.get("ImageConfigResponse", {}).get("ImageConfig", {}).values()):
        described.pop("ImageConfigResponse", None)
    return described | {"LoggingConfig": function.logging_config}


def update_function_that_logs(function: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
    """Change the logging configuration."""
    function.logging_config |= config_updates.get("LoggingConfig", {})
    return update_function(function, config_updates)


def ecr_resource(response: ECRResponse) -> str:
    """Return the resource of an ECR call for IAM; moto always uses `*`."""
    arn = response._get_param("resourceArn")  # noqa: SLF001
    if arn:
        return str(arn)
    name = response._get_param("repositoryName")  # noqa: SLF001
    if not name and response._get_action() != "DescribeRepositories":  # noqa: SLF001
        return "*"
    account = response.current_account
    return f"arn:aws:ecr:{response.region}:{account}:repository/{name or '*'}"


def repository_tags(resource: str) -> dict[str, str]:
    """Return the tags of the repository with this ARN; no tags for other resources."""
    parts = resource.split(":", 5)
    if len(parts) < 6 or parts[2] != "ecr":
        return {}
    _, _, _, region, account, path = parts
    backend = ecr_backends[account][region]
    if path.removeprefix("repository/") not in backend.repositories:
        return {}
    tags = backend.list_tags_for_resource(resource)["tags"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def tag_conditions_hold(statement: dict[str, Any], resource: str) -> bool:
    """Return whether the resource has the tags that the statement requires."""
    prefix = "aws:ResourceTag/"
    conditions = statement.get("Condition", {}).get("StringEquals", {})
    wanted = {key.removeprefix(prefix): conditions[key] for key in conditions if prefix in key}
    found = repository_tags(resource) if wanted else {}
    return all(found.get(key) == value for key, value in wanted.items())


def judged_resource(statement: dict[str, Any], action: str, resource: str) -> str:
    """Return the resource of a call: moto knows it only for ECR, so otherwise any of a service."""
    service = action.partition(":")[0]
    if service == "ecr" or resource != "*":
        return resource
    listed = statement.get("Resource", [])
    arns = [listed] if isinstance(listed, str) else listed
    return next((str(arn) for arn in arns if arn.split(":")[2:3] == [service]), resource)


def judge_statement_and_tags(
    statement: IAMPolicyStatement, action: str, resource: str = "*", *others: Any
) -> PermissionResult:
    """Check the conditions on tags and TLS, which moto ignores, before the rest."""
    if not tag_conditions_hold(statement._statement, resource):  # noqa: SLF001
        return PermissionResult.NEUTRAL
    if "aws:SecureTransport" in str(statement._statement.get("Condition")):  # noqa: SLF001
        return PermissionResult.NEUTRAL  # as if this server had a certificate
    judged = judged_resource(statement._statement, action, resource)  # noqa: SLF001
    return judge_statement(statement, action, judged, *others)


@contextmanager
def extended_moto() -> Iterator[None]:
    """Add what moto lacks, and make Lambda refuse an image that ECR does not have."""
    with ExitStack() as stack:
        function = lambda_models.LambdaFunction
        for target, name, value, create in (
            (function, "__init__", make_function_that_logs, False),
            (function, "get_configuration", describe_function_as_aws, False),
            (function, "update_configuration", update_function_that_logs, False),
            (ECRResponse, "_determine_resource", ecr_resource, True),
            (IAMPolicyStatement, "is_action_permitted", judge_statement_and_tags, False),
            (CloudWatchResponse, "put_composite_alarm", put_composite_alarm, True),
            (LogsResponse, "associate_kms_key", associate_kms_key, True),
            (LogsResponse, "put_query_definition", put_query_definition, True),
            (LogsResponse, "describe_query_definitions", describe_query_definitions, True),
            (LogsResponse, "delete_query_definition", delete_query_definition, True),
        ):
            stack.enter_context(mock.patch.object(target, name, value, create=create))
        stack.enter_context(mock.patch.dict(os.environ, {"MOTO_LAMBDA_STUB_ECR": "false"}))
        yield


@dataclass(frozen=True)
class FakeAws:
    """A moto server on a free port of the loopback interface."""

    endpoint: str
    account_id: str = DEFAULT_ACCOUNT_ID

    @property
    def environ(self) -> dict[str, str]:
        """The variables that make Terraform's provider, the AWS CLI and boto3 use it."""
        return {"AWS_ENDPOINT_URL": self.endpoint}

    def credentials_of(self, role_arn: str) -> dict[str, str]:
        """Return the credentials of a role, as parameters of `client`."""
        sts = self.client("sts", "us-east-1")
        assumed = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        return {
            "aws_access_key_id": assumed["AccessKeyId"],
            "aws_secret_access_key": assumed["SecretAccessKey"],
            "aws_session_token": assumed["SessionToken"],
        }

    def client(self, service: str, region: str, **credentials: str) -> Any:
        """Return a boto3 client of a service."""
        make: Any = boto3.client
        return make(service, region_name=region, endpoint_url=self.endpoint, **credentials)

    def reset(self) -> None:
        """Empty the account."""
        moto_api_backend.reset()


def example_in(directory: Path, example: str, environ: Mapping[str, str]) -> Terraform:
    """Return Terraform in a copy of an example, with stand-ins for the engine and the AWS CLI."""
    commands = engine_stand_in.install(directory / "bin")
    project = copy_project(directory / "project")
    return Terraform(project / example, environ={**environ, **commands}).init()


@contextmanager
def moto_server() -> Iterator[FakeAws]:
    """Run a server of moto as it is."""
    # Otherwise the server logs each request, which would hide a failed test's report.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield FakeAws(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def empty_aws(server: FakeAws) -> Iterator[FakeAws]:
    """Let a server play AWS, with an account that is empty at the start and at the end."""
    with extended_moto():
        server.reset()
        try:
            yield server
        finally:
            server.reset()


@contextmanager
def fake_aws() -> Iterator[FakeAws]:
    """Run a fake AWS with an empty account."""
    with moto_server() as server, empty_aws(server) as aws:
        yield aws
