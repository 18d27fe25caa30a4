"""What a person sees while a run goes on."""

from __future__ import annotations

import io
from typing import Any

from core.worlds import sha
from ecr_cleaner.report import events
from ecr_cleaner.report.lines import INTERRUPTED
from ecr_cleaner.report.terminal import Progress


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO, **options: Any) -> str:
    progress = Progress(stream, **options)
    log = progress.logger()
    log.info(events.RUN_STARTED, settings={})
    log.info(events.TARGETS, targets=2)
    log.info(events.NO_LEDGER, why="LEDGER is not set")
    log.debug(events.TARGET_SCANNED, target="111122223333/eu-west-1")
    log.info(events.SOURCE_SCANNED, source="ecs", usages=1)
    log.info(events.SOURCE_SCANNED, source="eks", usages=0)
    log.debug(events.SOURCE_SCANNED, source="eks", usages=0)
    log.debug(events.KEEPING)
    log.warning(events.GUARDED, repository="app", why="in the table")
    log.warning(events.GUARDED, repository="second", why="in the table")
    log.warning(events.SETTING_DOUBTFUL, why="entry 1 matches no repository")
    log.warning(events.CLUSTER_NOT_READ, cluster="prod", why="denied", fix="add an entry")
    log.warning(events.LEFT, repository="app", reason="out_of_time", count=3)
    log.info(events.REPOSITORY_DONE, repository="app", images=1200, removed=0)
    log.info(events.REPOSITORY_DONE, repository="second", images=1, removed=1)
    log.error(events.RUN_FAILED, error=INTERRUPTED)
    log.error(events.REPOSITORY_FAILED, repository="b\x1b", error="no", missing_action="ecr:Get")
    progress.close()
    return stream.getvalue()


def near(*tags: str, because: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"digest": sha("a"), "tags": tags, "reason": "in_use", "because": because}


def test_near_misses_name_the_first_images_with_their_reasons() -> None:
    stream = io.StringIO()
    log = Progress(stream).logger()
    log.warning(events.NEAR_MISS, repository="app", each=[near("v1", "v2", because=("arn", "b"))])
    log.warning(events.NEAR_MISS, repository="app", each=[near(), near("\x1b"), *[near("v3")] * 3])
    assert stream.getvalue() == (
        "warning: Found near miss: app: 1 image: v1 (in_use: arn)\n"
        f"warning: Found near miss: app: 5 images: {sha('a')[7:19]} (in_use), \\x1b (in_use), "
        "v3 (in_use), 2 more\n"
    )


WARNINGS = (
    "warning: Nothing is remembered: LEDGER is not set\n",
    "warning: Setting may not do what was meant: entry 1 matches no repository\n",
    "warning: Kubernetes cluster could not be read in full: prod: denied: add an entry\n",
    "warning: Images left for the next run: app: reason out_of_time, count 3\n",
    "error: Repository failed: b\\x1b: no (missing IAM action: ecr:Get)\n",
)
ERASE = "\r\x1b[K"


def test_without_a_terminal_only_warnings_and_errors_are_written() -> None:
    assert run(io.StringIO()) == "".join(WARNINGS)


def test_on_a_terminal_the_last_line_says_how_far_the_run_is() -> None:
    no_ledger, *warnings, error = WARNINGS
    scanned = "1 of 2 accounts and regions, 2 sources read"
    assert run(Terminal()) == "".join(
        (
            f"{ERASE}0 of 2 accounts and regions, 0 sources read{ERASE}{no_ledger}",
            f"{ERASE}1 of 2 accounts and regions, 0 sources read",
            f"{ERASE}1 of 2 accounts and regions, 1 source read",
            f"{ERASE}{scanned}{ERASE}",
            *warnings,
            f"{ERASE}{scanned}; 1 repository, 1,200 images judged",
            # As far as the terminal is wide.
            f"{ERASE}{scanned}; 2 repositories, 1,201 images judge",
            f"{ERASE}{error}",
        )
    )


def test_wide_terminal_has_room_for_the_whole_line() -> None:
    judged = "2 repositories, 1,201 images judged; 1 removed"
    assert f"2 sources read; {judged}{ERASE}" in run(Terminal(), width=100)


def test_a_guard_that_no_table_shows_is_named_once() -> None:
    text = run(io.StringIO(), hidden=frozenset())
    assert text.count("in the table") == 1
    assert "warning: Repository is guarded: app: in the table\n" in text


def test_one_account_and_region_is_not_counted() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.logger().info(events.TARGETS, targets=1)
    progress.logger().info(events.SOURCE_SCANNED)
    progress.close()
    progress.close()
    assert stream.getvalue() == f"{ERASE}0 sources read{ERASE}1 source read{ERASE}"


def test_action_that_the_error_names_is_not_named_twice() -> None:
    stream = io.StringIO()
    log = Progress(stream).logger()
    log.error(events.RUN_FAILED, error="denied: ecr:Get", missing_action="ecr:Get")
    assert stream.getvalue() == "error: Run failed: denied: ecr:Get\n"
