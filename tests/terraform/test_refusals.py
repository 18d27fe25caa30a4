"""Settings that the module refuses, with a message that says what to do."""

from __future__ import annotations

import json

import pytest

from terraform_support import MODULE, Terraform, TerraformError, copy_project

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def bare(terraform_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Return the module without an example around it."""
    project = copy_project(tmp_path_factory.mktemp("bare"))
    return Terraform(project / MODULE, environ=terraform_environ).init()


# The variables of a plan, and what each of its errors contains. A plan reports all values that the
# variables refuse. It checks the image and the schedule only if there are none.
@pytest.mark.parametrize(
    ("variables", "refusals"),
    [
        (
            {
                "kms_key_arn": "",
                "run_interval_hours": 168,
                "scan_regions": ["enabled"],
                "scan_accounts": ["organization", "123456789012"],
                "timeout": 60,
                "on_failure_destination_kms_key_arn": f"arn:aws:kms:{REGION}:123456789012:key/1",
            },
            [
                ('kms_key_arn is ""', "must be null or the ARN"),
                ("run_interval_hours is 168", "84", "silence_alarm_enabled"),
                ('scan_regions is ["enabled"]', "every enabled region"),
                (
                    'scan_accounts is ["organization","123456789012"]',
                    "12 digits",
                    '["organization"]',
                ),
                ("timeout is 60", "120 to 900", "last 60 seconds"),
                ("on_failure_destination_kms_key_arn", "on_failure_destination_arn is null"),
            ],
        ),
        (
            {"image_uri": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/ecr-cleaner:1"},
            [("image_uri is", "amazonaws.com/ecr-cleaner:1", "a repository of your own")],
        ),
        (
            {"schedule_expression": "cron(0 3 ? * MON *)"},
            [("cron(0 3 ? * MON *)", "run_interval_hours", "silence_alarm_enabled")],
        ),
        (
            {"schedule_expression": "rate(85 hours)"},
            [("rate(85 hours)", "84", "silence_alarm_enabled")],
        ),
        (
            {"schedule_expression": "rate(7 days)", "run_interval_hours": 84},
            [("rate(7 days)", "set silence_alarm_enabled to false")],
        ),
        (
            {"schedule_expression": "cron(0 3 * * ? *)", "run_interval_hours": 23},
            [("cron(0 3 * * ? *)", "run_interval_hours is 23", "go off between runs")],
        ),
        (
            {"schedule_expression": "rate(2 days)", "run_interval_hours": 47},
            [("rate(2 days)", "run_interval_hours is 47")],
        ),
    ],
)
def test_refusal_names_the_setting_and_the_remedy(
    bare: Terraform, variables: dict[str, object], refusals: list[tuple[str, ...]]
) -> None:
    with pytest.raises(TerraformError) as refused:
        bare.plan(**variables)

    errors = [
        line["diagnostic"]["detail"]
        for line in map(json.loads, str(refused.value).splitlines()[1:])
        if line["type"] == "diagnostic"
    ]
    found = [
        [error for error in errors if all(part in error for part in parts)] for parts in refusals
    ]
    assert [len(matching) for matching in found] == [1] * len(refusals), errors
    assert len(errors) == len(refusals), errors
