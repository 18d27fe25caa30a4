"""The message that asks a person to approve a plan, word for word."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from core.worlds import NOW, REGISTRY
from ecr_cleaner.core.approval_request import ApprovalRequest, Gain
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.report.approval_message import LONGEST_SUBJECT, command, message, subject

REQUEST = ApprovalRequest(
    registry=REGISTRY,
    until=NOW,
    plan="s3://bucket/plans/run.jsonl.gz",
    page="s3://bucket/plans/run.html",
    gain=Gain(2, 1_234, 5_600_000_000),
    guarded=Gain(),
    broken_references=0,
    near_misses=0,
    unvisited=0,
    most=(("team/app", Gain(1, 1_000, 5_000_000_000)), ("shop", Gain(1, 234, 600_000_000))),
)
FUNCTION = Settings(approval=True, applying_removes=True, function_name="ecr-cleaner")
SHELL = replace(FUNCTION, function_name="")

WHOLE = """\
A run of ecr-cleaner made a plan for the registry of 111122223333 in eu-west-1. Applying it \
removes 1,234 images of 2 repositories: up to 5.6 GB, up to $0.56 a month at $0.10 per GB. \
Sizes are upper bounds, because layers that images share are counted in each of them.

Most images are removed from:
- team/app: 1,000 images, up to 5.0 GB
- shop: 234 images, up to 600 MB

Page of the plan:
  s3://bucket/plans/run.html
  aws s3 cp s3://bucket/plans/run.html .

Apply it by calling the function:
  aws lambda invoke --function-name ecr-cleaner --region eu-west-1 --cli-read-timeout 900 \
--cli-binary-format raw-in-base64-out --payload '{"apply": "s3://bucket/plans/run.jsonl.gz"}' \
out.json

Or apply it in a shell with the settings of the run:
  python -m ecr_cleaner apply s3://bucket/plans/run.jsonl.gz

Applying judges all images again. An image is removed only if the plan removes it, a new run would \
still remove it, and it did not change in between. The plan can be applied until 2026-03-01 12:00 \
UTC, while the settings that decide about images stay the same.
"""


def test_message_says_what_is_gained_where_the_page_is_and_how_to_apply() -> None:
    assert message(REQUEST, FUNCTION) == WHOLE
    assert subject(REQUEST, FUNCTION) == (
        "ecr-cleaner: 1,234 images to remove in 111122223333 eu-west-1, up to 5.6 GB, up to $0.56 "
        "a month"
    )


def test_one_repository_is_named_and_others_are_counted() -> None:
    one = replace(REQUEST, gain=Gain(1, 1, 5), most=(("app", Gain(1, 1, 5)),))
    told = "They are removed from:\n- app: 1 image, up to 5 B\n\n"
    assert told in message(one, FUNCTION)
    many = replace(REQUEST, gain=Gain(14, 9_000, 5))
    told = "- shop: 234 images, up to 600 MB\n- 12 other repositories\n\n"
    assert told in message(many, FUNCTION)


def test_subject_is_no_longer_than_sns_allows() -> None:
    text = subject(REQUEST, replace(FUNCTION, function_name="f" * 64))
    assert len(text) == LONGEST_SUBJECT
    assert text.isascii()


def test_without_a_price_no_dollars_are_named() -> None:
    free = replace(FUNCTION, price_per_gb_month=0.0)
    assert "$" not in message(REQUEST, free) + subject(REQUEST, free)
    assert "removes 1,234 images of 2 repositories: up to 5.6 GB. Sizes" in message(REQUEST, free)


@pytest.mark.parametrize(
    ("request_", "settings", "told"),
    [
        (
            replace(REQUEST, guarded=Gain(1, 1, 2_000_000)),
            FUNCTION,
            (
                "- Guards stand: 1 image of 1 repository, up to 2 MB, stay until the guards are "
                "lifted. The page says how."
            ),
        ),
        (
            replace(REQUEST, broken_references=2),
            FUNCTION,
            (
                "- 2 broken references: consumers name images that cannot be pulled. The page "
                "names them."
            ),
        ),
        (
            replace(REQUEST, near_misses=2),
            FUNCTION,
            (
                "- 2 near misses: an earlier plan would have removed images that are needed now. "
                "The log names them; find out why before you apply."
            ),
        ),
        (
            replace(REQUEST, unvisited=3),
            FUNCTION,
            "- 3 repositories not judged: the run was out of time.",
        ),
        (
            REQUEST,
            replace(FUNCTION, applying_removes=False),
            (
                "- DRY_RUN is not false: until it is, applying the plan removes nothing and only "
                "reports."
            ),
        ),
        (
            REQUEST,
            replace(FUNCTION, max_deletions=1_000),
            "- One call removes at most 1,000 images (MAX_DELETIONS). Repeat it for the others.",
        ),
    ],
)
def test_what_a_person_should_know_before_is_a_note(
    request_: ApprovalRequest, settings: Settings, told: str
) -> None:
    assert f"\n\n{told}\n\n" in message(request_, settings)


def test_notes_are_one_list() -> None:
    text = message(replace(REQUEST, broken_references=1, unvisited=1), FUNCTION)
    assert "\n- 1 broken reference: " in text
    assert "The page names them.\n- 1 repository not judged: " in text


def test_plan_without_a_page_is_named_itself() -> None:
    text = message(replace(REQUEST, page=""), FUNCTION)
    assert "no time to write its page):\n  s3://bucket/plans/run.jsonl.gz\n  aws s3 cp " in text
    assert "run.html" not in text


def test_plan_of_a_shell_is_applied_from_a_shell() -> None:
    request = replace(REQUEST, plan="/plans/of me/run.jsonl.gz", page="/plans/of me/run.html")
    text = message(request, SHELL)
    assert "Page of the plan:\n  /plans/of me/run.html\n\n" in text
    assert "python -m ecr_cleaner apply '/plans/of me/run.jsonl.gz'\n" in text
    assert "aws " not in text
    assert command(request, FUNCTION) == command(request, SHELL)


def test_call_survives_the_shell_whatever_the_address() -> None:
    address = 's3://bucket/it\'s "mine"/$HOME/run.jsonl.gz'
    words = shlex.split(command(replace(REQUEST, plan=address), FUNCTION))
    payload = words[words.index("--payload") + 1]
    assert json.loads(payload) == {"apply": address}
    assert words[:3] == ["aws", "lambda", "invoke"]
