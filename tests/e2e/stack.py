"""The complete example, deployed with real Terraform and invoked as by its schedule."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from e2e import base_image
from e2e.engine import Engine
from e2e.invocation import (
    RunningFunction,
    lambda_environment,
    running_function,
    scheduled_event,
)
from e2e.registry import Registry
from e2e.tools import ARCHITECTURES, Tools
from integration.full_world import WITHOUT_SERVER
from terraform_provider import running_providers, shared_provider
from terraform_support import INSTALLED_PROVIDER, FakeAws, Terraform, copy_project

REGION = "eu-central-1"
NAME = "nightly-cleaner"

# The account in which consumers are looked for too.
MEMBER = "222233334444"

VARIABLES = {
    "region": REGION,
    "name": NAME,
    # The account has nothing in the other regions that moto knows.
    "scan_regions": [REGION],
    "scan_accounts": [MEMBER],
    # The container engine runs only images for the architecture of this machine.
    "architecture": {"amd64": "x86_64", "arm64": "arm64"}[ARCHITECTURES[platform.machine()]],
    "extra_build_args": [
        # The engine has no bridge network.
        *("--network", "host"),
        # The stand-in for the base image does not have the digest of AWS's image.
        *("--build-arg", f"BASE_IMAGE={base_image.NAME}"),
    ],
}


# The moto server denies the function its object in S3 if it enforces IAM.
MEMORY = frozenset({"LEDGER", "EVENT_QUEUE"})


@dataclass(frozen=True)
class Machine:
    """Everything that a deployment needs."""

    tools: Tools
    directory: Path
    aws: FakeAws
    registry: Registry
    docker: Engine

    def terraform(self) -> Terraform:
        """Return Terraform, initialized in a copy of the example as a user initializes it."""
        project = copy_project(self.directory / "project")
        environ = {**self.aws.environ, **self.docker.environ, **self.docker.builder()}
        terraform = Terraform(project / "examples" / "complete", environ, dict(VARIABLES))
        return terraform.init()

    def terraform_of_member(self, cleaner_role: str) -> Terraform:
        """Return Terraform for the role in the member account, with credentials of its operator."""
        project = copy_project(self.directory / "member")
        credentials = self.aws.credentials_of(f"arn:aws:iam::{MEMBER}:role/operator")
        environ = {name.upper(): value for name, value in credentials.items()}
        variables: dict[str, object] = {
            "cleaner_role_arns": [cleaner_role],
            "scan_regions": [REGION],
        }
        return Terraform(
            project / "terraform" / "modules" / "scan-role",
            {**self.aws.environ, **environ, "AWS_REGION": REGION},
            variables,
        ).init()

    @contextmanager
    def shared_provider(self, terraform: Terraform) -> Iterator[None]:
        """Let all commands within the block use one process of the provider, which is faster."""
        (binary,) = terraform.directory.glob(INSTALLED_PROVIDER)
        with (
            running_providers(binary, terraform.environ) as providers,
            shared_provider(providers) as environ,
            mock.patch.dict(terraform.environ, environ),
        ):
            yield

    def compressed_layers(self, image: str) -> list[int]:
        """Return the compressed sizes of the layers of an image, the base layer first."""
        name, _, tag = image.removeprefix(f"{self.registry.host}/").partition(":")
        (found,) = self.aws.client("ecr", REGION).batch_get_image(
            repositoryName=name, imageIds=[{"imageTag": tag}]
        )["images"]
        return [layer["size"] for layer in json.loads(found["imageManifest"])["layers"]]

    def pull(self, image: str) -> str:
        """Log in to the registry and pull an image; return its name."""
        ecr = self.aws.client("ecr", REGION)
        (login,) = ecr.get_authorization_token()["authorizationData"]
        self.docker.log_in(self.registry.host, login["authorizationToken"])
        self.docker.run("pull", image)
        return image

    @contextmanager
    def function(self, **settings: str) -> Iterator[RunningFunction]:
        """Run the function of the schedule as deployed; ``settings`` override its environment."""
        target = self._schedule()["Target"]["Arn"]
        function = self.aws.client("lambda", REGION).get_function(FunctionName=target)
        image = self.pull(function["Code"]["ResolvedImageUri"])
        configuration = function["Configuration"]
        environment = lambda_environment(configuration, self.aws, REGION) | settings
        environment.setdefault("WAIVED_SOURCES", ",".join(WITHOUT_SERVER))
        for name in MEMORY.difference(settings):
            environment.pop(name, None)
        with running_function(
            self.docker, self.tools.emulator, image, configuration, environment
        ) as running:
            yield running

    def event(self) -> dict[str, Any]:
        """Return the event that the schedule sends."""
        return scheduled_event(self._schedule(), self.aws.account_id, REGION)

    def _schedule(self) -> dict[str, Any]:
        return dict(self.aws.client("scheduler", REGION).get_schedule(Name=NAME))

    def inventory(self) -> dict[str, list[str]]:
        """Return the names of all resources of the kinds that the module and the example create."""
        client = partial(self.aws.client, region=REGION)
        logs, metrics, topics = client("logs"), client("cloudwatch"), client("sns")
        found = {
            "functions": client("lambda").list_functions()["Functions"],
            "repositories": client("ecr").describe_repositories()["repositories"],
            "roles": client("iam").list_roles()["Roles"],
            "schedules": client("scheduler").list_schedules()["Schedules"],
            "topics": topics.list_topics()["Topics"],
            "subscriptions": topics.list_subscriptions()["Subscriptions"],
            "log groups": logs.describe_log_groups()["logGroups"],
            "metric filters": logs.describe_metric_filters()["metricFilters"],
            "saved queries": logs.describe_query_definitions()["queryDefinitions"],
            "alarms": metrics.describe_alarms()["MetricAlarms"],
            "dashboards": metrics.list_dashboards()["DashboardEntries"],
        }
        return {kind: sorted(map(_name, things)) for kind, things in found.items()}


NAMES = (
    *("FunctionName", "repositoryName", "logGroupName", "RoleName", "TopicArn", "Name"),
    *("AlarmName", "DashboardName", "SubscriptionArn", "filterName", "name"),
)


def _name(thing: dict[str, Any]) -> str:
    return next(str(thing[name]) for name in NAMES if name in thing)
