"""The entry point on AWS Lambda."""

from __future__ import annotations

import math
import os
from typing import Any

from ecr_cleaner.core.invocation import Order
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.program import apply, run, run_step, understood


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Clean the registry of the function's account and region; return the summary of the run.

    An event ``{"apply": "s3://..."}`` applies that plan, and ``{"step": ...}`` is one step of a run
    that Step Functions drives. An empty event, or one of EventBridge, starts a run; any other is
    refused. Raises CleanerError if the run failed, so that Lambda's error metric, and an alarm on
    it, can see it.
    """
    # A context without these is not Lambda's: somebody calls the handler by hand.
    request_id = getattr(context, "aws_request_id", "none")
    millis_left = getattr(context, "get_remaining_time_in_millis", lambda: math.inf)
    deadline = Deadline(seconds_left=lambda: millis_left() / 1000)
    order = understood(os.environ, request_id, event)
    if order is Order.STEP:
        return run_step(os.environ, request_id, event, deadline)
    if order is Order.APPLY:
        return apply(os.environ, request_id, event["apply"], deadline)
    return run(os.environ, request_id, deadline)
