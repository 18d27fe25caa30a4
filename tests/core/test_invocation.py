"""What the event of the function asks for: what is not understood is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.invocation import ALLOWED, EventError, Order, order_of

SCHEDULED = {
    "version": "0",
    "id": "1",
    "detail-type": "Scheduled Event",
    "source": "aws.scheduler",
    "account": "111122223333",
    "time": "2026-03-01T00:00:00Z",
    "region": "eu-west-1",
    "resources": ["arn:aws:scheduler:eu-west-1:111122223333:schedule/default/ecr-cleaner"],
    "detail": "{}",
}
TARGET = {"account": "111122223333", "region": "eu-west-1", "partition": "aws"}
PLAN = "s3://bucket/plans/plan.jsonl.gz"


@pytest.mark.parametrize(
    ("event", "order"),
    [
        (None, Order.RUN),
        ({}, Order.RUN),
        (SCHEDULED, Order.RUN),
        ({"source": "aws.scheduler"}, Order.RUN),
        (SCHEDULED | {"what-aws-adds-later": 1}, Order.RUN),
        ({"apply": PLAN}, Order.APPLY),
        ({"step": "plan", "run": "one"}, Order.STEP),
        ({"step": "scan", "run": "one", "round": 2, "target": TARGET}, Order.STEP),
        ({"step": "clean", "run": "one", "share": 0}, Order.STEP),
    ],
)
def test_events_of_schedules_of_the_state_machine_and_of_a_person_are_understood(
    event: object, order: Order
) -> None:
    assert order_of(event) is order


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"Apply": PLAN}, "the event has unknown keys: 'Apply'"),
        ({" apply": PLAN}, "the event has unknown keys: ' apply'"),
        ({"plan_id": "one", "aplpy": PLAN}, "the event has unknown keys: 'aplpy', 'plan_id'"),
        ({"dry_run": True}, "the event has unknown keys: 'dry_run'"),
        ({"Step": "plan", "run": "one"}, "the event has unknown keys: 'Step', 'run'"),
        ({"run": "one", "target": TARGET}, "the event has unknown keys: 'run', 'target'"),
        ({"Records": [{"body": "{}"}]}, "the event has unknown keys: 'Records'"),
        (SCHEDULED | {"Apply": PLAN}, "the event has unknown keys: 'Apply'"),
        (SCHEDULED | {"detail": {"apply": PLAN}}, 'is in "detail" of the event'),
        ({"source": "me", "plan": PLAN}, "the event has unknown keys: 'plan'"),
        ({"apply": PLAN, "dry_run": True}, "unknown keys beside \"apply\": 'dry_run'"),
        (SCHEDULED | {"apply": PLAN}, "unknown keys beside \"apply\": 'account', "),
        ({"step": "clean", "Share": 1}, "unknown keys beside \"step\": 'Share'"),
        ({"apply": None}, '"apply" of the event is not a string but None'),
        ({"apply": [PLAN]}, '"apply" of the event is not a string but ['),
        (PLAN, f"the event is not a JSON object but '{PLAN}'"),
        ([], "the event is not a JSON object but []"),
    ],
)
def test_what_looks_like_an_instruction_and_is_not_understood_is_refused(
    event: Any, told: str
) -> None:
    with pytest.raises(EventError) as refused:
        order_of(event)
    assert told in str(refused.value)
    assert str(refused.value).endswith(f", so nothing is done; allowed: {ALLOWED}")
