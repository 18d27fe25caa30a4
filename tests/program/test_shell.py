"""The commands for a person, over a fake registry."""

from __future__ import annotations

import gzip
import io
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from core.worlds import HOST, NOW, ago, sha, usage
from ecr_cleaner import __main__ as shell
from ecr_cleaner import program
from ecr_cleaner.core.ledger import Ledger
from ecr_cleaner.core.plan_document import PlannedImage, read_plan
from ecr_cleaner.core.text import human_size
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.shell import Wanted, wanted_image
from ecr_cleaner.workers import Workers
from fakes.ecr import FakeEcr, StoredImage
from fakes.small_services import FakeEc2, FakeS3, FakeSts
from run.test_cleaner import OPTED_IN, SOMETHING_IN_USE, StubAws, StubSource

ELSEWHERE = (
    "app:v1 is in the registry of 111122223333 in eu-north-1, but this is 111122223333 in "
    "eu-west-1.\n"
)
LEDGER = "s3://memory/ledger"
NO_LEDGER = (
    "warning: Nothing is remembered: LEDGER is not set: what was in use until yesterday is judged "
    "as unused\n"
)


@pytest.fixture
def ecr() -> FakeEcr:
    made = FakeEcr(clock=lambda: NOW)
    made.create("app", OPTED_IN)
    made.create("other", {})
    return made


@pytest.fixture
def old(ecr: FakeEcr) -> StoredImage:
    return ecr.push("app", "old", tags=["v1"], pushed_at=ago(100))


@pytest.fixture
def used(ecr: FakeEcr) -> StoredImage:
    return ecr.push("app", "used", tags=["v2"], pushed_at=ago(100))


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture(autouse=True)
def account(ecr: FakeEcr, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the fakes the account, in which ``app:v2`` is in use."""
    others: dict[str, Any] = {"s3": s3, "sts": FakeSts(), "ec2": FakeEc2()}

    def aws(_: object, workers: Workers, __: object = None) -> StubAws:
        return StubAws(ecr, workers, Deadline(lambda: NOW), others)

    source = StubSource(lambda _: [SOMETHING_IN_USE, usage("app", "arn:service", tag="v2")])
    monkeypatch.setattr(program, "open_session", lambda _: None)
    monkeypatch.setattr(program, "Aws", aws)
    monkeypatch.setattr(program, "sources_for", lambda _: [source])
    # Even if a run would delete, these commands do not.
    monkeypatch.setenv("DRY_RUN", "false")


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def events(capsys: pytest.CaptureFixture[str], name: str) -> list[dict[str, Any]]:
    """Return the lines of one event in what was logged since the last call."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["event"] == name]


def test_plan_is_a_table_and_changes_nothing(
    ecr: FakeEcr, old: StoredImage, used: StoredImage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.main(["plan"]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[1].split()[:3] == ["app", "2", "1"]
    assert output.err == NO_LEDGER
    assert ecr.digests("app") == {old.digest, used.digest}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("plan.jsonl", []), ("plan.json", []), ("plan.txt", ["--format", "json"])],
)
def test_plan_is_written_as_json_lines(
    old: StoredImage, tmp_path: Path, name: str, arguments: list[str]
) -> None:
    path = tmp_path / name
    assert shell.main(["plan", *arguments, "--output", str(path)]) == 0
    images = [
        one for one in read_plan(path.read_text().splitlines()) if isinstance(one, PlannedImage)
    ]
    assert [one.digest for one in images] == [old.digest]
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_format_of_another_file_is_the_table(old: StoredImage, tmp_path: Path) -> None:
    del old
    path = tmp_path / "plan.txt"
    assert shell.main(["plan", "-o", str(path)]) == 0
    assert path.read_text().startswith("REPOSITORY")


def test_ledger_is_read_and_not_written(
    ecr: FakeEcr,
    s3: FakeS3,
    old: StoredImage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stored = Ledger(NOW.date()).stored()
    s3.objects[LEDGER] = stored
    monkeypatch.setenv("LEDGER", LEDGER)
    changed = mock.Mock(return_value=b"more is known")
    monkeypatch.setattr("ecr_cleaner.usage.shared.known_answers.KnownAnswers.changed", changed)
    assert shell.main(["plan"]) == 0
    assert (s3.objects, s3.writes) == ({LEDGER: stored}, 0)
    output = capsys.readouterr()
    assert "1 of 1 image would" in output.out
    assert output.err == ""
    assert ecr.digests("app") == {old.digest}
    s3.objects[LEDGER] = b"damaged"
    assert shell.main(["plan"]) == 1
    assert "the ledger s3://memory/ledger cannot be read" in capsys.readouterr().err


def test_run_that_failed_in_part_shows_the_rest_and_exits_with_1(
    ecr: FakeEcr, old: StoredImage, capsys: pytest.CaptureFixture[str]
) -> None:
    del old
    ecr.create("bad", OPTED_IN | {"BoxCleanerKeepDays": "many"})
    assert shell.main(["plan"]) == 1
    output = capsys.readouterr()
    assert "failed: tag BoxCleanerKeepDays" in output.out
    assert output.out.splitlines()[1].startswith("app")
    assert "error: Run failed: tag BoxCleanerKeepDays" in output.err


@pytest.mark.parametrize("command", [["plan"], ["explain", "app:v1"]])
def test_run_that_fails_at_once_says_why(
    ecr: FakeEcr, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ecr.fail("DescribeRepositories", "AccessDeniedException")
    assert shell.main(command) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: Run failed: ecr DescribeRepositories failed")
    assert len(output.err.splitlines()) == 1


def test_account_without_repositories_has_no_plan(
    ecr: FakeEcr, capsys: pytest.CaptureFixture[str]
) -> None:
    ecr.repositories.clear()
    assert shell.main(["plan"]) == 0
    assert shell.main(["explain", "app:v1"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    lines = [line for line in output.err.splitlines() if not line.startswith("warning: ")]
    assert lines == [
        "There are no repositories in this account and region.",
        "There is no repository app in this account and region.",
    ]


@pytest.mark.parametrize("command", [["plan"], ["explain", "app:v1"]])
@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (
            OSError(28, "No space left on device"),
            1,
            "ecr_cleaner: the output could not be written: [Errno 28] No space left on device\n",
        ),
        # As in ``plan | head``.
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
    ],
)
def test_output_that_cannot_be_written_is_told_unless_its_reader_has_enough(
    old: StoredImage,
    command: list[str],
    error: OSError,
    status: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del old

    class Closed(io.StringIO):
        def flush(self) -> None:
            raise error

        def fileno(self) -> int:
            return 1

    monkeypatch.setattr("ecr_cleaner.__main__.os.dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", Closed())
    assert shell.main(command) == status
    assert capsys.readouterr().err == NO_LEDGER + told


@pytest.mark.parametrize(
    "by",
    [
        *("app:v2", f"{HOST}/app:v2", "app@{digest}", "{digest}", "{short}", "sha256:{short}"),
        *("app@{short}", "app@sha256:{short}", f"{HOST}/app@{{short}}", f"{HOST}/app@{{digest}}"),
    ],
)
def test_explain_finds_the_image(
    old: StoredImage, used: StoredImage, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del old
    short = used.digest.removeprefix("sha256:")[:12]
    assert shell.main(["explain", by.format(digest=used.digest, short=short)]) == 0
    output = capsys.readouterr()
    assert output.err == NO_LEDGER
    assert f"Digest       {used.digest}\n" in output.out
    assert "  arn:service (read by stub, as app:v2)\n" in output.out


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("nope:1", "There is no repository nope in this account and region.\n"),
        ("app:nope", "The repository app is opted in, but has no such image: app:nope.\n"),
        (sha("nope"), f"There is no image {sha('nope')} in an opted-in repository.\n"),
        (
            f"{HOST.replace('eu-west-1', 'eu-north-1')}/app:v1",
            ELSEWHERE,
        ),
    ],
)
def test_explain_says_what_does_not_exist(
    old: StoredImage, image: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del old
    assert shell.main(["explain", image]) == 1
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", NO_LEDGER + told)


def test_digest_that_several_images_have_is_not_explained(
    ecr: FakeEcr, capsys: pytest.CaptureFixture[str]
) -> None:
    ecr.create("second", OPTED_IN)
    begin = "sha256:0123456789ab"
    digests = [begin + end * 52 for end in "cd"]
    for repository, digest in (("app", digests[0]), ("app", digests[1]), ("second", digests[0])):
        ecr.push(repository, digest, digest=digest, pushed_at=ago(100))
    assert shell.main(["explain", begin]) == 1
    told, *listed = capsys.readouterr().err.removeprefix(NO_LEDGER).splitlines()
    assert told == f"{begin} is not one image but:"
    assert sorted(listed) == [f"  app@{one}" for one in digests] + [f"  second@{digests[0]}"]
    assert shell.main(["explain", digests[1]]) == 0
    assert shell.main(["explain", f"second@{begin}"]) == 0


def test_list_of_images_with_one_digest_is_bounded(
    ecr: FakeEcr, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = "sha256:" + 64 * "0"
    for number in range(12):
        ecr.create(f"r{number}", OPTED_IN)
        ecr.push(f"r{number}", "same", digest=digest, pushed_at=ago(100))
    assert shell.main(["explain", digest]) == 1
    lines = capsys.readouterr().err.removeprefix(NO_LEDGER).splitlines()
    assert (len(lines), lines[-1]) == (12, "  and 2 more")


@pytest.mark.usefixtures("old")
def test_image_that_does_not_exist_and_is_named_is_a_broken_reference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [
        usage("app", "arn:one", tag="v9"),
        usage("app", "arn:two", digest=sha("nowhere")),
        usage("nope", "arn:three", tag="1"),
    ]
    source = StubSource(lambda _: [SOMETHING_IN_USE, *named])
    monkeypatch.setattr(program, "sources_for", lambda _: [source])
    for image, told in {
        "app:v9": "has no such image: app:v9. It is a broken reference of arn:one.\n",
        f"app@{sha('nowhere')[:30]}": " It is a broken reference of arn:two.\n",
        "nope:1": "no repository nope in this account and region. It is a broken reference of "
        "arn:three.\n",
        "nope:2": "There is no repository nope in this account and region.\n",
    }.items():
        assert shell.main(["explain", image]) == 1
        assert capsys.readouterr().err.endswith(told)


def test_explain_says_why_a_repository_is_not_judged(
    ecr: FakeEcr, capsys: pytest.CaptureFixture[str]
) -> None:
    ecr.create("odd", OPTED_IN | {"boxcleanerkeepdays": "3"})
    assert shell.main(["explain", "other:v1"]) == 0
    assert shell.main(["explain", "odd:v1"]) == 0
    output = capsys.readouterr()
    assert "the repository is not opted in" in output.out
    assert "one of its tags looks misspelled" in output.out


def test_explain_looks_at_one_repository_only(ecr: FakeEcr, old: StoredImage) -> None:
    del old
    ecr.create("second", OPTED_IN)
    assert shell.main(["explain", "app:v1"]) == 0
    listed = [
        one.parameters["repositoryName"] for one in ecr.calls if one.operation == "DescribeImages"
    ]
    assert set(listed) == {"app"}


@pytest.mark.parametrize(
    "image",
    [
        *("", "app", "app:", ":v1", "App:v1", "app@sha256:12", "app:v 1", "0123456789a"),
        *("App@0123456789ab", "0123456789AB", "sha512:0123456789ab@0123456789ab"),
    ],
)
def test_what_names_no_image_is_refused(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.main(["explain", image])
    assert ended.value.code == 2
    assert "is neither a reference of an image" in capsys.readouterr().err


def test_bad_reference_is_no_image() -> None:
    assert wanted_image(f"{HOST}/app:!") is None
    assert wanted_image("team/app:v1") == Wanted("team/app", tag="v1")


def test_stored_plan_is_what_the_command_writes(
    old: StoredImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the names of the runs and what each does."""
    del old
    monkeypatch.setenv("DRY_RUN", "true")
    monkeypatch.setenv("PLANS", str(tmp_path / "plans"))
    assert shell.main([]) == 0
    assert shell.main(["plan", "-o", str(tmp_path / "plan.jsonl")]) == 0
    (stored,) = (tmp_path / "plans").glob("*.jsonl.gz")
    lines = gzip.decompress(stored.read_bytes()).decode().splitlines()
    shown = (tmp_path / "plan.jsonl").read_text().splitlines()
    assert lines[1:] == shown[1:]
    assert json.loads(lines[0])["settings"] == json.loads(shown[0])["settings"]


def test_page_shows_earlier_runs_and_adds_none(
    old: StoredImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DRY_RUN", "true")
    monkeypatch.setenv("PLANS", str(tmp_path / "plans"))
    assert shell.main([]) == 0
    (trend,) = (tmp_path / "plans").glob("trend-*.json")
    before = trend.read_bytes()
    assert shell.main(["plan", "-o", str(tmp_path / "page.html")]) == 0
    assert "The numbers of these runs" in (tmp_path / "page.html").read_text()
    assert trend.read_bytes() == before
    trend.write_bytes(b"damaged")
    capsys.readouterr()
    assert shell.main(["explain", "app:v1"]) == 0
    output = capsys.readouterr()
    assert old.digest in output.out
    assert "trend" not in output.err


def test_plan_is_approved_and_applied_from_a_shell(
    ecr: FakeEcr,
    old: StoredImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a service that takes an image into use in between, and another that is pushed."""
    taken = ecr.push("app", "taken", tags=["v3"], pushed_at=ago(100))
    path = tmp_path / "plan.jsonl"
    monkeypatch.setenv("APPROVAL", "true")
    assert shell.main(["plan", "-o", str(path)]) == 0
    monkeypatch.setenv("PLANS", str(tmp_path / "plans"))
    assert shell.main([]) == 0
    (line,) = events(capsys, "Plan waits for approval")
    (stored,) = (tmp_path / "plans").glob("*.jsonl.gz")
    assert line["apply"] == f"python -m ecr_cleaner apply {stored}"
    assert (line["dry_run"], line["mode"]) == (True, "plan")
    assert ecr.digests("app") == {old.digest, taken.digest}
    new = ecr.push("app", "new", tags=["v4"], pushed_at=ago(100))
    in_use = [SOMETHING_IN_USE, usage("app", "arn:service", tag="v3")]
    monkeypatch.setattr(program, "sources_for", lambda _: [StubSource(lambda _: in_use)])
    assert shell.main(["apply", str(path)]) == 0
    assert ecr.digests("app") == {taken.digest, new.digest}
    size = human_size(old.size_bytes)
    assert capsys.readouterr().err == (
        f"{NO_LEDGER}Removed 1 of the 2 images of the plan, up to {size}. Not removed: "
        "1 kept now.\n"
    )
    assert shell.main(["apply", str(path)]) == 0
    assert ecr.digests("app") == {taken.digest, new.digest}
    told = "Removed 0 of the 2 images of the plan. Not removed: 1 kept now, 1 already gone.\n"
    assert capsys.readouterr().err == NO_LEDGER + told


def test_to_a_person_apply_shows_progress_and_images_instead_of_the_log(
    old: StoredImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.jsonl"
    assert shell.main(["plan", "-o", str(path)]) == 0
    output, shown = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", shown)
    assert shell.main(["apply", str(path)]) == 0
    size = human_size(old.size_bytes)
    digits = old.digest.removeprefix("sha256:")[:12]
    assert output.getvalue() == f"app  v1  {digits}  {size}  removed\n"
    assert "\r\x1b[K1 source read; 1 repository, 1 image judged; 1 removed" in shown.getvalue()
    removed = f"Removed 1 of the 1 image of the plan, up to {human_size(old.size_bytes)}.\n"
    assert shown.getvalue().endswith(f"\r\x1b[K{removed}")


def test_plan_that_is_refused_is_not_listed(
    old: StoredImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del old
    path = tmp_path / "plan.jsonl"
    assert shell.main(["plan", "-o", str(path)]) == 0
    output = Terminal()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setenv("KEEP_COUNT", "7")
    assert shell.main(["apply", str(path)]) == 1
    assert output.getvalue() == ""


def test_log_of_apply_has_the_level_that_is_set(
    old: StoredImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del old
    path = tmp_path / "plan.jsonl"
    assert shell.main(["plan", "-o", str(path)]) == 0
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    assert shell.main(["apply", str(path)]) == 0
    output = capsys.readouterr()
    assert {json.loads(line)["level"] for line in output.out.splitlines()} == {"warning"}
    assert "Removed 1 of the 1 image of the plan" in output.err


def test_run_that_waits_for_approval_needs_a_place_for_its_plan(
    ecr: FakeEcr, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APPROVAL", "true")
    assert shell.main([]) == 1
    (line,) = events(capsys, "Run failed")
    assert line["error"].startswith("APPROVAL is 'true', but must be false if PLANS is not set")
    assert ecr.calls == []


def test_file_that_cannot_be_written_is_an_error_before_anything_is_read(
    ecr: FakeEcr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for path, why in {
        tmp_path / "nowhere" / "plan.html": "No such file or directory",
        tmp_path / "file" / "plan.html": "Not a directory",
        tmp_path: "Is a directory",
    }.items():
        assert shell.main(["plan", "-o", str(path)]) == 1
        assert capsys.readouterr().err == f"ecr_cleaner: {path} cannot be written: {why}\n"
    assert ecr.calls == []


def test_full_disk_is_told(
    old: StoredImage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del old
    monkeypatch.setattr("ecr_cleaner.__main__.os.dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", mock.Mock(fileno=lambda: 1))
    assert shell.main(["plan", "-o", "/dev/full"]) == 1
    told = "ecr_cleaner: the output could not be written: [Errno 28] No space left on device\n"
    assert capsys.readouterr().err == NO_LEDGER + told


def test_closed_standard_output_is_told_before_anything_is_read(
    ecr: FakeEcr, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    for arguments in ([], ["plan"], ["explain", "app:v1"], ["apply", "plan.jsonl"]):
        assert shell.main(arguments) == 1
        told = "ecr_cleaner: standard output is closed; redirect it, such as to a file\n"
        assert capsys.readouterr().err == told
    assert ecr.calls == []


def test_plan_is_shown_even_if_standard_error_is_closed(
    old: StoredImage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del old
    monkeypatch.setattr(sys, "stderr", None)
    assert shell.main(["plan"]) == 0
    sys.stderr.close()  # what it writes to instead
    assert "app" in capsys.readouterr().out


def test_file_is_named_when_it_is_written(
    old: StoredImage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del old
    path = tmp_path / "plan.html"
    assert shell.main(["plan", "-o", str(path)]) == 0
    assert capsys.readouterr() == ("", f"{NO_LEDGER}Written {path}\n")


def test_plan_that_failed_leaves_an_earlier_file_as_it_was(ecr: FakeEcr, tmp_path: Path) -> None:
    path = tmp_path / "plan.html"
    path.write_text("earlier")
    ecr.fail("DescribeRepositories", "AccessDeniedException")
    assert shell.main(["plan", "-o", str(path)]) == 1
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"plan.html": "earlier"}


def test_plan_goes_through_a_pipe(old: StoredImage, tmp_path: Path) -> None:
    """As a shell makes one for ``>(command)``. Renaming a file over it would lose the reader."""
    del old
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert shell.main(["plan", "-o", str(pipe)]) == 0
    assert os.read(reader, 10) == b"REPOSITORY"
    os.close(reader)
    assert [one.name for one in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("command", ["plan", "explain", "apply", "restore", "scan-cluster"])
def test_help_of_each_command_has_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.main([command, "--help"])
    assert ended.value.code == 0
    examples = capsys.readouterr().out.partition("\nexample")[2].splitlines()[1:]
    assert examples
    for one in examples:
        assert f" ecr_cleaner {command}" in one
        _, _, arguments = one.partition("-m ecr_cleaner ")
        # What the help says is what the program takes.
        shell._parser().parse_args(shlex.split(arguments.partition(" > ")[0]))  # noqa: SLF001


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"DEFAULT_KEEP_DAYS": "31"},
            "the plan was made with other settings: keep_days was 30 and is 31.",
        ),
        ({"APPROVAL": "yes"}, "APPROVAL is 'yes', but must be one of true, false"),
    ],
)
def test_plan_that_does_not_fit_is_refused(
    ecr: FakeEcr,
    old: StoredImage,
    tmp_path: Path,
    environ: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "plan.jsonl"
    assert shell.main(["plan", "-o", str(path)]) == 0
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert shell.main(["apply", str(path)]) == 1
    assert told in capsys.readouterr().out
    assert ecr.digests("app") == {old.digest}
