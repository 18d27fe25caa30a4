"""A target: the account and region that usage sources ask."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, Self, TypeVar

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.kubernetes import KubernetesApi
from ecr_cleaner.aws.locations import Locations, other_account
from ecr_cleaner.aws.once import Once
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.locations import Location, NamedElsewhere
from ecr_cleaner.core.model import ClusterReading
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.described_task_definitions import DescribedTaskDefinitions
from ecr_cleaner.usage.shared.known_answers import KnownAnswers
from ecr_cleaner.workers import Workers

Result = TypeVar("Result")


# Each holds its clients: about 4 MB for all sources.
TARGETS_AT_ONCE = 8
# A garbage collection takes longer the more objects there are: one for many closed clients.
_CLIENTS_IN_MEMORY = 300


class Shared:
    """Answers that several sources need; each is asked for once in a scan."""

    def __init__(self, aws: Aws, answers: KnownAnswers | None = None) -> None:
        self.answers = answers or KnownAnswers()
        self.listings: Once[tuple[str, ...], list[Any]] = Once()
        self.task_definitions = DescribedTaskDefinitions(aws, self.answers)
        self.clusters: list[ClusterReading] = []


class Target:
    """One account and region during one scan.

    What one source has to report beside its usages is noted here: ``for_source`` returns the same
    target with notes of its own. ``location`` is where it is; ``elsewhere`` as well, but None if it
    is the target of the registry, ``home``.
    ``clusters`` collects the result of each Kubernetes cluster that was read.
    ``answers`` are known from earlier scans, because AWS does not change them.
    """

    def __init__(
        self,
        aws: Aws,
        settings: Settings,
        location: Location,
        home: Location | None = None,
        shared: Shared | None = None,
    ) -> None:
        self._aws = aws
        self._shared = shared or Shared(aws)
        self._home = home
        self.location = location
        self.elsewhere = None if location == home else location
        self.settings = settings
        self.absent_operations: set[str] = set()
        self.named_elsewhere: dict[NamedElsewhere, None] = {}
        self.notes: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections, if this is not the target of the registry: others stay in use."""
        if self.elsewhere:
            self._aws.close()

    @property
    def clients(self) -> int:
        """The number of clients that are closed with this target."""
        return self._aws.clients if self.elsewhere else 0

    def for_source(self) -> Target:
        """Return the same target, with nothing noted."""
        return Target(self._aws, self.settings, self.location, self._home, self._shared)

    def named(self, service: str, resource: str, name: str) -> str:
        """Return what names a resource: its name, or its ARN if it is elsewhere."""
        return self.elsewhere.arn(service, resource) if self.elsewhere else name

    @property
    def clusters(self) -> list[ClusterReading]:
        return self._shared.clusters

    @property
    def answers(self) -> KnownAnswers:
        return self._shared.answers

    @property
    def task_definitions(self) -> DescribedTaskDefinitions:
        return self._shared.task_definitions

    @property
    def workers(self) -> Workers:
        return self._aws.workers

    @property
    def deadline(self) -> Deadline:
        return self._aws.deadline

    @property
    def region(self) -> str:
        return self._aws.region

    def api(self, service: str) -> Api:
        """Return the Api of an AWS service."""
        return self._aws.api(service)

    def in_account(self, account: str) -> Aws:
        """Return the same region of another account, by its scan role; close it after use."""
        return other_account(self._aws, self.settings, account, self.location.partition)

    def kubernetes(self, cluster: str, url: str, authority: str) -> KubernetesApi:
        """Return the API of an EKS cluster."""
        return self._aws.kubernetes(cluster, url, authority)

    def offers(self, service: str) -> bool:
        """Return whether the region has this AWS service."""
        return self._aws.offers(service)

    def listed(
        self, service: str, operation: str, key: str, parameters: Mapping[str, Any]
    ) -> list[Any]:
        """Return every item of a listing; each listing is made once in a scan."""

        def listing() -> list[Any]:
            return list(self.api(service).each(operation, key, **parameters))

        return self._shared.listings.get((service, operation, repr(parameters)), listing)

    def note_absent(self, error: ApiError) -> None:
        """Note that the region does not offer an operation."""
        self.absent_operations.add(str(error.fields["operation"]))

    def ecs_clusters(self) -> list[str]:
        """Return the ARN of every ECS cluster."""
        return self.listed("ecs", "ListClusters", "clusterArns", {"maxResults": 100})


def targets_of(
    locations: Locations, settings: Settings, answers: KnownAnswers | None = None
) -> list[Callable[[], Target]]:
    """Return how to make the target of each account and region, that of the registry first."""
    return [partial(target_at, locations, one, settings, answers) for one in locations.all]


def target_at(
    locations: Locations, location: Location, settings: Settings, answers: KnownAnswers | None
) -> Target:
    """Make the target of one account and region."""
    aws = locations.open(location)
    return Target(aws, settings, location, locations.home, Shared(aws, answers))


class _Closed:
    """Counts the clients that were closed, and frees the memory of many of them at once.

    The SDK's clients are in reference cycles: without a collection, they stay in memory.
    """

    def __init__(self) -> None:
        self._clients = 0
        self._lock = Lock()

    def add(self, clients: int) -> None:
        with self._lock:
            self._clients += clients
            are_many = self._clients >= _CLIENTS_IN_MEMORY
            if are_many:
                self._clients = 0
        if are_many:
            gc.collect()


def in_each(
    targets: Sequence[Callable[[], Target]],
    act: Callable[[int, Target], Result],
    workers: Workers,
) -> list[Result]:
    """Return what ``act`` returns for the number of each target and the target itself."""
    closed = _Closed()

    def acted(number: int) -> Result:
        with targets[number]() as target:
            result = act(number, target)
        closed.add(target.clients)
        return result

    return workers.map(acted, range(len(targets)), at_once=TARGETS_AT_ONCE)
