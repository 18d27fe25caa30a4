"""What a person sees while a run goes on."""

from __future__ import annotations

import io

from ecr_cleaner.report import events
from ecr_cleaner.report.terminal import Progress


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO) -> str:
    progress = Progress(stream)
    log = progress.logger()
    log.info(events.RUN_STARTED, settings={})
    log.info(events.SOURCE_SCANNED, source="ecs", usages=1)
    log.info(events.SOURCE_SCANNED, source="eks", usages=0)
    log.debug(events.KEEPING)
    log.warning(events.GUARDED, repository="app", why="in the table")
    log.warning(events.SETTING_DOUBTFUL, why="entry 1 matches no repository")
    log.info(events.REPOSITORY_DONE, repository="app", images=1200)
    log.error(events.REPOSITORY_FAILED, repository="b\x1b", error="no", missing_action="ecr:Get")
    progress.close()
    return stream.getvalue()


ERRORS = (
    "warning: Setting may not do what was meant: entry 1 matches no repository\n"
    "error: Repository failed: b\\x1b: no (missing IAM action: ecr:Get)\n"
)


def test_without_a_terminal_only_warnings_and_errors_are_written() -> None:
    assert run(io.StringIO()) == ERRORS


def test_on_a_terminal_the_last_line_says_how_far_the_run_is() -> None:
    erase = "\r\x1b[K"
    warning, error = ERRORS.splitlines(keepends=True)
    assert run(Terminal()) == (
        f"{erase}1 source read{erase}2 sources read{erase}{warning}"
        f"{erase}2 sources read, 1 repositories with 1,200 images{erase}{error}"
    )


def test_progress_is_erased_at_the_end() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.logger().info(events.SOURCE_SCANNED)
    progress.close()
    progress.close()
    assert stream.getvalue().endswith("1 source read\r\x1b[K")


def test_action_that_the_error_names_is_not_named_twice() -> None:
    stream = io.StringIO()
    log = Progress(stream).logger()
    log.error(events.RUN_FAILED, error="denied: ecr:Get", missing_action="ecr:Get")
    assert stream.getvalue() == "error: Run failed: denied: ecr:Get\n"
