"""Rate limits of AWS: token buckets, one per group of operations.

Sources: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html,
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html,
https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of ``burst`` tokens that is refilled with ``per_second`` tokens."""

    burst: float
    per_second: float

    def seconds_for(self, calls: int) -> float:
        """Return the shortest time in which this many calls are allowed."""
        return max(0.0, calls - self.burst) / self.per_second


_ECS_READS = Rate(50, 20)

PUBLISHED: Mapping[str, Rate] = {
    "ecs cluster reads": _ECS_READS,
    "ecs service reads": _ECS_READS,
    "ecs task definition reads": _ECS_READS,
    "ecs task reads": Rate(100, 20),
    "lambda:GetFunction": Rate(100, 100),
    "lambda control plane": Rate(15, 15),
    "ecr:BatchGetImage": Rate(2000, 2000),
}

# An operation that is not listed here is its own group.
_GROUPS: Mapping[str, str] = {
    "ecs:ListClusters": "ecs cluster reads",
    "ecs:DescribeClusters": "ecs cluster reads",
    "ecs:ListServices": "ecs service reads",
    "ecs:DescribeServices": "ecs service reads",
    "ecs:ListServiceDeployments": "ecs service reads",
    "ecs:DescribeServiceDeployments": "ecs service reads",
    "ecs:DescribeServiceRevisions": "ecs service reads",
    "ecs:ListTasks": "ecs task reads",
    "ecs:DescribeTasks": "ecs task reads",
    "ecs:ListTaskDefinitionFamilies": "ecs task definition reads",
    "ecs:ListTaskDefinitions": "ecs task definition reads",
    "ecs:DescribeTaskDefinition": "ecs task definition reads",
    "lambda:ListFunctions": "lambda control plane",
}


def group_of(operation: str) -> str:
    """Return the group whose bucket the operation uses."""
    return _GROUPS.get(operation, operation)


def least_seconds(calls: Mapping[str, int], rates: Mapping[str, Rate]) -> float:
    """Return the shortest time for these calls if all groups are called at the same time."""
    grouped: dict[str, int] = {}
    for operation, count in calls.items():
        grouped[group_of(operation)] = grouped.get(group_of(operation), 0) + count
    return max(
        (rates[group].seconds_for(count) for group, count in grouped.items() if group in rates),
        default=0.0,
    )


class Buckets:
    """The state of all buckets."""

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        self._rates = rates
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, operation: str, now: float) -> bool:
        """Take a token for one call; return False if there was none."""
        group = group_of(operation)
        rate = self._rates.get(group)
        if rate is None:
            return True
        level, since = self._levels.get(group, (rate.burst, now))
        level = min(rate.burst, level + (now - since) * rate.per_second)
        allowed = level >= 1
        self._levels[group] = (level - allowed, now)
        return allowed
