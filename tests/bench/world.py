"""A random registry from a seed: its images, their consumers, and which images are removable.

Consumers are in the account and region of the registry and, if the spec says so, in others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random

ACCOUNT = "123456789012"
REGION = "eu-west-1"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

DAY = 86_400.0
# Ages differ clearly from the default of 30 days, so that a slow run does not change a verdict.
YOUNG_DAYS = (1, 20)
OLD_DAYS = (40, 400)


@dataclass(frozen=True, slots=True)
class Place:
    """An account and region."""

    account: str = ACCOUNT
    region: str = REGION

    @property
    def host(self) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


HOME = Place()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another account and region, and how many consumers it has."""

    account: str
    region: str
    clusters: int = 0
    services: int = 0
    tasks: int = 0
    functions: int = 0
    app_runner_services: int = 0
    schedules: int = 0

    @property
    def place(self) -> Place:
        return Place(self.account, self.region)


@dataclass(frozen=True, slots=True)
class Replica:
    """A registry to which ECR replicates repositories whose names begin with ``prefix``."""

    account: str
    region: str
    prefix: str = ""
    deletions: bool = False

    @property
    def place(self) -> Place:
        return Place(self.account, self.region)

    def written(self, repository: str) -> str | None:
        """Return how a consumer writes the copy of a repository; None if there is none."""
        copied = repository.startswith(self.prefix)
        return f"{self.place.host}/{repository}" if copied else None


@dataclass(frozen=True, slots=True)
class Cache:
    """A registry with a pull through cache of another one: of ours, or of a replica of it."""

    account: str
    region: str
    prefix: str = "hub"
    upstream_prefix: str = "ROOT"
    upstream: str = HOST

    @property
    def place(self) -> Place:
        return Place(self.account, self.region)

    def written(self, repository: str) -> str | None:
        """Return how a consumer writes the copy of a repository; None if there is none."""
        upstream = "" if self.upstream_prefix == "ROOT" else f"{self.upstream_prefix}/"
        prefix = "" if self.prefix == "ROOT" else f"{self.prefix}/"
        if not repository.startswith(upstream):
            return None
        return f"{self.place.host}/{prefix}{repository.removeprefix(upstream)}"


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """The size and composition of a world. ``images`` is the number in each repository.

    ``revisions`` is the number of ACTIVE revisions of each task-definition family; only the newest
    is in use. A schedule runs a task definition that is not ACTIVE. Fractions are of image
    families: an image or an index with its followers.

    ``elsewhere`` are other accounts and regions with consumers. ``replicas`` and ``caches`` are
    registries with copies, which consumers anywhere may use. The ``members`` may pull, by their
    ids or, with ``by_organization``, as members of the organization.
    """

    seed: int = 1
    repositories: int = 5
    images: int = 100
    not_opted_in: int = 0
    clusters: int = 1
    services: int = 10
    tasks: int = 20
    functions: int = 5
    zip_functions: int = 3
    app_runner_services: int = 1
    indexes: float = 0.08
    nested: float = 0.05
    referrers: float = 0.08
    young: float = 0.05
    pulled: float = 0.02
    rolling: float = 0.0
    versions: float = 0.0
    revisions: int = 1
    moved_tags: float = 0.1
    service_events: int = 0
    schedules: int = 0
    elsewhere: tuple[Elsewhere, ...] = ()
    replicas: tuple[Replica, ...] = ()
    caches: tuple[Cache, ...] = ()
    members: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    by_organization: bool = False

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that are enabled in every account."""
        return tuple(dict.fromkeys((REGION, *(one.region for one in self.elsewhere))))

    @property
    def spread(self) -> bool:
        """Whether there is any other account or region."""
        return bool(self.elsewhere or self.members)


@dataclass(slots=True)
class StoredImage:
    """An image in the registry. Times are seconds since 1970."""

    digest: str
    tags: list[str]
    pushed: float
    size: int
    media_type: str = IMAGE
    children: tuple[str, ...] = ()
    subject: str | None = None
    pulled: float | None = None


@dataclass(slots=True)
class Family:
    """An image or an index with its followers, which are kept or removed together.

    ``steps`` are the digests in the order in which they can be removed.
    """

    repository: Repository
    root: StoredImage
    steps: list[list[str]]
    leaves: list[StoredImage]
    stays: bool
    used: bool = False


@dataclass(slots=True)
class Repository:
    """A repository; ``order`` is the order of the listing, including removed digests."""

    name: str
    opted_in: bool
    images: dict[str, StoredImage] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    parents: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    families: list[Family] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{self.name}"

    @property
    def uri(self) -> str:
        return f"{HOST}/{self.name}"

    def add(self, image: StoredImage) -> StoredImage:
        self.images[image.digest] = image
        self.order.append(image.digest)
        for tag in image.tags:
            self.tags[tag] = image.digest
        for child in image.children:
            self.parents[child].add(image.digest)
        return image

    def remove(self, digest: str) -> None:
        image = self.images.pop(digest)
        for tag in image.tags:
            del self.tags[tag]
        for child in image.children:
            self.parents[child].discard(digest)

    def closure(self, digest: str) -> Iterator[str]:
        """Yield the digest and the children of an index, including nested ones."""
        yield digest
        for child in self.images[digest].children:
            yield from self.closure(child)


@dataclass(frozen=True, slots=True)
class Container:
    """The reference that a consumer wrote, and the digest that AWS says is running."""

    image: str
    digest: str


@dataclass(frozen=True, slots=True)
class Service:
    """An ECS service with the task definitions of its deployments, the primary one first."""

    arn: str
    cluster: str
    definitions: tuple[str, ...]

    def revisions(self) -> list[str]:
        """Return the ARNs of its service revisions, one for each deployment."""
        stem = self.arn.replace(":service/", ":service-revision/")
        return [f"{stem}/{number + 1}" for number in range(len(self.definitions))]


@dataclass(frozen=True, slots=True)
class Task:
    """An ECS task."""

    arn: str
    cluster: str
    definition: str
    container: Container


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """A version of a Lambda function; a zip function has no container."""

    name: str
    version: str
    container: Container | None


NOBODY = WorldSpec(
    clusters=0, services=0, tasks=0, functions=0, zip_functions=0, app_runner_services=0
)


class Consumers:
    """What uses images in one account and region. ``use`` chooses an image, and protects it."""

    def __init__(
        self, place: Place, spec: WorldSpec, random: Random, use: Callable[[float], Container]
    ) -> None:
        self.place = place
        self.spec = spec
        self._random = random
        self._use = use
        self.definitions: dict[str, Container] = {}
        self.families: dict[str, list[str]] = {}
        self.clusters = [place.arn("ecs", f"cluster/c{n}") for n in range(spec.clusters)]
        self.services = [self._service(n) for n in range(spec.services)]
        self.tasks = [self._task(n) for n in range(spec.tasks)]
        self.functions = list(self._functions())
        self.app_runner = {
            # App Runner returns no digest, so after a tag has moved, the running image is unknown.
            place.arn("apprunner", f"service/a{n}/{n:032x}"): use(0).image
            for n in range(spec.app_runner_services)
        }
        self.schedules = {f"n{n}": self._inactive_definition(n) for n in range(spec.schedules)}
        self.services_by_arn = {one.arn: one for one in self.services}
        self.tasks_by_arn = {one.arn: one for one in self.tasks}
        self.revisions = {
            arn: (service, definition)
            for service in self.services
            for arn, definition in zip(service.revisions(), service.definitions, strict=True)
        }
        self.function_versions = {(one.name, one.version): one for one in self.functions}

    def _definition(self, name: str) -> str:
        stem = self.place.arn("ecs", f"task-definition/{name}")
        newest = f"{stem}:{self.spec.revisions}"
        self.definitions[newest] = self._use(self.spec.moved_tags)
        self.families[name] = [f"{stem}:{n}" for n in range(self.spec.revisions, 0, -1)]
        return newest

    def _inactive_definition(self, number: int) -> str:
        """Return a task definition that is deregistered and can still be run; nothing runs it."""
        name = self.place.arn("ecs", f"task-definition/n{number}:1")
        self.definitions[name] = self._use(0)
        return name

    def _service(self, number: int) -> Service:
        cluster = self.clusters[number % len(self.clusters)]
        rolling = self._random.random() < self.spec.rolling
        names = [f"s{number}", f"s{number}-old"][: 1 + rolling]
        cluster_name = cluster.rpartition("/")[2]
        arn = self.place.arn("ecs", f"service/{cluster_name}/s{number}")
        return Service(arn, cluster, tuple(map(self._definition, names)))

    def _task(self, number: int) -> Task:
        """Return a task of a service, or a standalone task if there are no services."""
        if self.services:
            service = self.services[number % len(self.services)]
            cluster, definition = service.cluster, service.definitions[-1]
        else:
            cluster = self.clusters[number % len(self.clusters)]
            definition = self._definition(f"t{number}")
        arn = self.place.arn("ecs", f"task/{cluster.rpartition('/')[2]}/{number:032x}")
        return Task(arn, cluster, definition, self.definitions[definition])

    def _functions(self) -> Iterator[FunctionVersion]:
        for number in range(self.spec.functions):
            yield FunctionVersion(f"f{number}", "$LATEST", self._use(self.spec.moved_tags))
            if self._random.random() < self.spec.versions:
                yield FunctionVersion(f"f{number}", "1", self._use(self.spec.moved_tags))
        for number in range(self.spec.zip_functions):
            yield FunctionVersion(f"z{number}", "$LATEST", None)


class World:
    """The content of the fake AWS. The same spec and time give the same world."""

    def __init__(self, spec: WorldSpec, now: float) -> None:
        self.spec = spec
        self._random = Random(spec.seed)  # noqa: S311 -- not secret: repeatable
        self._now = now
        self.repositories = {one.name: one for one in self._repositories()}
        self._families = [family for one in self.repositories.values() for family in one.families]
        self.needed: Counter[tuple[str, str]] = Counter()
        self.home = Consumers(HOME, spec, self._random, self._use)
        self._consumers = {HOME: self.home}
        for other in spec.elsewhere:
            theirs = replace(
                spec,
                clusters=other.clusters,
                services=other.services,
                tasks=other.tasks,
                functions=other.functions,
                app_runner_services=other.app_runner_services,
                schedules=other.schedules,
            )
            found = Consumers(other.place, theirs, self._random, self._use)
            self._consumers[other.place] = found
        self.removable = self._removable()

    def consumers(self, place: Place) -> Consumers:
        """Return what uses images in an account and region."""
        if place not in self._consumers:
            self._consumers[place] = Consumers(place, NOBODY, self._random, self._use)
        return self._consumers[place]

    # Images in ECR.

    def _repositories(self) -> Iterator[Repository]:
        for number in range(self.spec.repositories):
            opted_in = number >= self.spec.not_opted_in
            repository = Repository(f"team-{number % 7}/app-{number:05}", opted_in)
            while len(repository.images) < self.spec.images:
                repository.families.append(self._family(repository))
            yield repository

    def _family(self, repository: Repository) -> Family:
        spec, random = self.spec, self._random
        room = self.spec.images - len(repository.images)
        young = random.random() < spec.young
        pushed = self._now - DAY * random.uniform(*(YOUNG_DAYS if young else OLD_DAYS))
        if room >= 4 and random.random() < spec.indexes:
            steps, leaves = self._index(repository, pushed)
        else:
            image = self._image(repository, pushed, [f"v{len(repository.order)}"])
            steps, leaves = [[image.digest]], [image]
        root = repository.images[steps[0][0]]
        if len(repository.images) < spec.images and random.random() < spec.referrers:
            steps += [[]] * (len(steps) == 1)
            steps[1].append(self._referrer(repository, root, pushed).digest)
        pulled = random.random() < spec.pulled
        for leaf in leaves:
            leaf.pulled = self._now - DAY if pulled else pushed + DAY
        return Family(repository, root, steps, leaves, young or pulled)

    def _index(
        self, repository: Repository, pushed: float
    ) -> tuple[list[list[str]], list[StoredImage]]:
        leaves = [self._image(repository, pushed, []) for _ in range(2)]
        below = tuple(leaf.digest for leaf in leaves)
        steps = [list(below)]
        if self._random.random() < self.spec.nested:
            inner = self._image(repository, pushed, [], below)
            below = (inner.digest,)
            steps.insert(0, [inner.digest])
        number = len(repository.order)
        root = self._image(repository, pushed, [f"v{number}", f"build-{number}"], below)
        return [[root.digest], *steps], leaves

    def _referrer(self, repository: Repository, subject: StoredImage, pushed: float) -> StoredImage:
        """Add a signature that names its subject in its manifest, or by a tag like older tools."""
        declared = self._random.random() < 0.5
        tags = [] if declared else [subject.digest.replace(":", "-") + ".sig"]
        referrer = self._image(repository, pushed, tags)
        referrer.subject = subject.digest if declared else None
        return referrer

    def _image(
        self,
        repository: Repository,
        pushed: float,
        tags: list[str],
        children: tuple[str, ...] = (),
    ) -> StoredImage:
        name = f"{self.spec.seed}/{repository.name}/{len(repository.order)}"
        digest = "sha256:" + sha256(name.encode()).hexdigest()
        size = self._random.randrange(10_000_000, 900_000_000)
        media_type = INDEX if children else IMAGE
        return repository.add(StoredImage(digest, tags, pushed, size, media_type, children))

    # Consumers.

    def _use(self, moved_tags: float) -> Container:
        """Use a family by tag or by digest; its tag may have moved since then."""
        running = self._random.choice(self._families)
        written = running
        if self._random.random() < moved_tags:
            written = self._random.choice(running.repository.families)
        runs = self._random.choice([running.root, *running.leaves])
        for family, image in ((running, runs), (written, written.root)):
            family.used = True
            for digest in family.repository.closure(image.digest):
                self.needed[family.repository.name, digest] += 1
        uri = self._written(running.repository)
        if written is running and self._random.random() < 0.3:
            return Container(f"{uri}@{runs.digest}", runs.digest)
        return Container(f"{uri}:{written.root.tags[0]}", runs.digest)

    def _written(self, repository: Repository) -> str:
        """Return the name of the repository or of a copy."""
        copies: list[Replica | Cache] = [*self.spec.replicas, *self.spec.caches]
        names = [name for copy in copies if (name := copy.written(repository.name))]
        return self._random.choice([repository.uri, *names]) if names else repository.uri

    # Removable images.

    def _removable(self) -> dict[str, list[list[str]]]:
        """Return what a complete run removes, by repository, in steps in a valid order."""
        removable: dict[str, list[list[str]]] = {}
        for family in self._families:
            if family.repository.opted_in and not family.used and not family.stays:
                steps = removable.setdefault(family.repository.name, [])
                for number, step in enumerate(family.steps):
                    steps.extend([] for _ in range(number + 1 - len(steps)))
                    steps[number] += step
        return removable
