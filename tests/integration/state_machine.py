"""The state machine of the module on moto's interpreter of Step Functions, with the real handler.

Its world has three accounts and four regions, and in each of them a consumer of an image of its
own.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.config import default_user_config
from moto.ecr.models import ecr_backends
from moto.s3.models import s3_backends
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.utils import TMP_THREADS

from ecr_cleaner.handler import lambda_handler
from integration.aws_as_it_is import aws_as_it_is
from integration.cheap import cheap_calls, cheap_executions
from integration.full_world import FIRST, only
from integration.program import Answer, Ask, Call, Context, Parameters, json_lines, recorded, says
from world import REGION, World

DEFINITION = Path(__file__).parents[2] / "terraform/fan_out.asl.json"
OWN = "123456789012"
BUCKET = f"ecr-cleaner-{OWN}-{REGION}"
FUNCTION = f"arn:aws:lambda:{REGION}:{OWN}:function:ecr-cleaner"
SECONDS_FOR_A_RUN = 120
OLD = 90

MEMBER, THIRD = "222233334444", "333344445555"
ACCOUNTS = (OWN, MEMBER, THIRD)
REGIONS = (REGION, "us-east-1", "eu-central-1", "ap-south-1")
TARGETS = tuple(f"{account}/{region}" for account in ACCOUNTS for region in REGIONS)
HOME, LAST = TARGETS[0], TARGETS[-1]
REPOSITORY = "team/app"

Event = dict[str, Any]


class Killed(BaseException):
    """Lambda ends the function without a word: out of memory, or out of time."""


@dataclass(frozen=True)
class ManyTargets:
    """Three accounts and four regions; ``used`` is the image of each target's own consumer."""

    world: World
    used: Mapping[str, str]
    unused: str

    @classmethod
    def fill(cls, world: World, targets: Sequence[str] = TARGETS) -> ManyTargets:
        """Push the images and start the consumers."""
        world.repository(REPOSITORY)
        used = {}
        for number, target in enumerate(targets):
            used[target] = world.image(REPOSITORY, f"v{number}", days_old=OLD)
            use(world, target, f"v{number}")
        return cls(world, used, world.image(REPOSITORY, "unused", days_old=OLD))

    @property
    def images(self) -> set[str]:
        """The digests that are in the repository now."""
        return self.world.digests(REPOSITORY)

    @property
    def all(self) -> set[str]:
        """The digests that were pushed."""
        return {*self.used.values(), self.unused}


def use(world: World, target: str, tag: str) -> None:
    """Register a task definition with this image, in this account and region."""
    account, region = target.split("/")
    world.elsewhere(region, account).task_definition(f"of-{tag}", world.uri(REPOSITORY, tag=tag))


def organization() -> dict[str, Answer]:
    """Answer as an organization of these accounts, one of which is closed."""
    accounts = [{"Id": account, "State": "ACTIVE"} for account in ACCOUNTS]
    closed = {"Id": "999900001111", "State": "CLOSED"}
    return {
        "organizations:DescribeOrganization": says(Organization={"Id": "o-example"}),
        "organizations:ListAccounts": says(Accounts=[*accounts, closed]),
        "ecr:DescribePullThroughCacheRules": says(pullThroughCacheRules=[]),
    }


def settings() -> dict[str, str]:
    """Return the environment of the function."""
    return only(*FIRST) | {
        "DRY_RUN": "false",
        "SCAN_REGIONS": ",".join(REGIONS),
        "SCAN_ACCOUNTS": "organization",
        "RUNS": f"s3://{BUCKET}/runs/",
        "LEDGER": f"s3://{BUCKET}/ledger",
        "PLANS": f"s3://{BUCKET}/plans/",
    }


@contextmanager
def started() -> Iterator[World]:
    """Start moto with its own Step Functions, which other tests replace, and the bucket."""
    everywhere = mock.patch("ecr_cleaner.aws.availability.host_exists", return_value=True)
    executing = mock.patch.dict(
        default_user_config, {"stepfunctions": {"execute_state_machine": True}}
    )
    # The waits between attempts take no time.
    at_once = mock.patch.object(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None))
    with (
        everywhere,
        executing,
        at_once,
        cheap_calls(),
        cheap_executions(),
        aws_as_it_is(),
        mock_aws(),
    ):
        yield World()


def make_bucket(world: World) -> None:
    place = {"LocationConstraint": REGION}
    world.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)


@dataclass
class Bucket:
    """The objects of the module's bucket, by their keys; without a call to S3."""

    @property
    def _keys(self) -> Any:
        return s3_backends[OWN]["aws"].buckets[BUCKET].keys

    def names(self) -> list[str]:
        return list(self._keys.keys())

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def __getitem__(self, name: str) -> bytes:
        return bytes(self._keys[name].value)

    def __setitem__(self, name: str, content: bytes) -> None:
        s3_backends[OWN]["aws"].put_object(BUCKET, name, content)

    def __delitem__(self, name: str) -> None:
        self._keys.pop(name)

    def edit(self, name: str, change: Callable[[list[Event]], object]) -> None:
        """Change the lines of a compressed document."""
        lines = [json.loads(one) for one in gzip.decompress(self[name]).splitlines()]
        change(lines)
        self[name] = gzip.compress("".join(f"{json.dumps(one)}\n" for one in lines).encode())


@dataclass
class StateMachine:
    """Runs the definition of the module; every task calls the real handler.

    ``answers`` replace moto's answers. ``before`` is called before the handler is, by the name of
    the step. ``lost`` counts the answers of steps that get lost after the work was done.
    ``recorded`` are documents of earlier scans, by target: except in ``scanned``, they are left as
    the documents of new ones.
    """

    world: World
    answers: dict[str, Answer] = field(default_factory=organization)
    environ: dict[str, str] = field(default_factory=settings)
    run: str = "run-1"
    arn: str = ""
    before: dict[str, Callable[[Event], object]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    recorded: Mapping[str, bytes] = field(default_factory=dict)
    scanned: set[str] = field(default_factory=set)
    bucket: Bucket = field(default_factory=Bucket)
    calls: list[Call] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    output: io.StringIO = field(default_factory=io.StringIO)

    def start(self) -> dict[str, Any]:
        """Start an execution and return what became of it."""
        client = self.world.client("stepfunctions")
        self.arn = self.arn or self._create(client)
        known = len(TMP_THREADS)
        with self._in_use():
            execution = client.start_execution(stateMachineArn=self.arn, name=self.run)
            TMP_THREADS[known].join(SECONDS_FOR_A_RUN)
        found: dict[str, Any] = client.describe_execution(executionArn=execution["executionArn"])
        return found

    @staticmethod
    def _create(client: Any) -> str:
        values = {
            "name": "ecr-cleaner",
            "partition": "aws",
            "function_arn": FUNCTION,
            "bucket": BUCKET,
            "prefix": "runs/",
            # moto is not thread-safe.
            "scans_at_once": "1",
            "shares_at_once": "1",
        }
        definition = re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], DEFINITION.read_text())
        role = f"arn:aws:iam::{OWN}:role/steps"
        made = client.create_state_machine(name="cleaner", definition=definition, roleArn=role)
        return str(made["stateMachineArn"])

    def call(self, event: Event) -> dict[str, Any]:
        """Call the function without the state machine."""
        with self._in_use():
            answer: dict[str, Any] = lambda_handler(event, Context())
        return answer

    def log(self, event: str) -> list[dict[str, Any]]:
        return [one for one in json_lines(self.output.getvalue()) if one["event"] == event]

    def steps(self) -> list[str]:
        """Return the names of the steps that were called; those of one map follow one another."""
        return [one["step"] for one in self.events]

    def name(self, name: str) -> str:
        """Return the key of a document of the run."""
        return f"runs/{self.run}/{name}"

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        answers = self.answers | {"lambda:Invoke": self._invoke}
        environ = mock.patch.dict(os.environ, self.environ)
        with recorded(self.calls, answers), redirect_stdout(self.output), environ:
            yield

    def _invoke(self, parameters: Parameters, _: Ask) -> dict[str, Any]:
        assert parameters["FunctionName"] == FUNCTION
        event = json.loads(parameters["Payload"])
        self.events.append(event)
        if event["step"] in self.before:
            self.before[event["step"]](event)
        answer, failed = self.work(event)
        if self.lost.get(event["step"], 0):
            self.lost[event["step"]] -= 1
            raise _lost()
        payload = io.BytesIO(json.dumps(answer).encode())
        return {"StatusCode": 200, "Payload": payload, **failed}

    def work(self, event: Event) -> tuple[Any, dict[str, str]]:
        """Call the handler, as Lambda does; return its answer, and how it failed."""
        try:
            return self._replay(event) or lambda_handler(event, Context()), {}
        except Killed:
            answer = {"errorType": "Lambda.Unknown", "errorMessage": "the runtime exited"}
        except Exception as error:  # noqa: BLE001  # as Lambda does
            answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
        return answer, {"FunctionError": "Unhandled"}

    def _replay(self, event: Event) -> dict[str, Any] | None:
        """Leave the document of an earlier scan as that of this one, if there is one."""
        if event["step"] != "scan":
            return None
        target = f"{event['target']['account']}/{event['target']['region']}"
        if target in self.scanned or target not in self.recorded:
            return None
        now = datetime.now(UTC).isoformat()
        header, *usages = self.recorded[target].splitlines(keepends=True)
        times = {"started": now, "ended": now}
        new = json.loads(header) | times | {"run": event["run"], "round": event["round"]}
        content = json.dumps(new).encode() + b"\n" + b"".join(usages)
        self.bucket[scan_name(self.run, event["round"], target)] = gzip.compress(content, 1)
        return {"replayed": True}


def scan_name(run: str, number: int, target: str) -> str:
    """Return the key of the document of a scan."""
    return f"runs/{run}/scan-{number}/{target}.jsonl.gz"


def scans_of(machine: StateMachine) -> dict[str, bytes]:
    """Return the documents of the first round of a run, by target."""
    names = {one: scan_name(machine.run, 1, one) for one in TARGETS}
    there = {target: name for target, name in names.items() if name in machine.bucket}
    return {target: gzip.decompress(machine.bucket[name]) for target, name in there.items()}


def restore(many: ManyTargets, images: Mapping[str, list[Any]]) -> None:
    """Bring the registry and the bucket back to what they were."""
    repositories: Any = ecr_backends[OWN][REGION].repositories
    for name in set(repositories) - set(images):
        del repositories[name]
    for name, stored in images.items():
        if name not in repositories:
            many.world.repository(name)
        repositories[name].images[:] = stored
    bucket = Bucket()
    for name in bucket.names():
        del bucket[name]


def stored_images() -> dict[str, list[Any]]:
    """Return moto's objects of all images, by repository."""
    repositories: Any = ecr_backends[OWN][REGION].repositories
    return {name: list(one.images) for name, one in repositories.items()}


def on_calls(numbers: set[int], answer: Answer) -> Answer:
    """Answer so at these calls, counted from 1, and otherwise as moto does."""
    lock, count = threading.Lock(), 0

    def some(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        nonlocal count
        with lock:
            count += 1
            is_one = count in numbers
        return answer(parameters, ask) if is_one else ask(parameters)

    return some


def of_object(suffix: str, answer: Answer) -> Answer:
    """Answer so if the key of an object ends like this, and otherwise as moto does."""

    def some(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        found = str(parameters["Key"]).endswith(suffix)
        return answer(parameters, ask) if found else ask(parameters)

    return some


def dies(_: Parameters, __: Ask) -> dict[str, Any]:
    """End the function in the middle of a call."""
    raise Killed


def _lost() -> ClientError:
    """Return the error of Lambda that Step Functions sees if an answer does not arrive."""
    answer: Any = {
        "Error": {"Code": "ServiceException", "Message": "the answer did not arrive"},
        "ResponseMetadata": {"HTTPStatusCode": 500, "RequestId": "lost"},
    }
    return ClientError(answer, "Invoke")
