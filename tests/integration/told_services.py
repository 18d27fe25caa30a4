"""Services that answer what they are told: those that moto lacks, wholly or in parts that matter.

IAM is enforced for them as it is for moto's own, and what they are told has to be of the shape
that AWS's model gives to the answer.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import ModuleType
from typing import Any
from unittest import mock

from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import backend_index, settings
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.iam.access_control import IAMPolicy, PermissionResult, create_access_key

from fakes.aws_api import validate
from fakes.models import model_of

# By what boto3 calls them.
SERVICES = (
    "batch",
    "bedrock-agentcore-control",
    "braket",
    "cleanroomsml",
    "codebuild",
    "codepipeline",
    "emr",
    "emr-containers",
    "emr-serverless",
    "gamelift",
    "greengrassv2",
    "imagebuilder",
    "lightsail",
    "sagemaker",
    "stepfunctions",
)

# They share their host with another service, put a prefix before it, or have no errors of IAM in
# moto: these are answered before there is a request.
WITHOUT_REQUEST = (
    "autoscaling",
    "ec2",
    "elasticbeanstalk",
    "eventbridgev2",
    "iotsitewise",
    "lambda-core",
    "omics",
)

ACCOUNT = "123456789012"

# Of ECS, only what moto does not know.
DAEMON_OPERATIONS = (
    "ListDaemons",
    "DescribeDaemon",
    "DescribeDaemonDeployments",
    "DescribeDaemonRevisions",
    "DescribeDaemonTaskDefinition",
)

Content = dict[str, Any]
# What an operation answers, or how it makes that of the request.
Answer = Content | Callable[[Content], Content]

_told: dict[str, Answer] = {}


def tell(service: str, **answers: Answer) -> None:
    """Have operations of a service answer this from now on; what it was not told of is empty."""
    _told.update({f"{service}:{operation}": answers[operation] for operation in answers})


def forget() -> None:
    """Have every operation answer empty again."""
    _told.clear()


def answering(service: str, operation: str) -> Callable[[BaseResponse], ActionResult]:
    """Return the method of a response class that answers one operation."""

    def answer(response: BaseResponse) -> ActionResult:
        told = _told.get(f"{service}:{operation}", {})
        content = told(json.loads(response.body)) if callable(told) else told
        shape = model_of(service).operation_model(operation).output_shape
        return ActionResult(answer_of(operation, content, shape))

    return answer


def answer_of(operation: str, content: Any, shape: Any) -> Content:
    """Return a whole answer.

    AWS sends an empty list under its key as well, even if its model has a minimum length.
    """
    full: Content = completed(content, shape)
    validate(operation, full, shape)
    return {name: [] for name, member in shape.members.items() if member.type_name == "list"} | full


def completed(content: Any, shape: Any) -> Any:
    """Return the content with what AWS always tells as well: tests say only what they are about."""
    if shape.type_name == "structure":
        given = dict.fromkeys(needed_of(shape, content)) | content
        return {
            name: completed(minimal(member) if value is None else value, member)
            for name, value in given.items()
            if (member := shape.members[name])
        }
    if shape.type_name == "list":
        filled = (minimal(shape.member) if one is None else one for one in content)
        return [completed(one, shape.member) for one in filled]
    return content


def needed_of(shape: Any, content: Content) -> list[str]:
    """Return the members that must be told: of a union any one, which here is the first."""
    first = list(shape.members)[:1] if shape.is_tagged_union and not content else []
    return [*shape.required_members, *first]


def minimal(shape: Any) -> Any:
    """Return the least that there is of a shape."""
    least = shape.metadata.get("min", 0)
    values: dict[str, Any] = {
        "structure": {},
        "list": [None] * least,
        "map": {},
        "boolean": False,
        "string": next(iter(shape.metadata.get("enum", ())), "x" * max(least, 1)),
    }
    return values.get(shape.type_name, least)


@cache
def register(service: str) -> tuple[str, re.Pattern[str]]:
    """Give moto a package of its own for the service; return how moto finds it by its URL."""
    model = model_of(service)
    prefix = model.endpoint_prefix
    # The server knows the name that requests are signed for only.
    url = rf"https?://(?:{re.escape(prefix)}|{re.escape(model.signing_name)})\.(.+)\.amazonaws\.com"
    name = "told" + re.sub(r"\W", "", service)
    methods = {
        camelcase_to_underscores(operation): answering(service, operation)
        for operation in model.operation_names
    }

    def initialise(response: BaseResponse) -> None:
        BaseResponse.__init__(response, service_name=service)

    response: Any = type(f"{name}Response", (BaseResponse,), {"__init__": initialise, **methods})
    backend = type(f"{name}Backend", (BaseBackend,), {"__module__": f"moto.{name}.models"})
    package, urls = ModuleType(f"moto.{name}"), ModuleType(f"moto.{name}.urls")
    vars(package).update({f"{name}_backends": BackendDict(backend, "ec2"), "urls": urls})
    # The server understands patterns that have a name only.
    paths = dict.fromkeys(("{0}/$", "{0}/(?P<path>.+)$"), response.dispatch)
    vars(urls).update(url_bases=[url], url_paths=paths)
    sys.modules |= {package.__name__: package, urls.__name__: urls}
    return name, re.compile(url)


def is_permitted(client: Any, action: str) -> bool:
    """Return what moto's IAM, if it is enforced, says to an action with this client's key."""
    if BaseResponse.request_count < settings.INITIAL_NO_AUTH_ACTION_COUNT:
        return True
    credentials = client._request_signer._credentials  # noqa: SLF001  # no other way
    headers = {"X-Amz-Security-Token": credentials.token} if credentials.token else {}
    key = create_access_key(ACCOUNT, "aws", credentials.access_key, headers)
    policies = (IAMPolicy(policy) for policy in key.collect_policies())
    return any(
        policy.is_action_permitted(action, "*") == PermissionResult.PERMITTED for policy in policies
    )


@contextmanager
def answered_without_request() -> Iterator[None]:
    make_api_call: Any = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def make(client: Any, operation: str, parameters: Content) -> Any:
        model = client.meta.service_model
        if model.service_name not in WITHOUT_REQUEST:
            return make_api_call(client, operation, parameters)
        action = f"{model.signing_name}:{operation}"
        if not is_permitted(client, action):
            message = f"User is not authorized to perform: {action}"
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, operation)
        shape = model.operation_model(operation).output_shape
        content = _told.get(f"{model.service_name}:{operation}", {})
        return answer_of(operation, content, shape)

    with mock.patch.object(BaseClient, "_make_api_call", make):
        yield


@contextmanager
def told_services() -> Iterator[None]:
    """Have moto, started in here, send the requests of these services to them."""
    own = [register(service) for service in SERVICES]
    patterns = [*own, *backend_index.backend_url_patterns]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(backend_index, "backend_url_patterns", patterns))
        stack.enter_context(answered_without_request())
        for operation in DAEMON_OPERATIONS:
            name, answer = camelcase_to_underscores(operation), answering("ecs", operation)
            stack.enter_context(
                mock.patch.object(EC2ContainerServiceResponse, name, answer, create=True)
            )
        yield
