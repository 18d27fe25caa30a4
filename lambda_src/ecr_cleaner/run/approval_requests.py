"""Tells a person, by SNS, that a plan waits for approval."""

from __future__ import annotations

from collections.abc import Callable

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.approval_request import ApprovalRequest
from ecr_cleaner.core.errors import text_of
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.report.approval_message import message, subject
from ecr_cleaner.report.run_report import RunReport


class ApprovalRequests:
    """Sends the request of a run to the topic, if there is one, and logs how to apply its plan.

    ``begin`` raises CleanerError if the request must not be sent.
    """

    def __init__(
        self,
        aws: Aws,
        settings: Settings,
        report: RunReport,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._aws = aws
        self._settings = settings
        self._report = report
        self._begin = begin

    def send(self, request: ApprovalRequest) -> list[str]:
        """Send the request; return what failed. The plan is stored in any case."""
        topic = self._settings.approval_topic
        problem = self._publish(request, topic) if topic else ""
        self._report.waits(request, None if problem else topic)
        if not problem:
            return []
        self._report.not_asked(problem)
        return [problem]

    def _publish(self, request: ApprovalRequest, topic: str) -> str:
        """Send the message; return why that failed, or nothing."""
        region = topic.split(":")[3]
        try:
            self._begin()
            self._aws.api("sns", region).call(
                "Publish",
                TopicArn=topic,
                Subject=subject(request, self._settings),
                Message=message(request, self._settings),
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody was told
            return (
                f"no message could be sent to APPROVAL_TOPIC_ARN, {topic}: {text_of(error)}; the "
                f"plan is stored and can be applied: {request.plan}"
            )
        return ""
