"""The multi-region example, applied to a fake AWS and destroyed again."""

from __future__ import annotations

from pathlib import Path

from terraform_support import MODULE, PROJECT, FakeAws, example_in


def leftovers(aws: FakeAws, region: str) -> dict[str, list[object]]:
    """Return what exists of each kind that the module creates."""
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
def test_destroy_leaves_nothing_of_instances_in_two_regions(
    aws: FakeAws, terraform_environ: dict[str, str], tmp_path: Path
) -> None:
    terraform = example_in(tmp_path, "examples/multi-region", terraform_environ)

    terraform.apply()
    for region in ("eu-central-1", "us-east-1"):
        assert count(leftovers(aws, region)) == {
            "functions": 1,
            "repositories": 1,
            "log groups": 1,
            "saved queries": len(list((PROJECT / MODULE / "queries").iterdir())),
            "metric filters": 13,
            "alarms": 6,
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
