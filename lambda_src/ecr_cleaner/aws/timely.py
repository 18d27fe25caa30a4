"""No call outlives the deadline: not its attempts, nor the waits between them.

The SDK retries a throttled call for up to two minutes, and in its adaptive mode a call may wait for
its turn without a bound. A function that is killed meanwhile writes no summary.
"""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import CapacityNotAvailableError
from botocore.retries.adaptive import ClientRateLimiter, RateClocker
from botocore.retries.bucket import Clock, TokenBucket
from botocore.retries.standard import RetryEventAdapter, ThrottlingErrorDetector
from botocore.retries.throttling import CubicCalculator

from ecr_cleaner.core.errors import OutOfTimeError
from ecr_cleaner.deadline import Deadline

# Seconds between two looks whether it is a throttled call's turn.
_TURN = 0.05


def keep_deadline(client: Any, deadline: Deadline) -> None:
    """Limit the rate of a client as the SDK's adaptive mode does, within the deadline.

    The client must be in the SDK's standard mode, to which adaptive mode only adds this limiter.
    """
    events = client.meta.events
    service = client.meta.service_model.service_id.hyphenize()
    limiter = _limiter(deadline)

    def refuse_call(**_: Any) -> None:
        if not deadline.allows_call():
            raise OutOfTimeError(
                f"there was no time left to call {client.meta.service_model.service_name}"
            )

    def refuse_retry(**_: Any) -> bool | None:
        # botocore takes the first answer that is not None; False means: do not wait, do not retry.
        return None if deadline.allows_call() else False

    events.register("before-send", limiter.on_sending_request)
    events.register_last("before-send", refuse_call)
    events.register("needs-retry", limiter.on_receiving_response)
    events.register_first(f"needs-retry.{service}", refuse_retry)


def _limiter(deadline: Deadline) -> ClientRateLimiter:
    clock = Clock()
    return ClientRateLimiter(
        rate_adjustor=CubicCalculator(starting_max_rate=0, start_time=clock.current_time()),
        rate_clocker=RateClocker(clock),
        token_bucket=_TimelyBucket(deadline, clock),
        throttling_detector=ThrottlingErrorDetector(RetryEventAdapter()),
        clock=clock,
    )


class _TimelyBucket(TokenBucket):
    """A token bucket in which nobody waits beyond the deadline."""

    def __init__(self, deadline: Deadline, clock: Clock) -> None:
        super().__init__(max_rate=1, clock=clock)
        self._deadline = deadline

    def acquire(self, amount: int = 1, block: bool = True) -> bool:  # noqa: FBT001, FBT002 - botocore's
        while True:
            try:
                return bool(super().acquire(amount, block=False))
            except CapacityNotAvailableError:
                if not block:
                    raise
            if not self._deadline.allows_call():
                raise OutOfTimeError("there was no time left to wait for a throttled service")
            time.sleep(_TURN)
