"""``python -m bench.kubernetes``: read clusters of many pods; time, processor and memory.

The API server is a process of its own, so that its work is not measured. Times do not contain its
answers' latency on a real network: a page of 100 pods takes a real API server about 0.2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.measure import Deadline as TimeLimit
from bench.measure import DeadlineError
from ecr_cleaner.aws.kubernetes import Endpoint, KubernetesApi
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.cluster import read_cluster
from ecr_cleaner.workers import Workers
from fakes.kubernetes import TOKEN, FakeCluster, running

KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
# A pod of a real cluster has 15 KB, a third of it in managedFields.
MANAGED_FIELDS = 110


@dataclass(frozen=True, slots=True)
class Case:
    """So many clusters with so many pods each, read side by side."""

    name: str
    clusters: int
    pods: int


CASES = (
    Case("no pods", 1, 0),
    Case("10,000 pods", 1, 10_000),
    Case("10 clusters of 1,000 pods", 10, 1_000),
)


def pod(number: int) -> dict[str, Any]:
    """Return the content of a pod of the usual size."""
    image = f"{HOST}/team/service-{number % 500}:{number % 7}"
    digest = f"sha256:{number % 3500:064x}"
    containers = [
        {
            "name": name,
            "image": image,
            "env": [
                {"name": f"SETTING_{key}", "value": f"https://service-{key}.shop.svc.cluster.local"}
                for key in range(40)
            ],
            "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m"}},
            "volumeMounts": [
                {"name": f"volume-{key}", "mountPath": f"/mnt/{key}"} for key in range(5)
            ],
        }
        for name in ("main", "sidecar")
    ]
    return {
        "spec": {"containers": containers, "nodeName": f"ip-10-0-0-{number % 200}"},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": one["name"], "image": image, "imageID": f"{HOST}/x@{digest}"}
                for one in containers
            ],
        },
    }


def managed_fields() -> list[dict[str, Any]]:
    """Return what Kubernetes notes about the origin of each field."""
    names = (f"field-{number}" for number in range(MANAGED_FIELDS))
    fields: dict[str, Any] = {
        f"f:{name}": {".": {}, f'k:{{"name":"{name}"}}': {}} for name in names
    }
    return [{"manager": "kubelet", "operation": "Update", "fieldsV1": fields}]


# -- The server ----------------------------------------------------------------------------------


def serve(pods: int) -> int:
    """Serve a cluster until standard input closes; print its address and its CA."""
    cluster = FakeCluster()
    for number in range(pods):
        cluster.create("pods", f"service-{number}", **pod(number))
        cluster.objects["pods"][-1]["metadata"]["managedFields"] = managed_fields()
    with running(cluster):
        _write(json.dumps({"url": cluster.url, "authority": cluster.authority.pem}) + "\n")
        sys.stdin.read()
    return 0


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def served(pods: int) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "bench.kubernetes", "serve", str(pods)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environ()
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
        server.stdin.close()


# -- The reader ----------------------------------------------------------------------------------


def read(address: Mapping[str, str], clusters: int) -> int:
    """Read the cluster so many times at once, as if they were several; print what it took."""
    endpoint = Endpoint(address["url"], address["authority"])

    def one(number: int) -> tuple[str, int]:
        api = KubernetesApi(f"cluster-{number}", endpoint, lambda: TOKEN, Deadline())
        document = read_cluster(f"cluster-{number}", api, Deadline())
        return document.problem, len(list(document.held))

    wall, cpu = time.perf_counter(), time.process_time()
    with Workers(48) as workers:
        results = workers.map(one, range(clusters))
    taken = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE,
        "problems": [problem for problem, _ in results if problem],
        "references": sum(count for _, count in results),
    }
    _write(json.dumps(taken) + "\n")
    return 0


def measure(case: Case, limit: TimeLimit) -> Mapping[str, Any]:
    """Return what one case took; raise DeadlineError if the time limit is over."""
    with served(case.pods) as address:
        command = [sys.executable, "-m", "bench.kubernetes", "read", str(case.clusters)]
        try:
            done = subprocess.run(
                command,
                env=_environ(),
                input=json.dumps(address),
                capture_output=True,
                text=True,
                timeout=limit.left(),
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineError from error
        taken: Mapping[str, Any] = json.loads(done.stdout)
        return taken


def lines(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of the results; memory is above that of a cluster without pods."""
    base = results[CASES[0].name]["peak"]
    yield f"{'Kubernetes':<28}{'wall s':>8}{'cpu s':>8}{'extra MiB':>11}{'references':>12}"
    for name, taken in results.items():
        extra = (taken["peak"] - base) / MEBIBYTE
        yield (
            f"{name:<28}{taken['wall']:>8.1f}{taken['cpu']:>8.1f}{extra:>11.1f}"
            f"{taken['references']:>12,}"
        )


def main() -> int:
    """Measure every case and print a table; return 1 if a cluster was not read in full."""
    parser = argparse.ArgumentParser(prog="bench.kubernetes", description=__doc__)
    parser.add_argument("role", nargs="?", choices=["serve", "read"], help=argparse.SUPPRESS)
    parser.add_argument("count", nargs="?", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=120, help="time limit (120)")
    arguments = parser.parse_args()
    if arguments.role == "serve":
        return serve(arguments.count)
    if arguments.role == "read":
        return read(json.loads(sys.stdin.read()), arguments.count)
    limit = TimeLimit.after(arguments.seconds)
    results = {case.name: measure(case, limit) for case in CASES}
    _write("\n".join(lines(results)) + "\n")
    return int(any(taken["problems"] for taken in results.values()))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
