"""Compare the tables, code blocks and queries of the README with the code."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import fan_out, lambda_sizes
from ecr_cleaner import program
from ecr_cleaner.core import errors, policy, summary
from ecr_cleaner.core import fan_out as steps
from ecr_cleaner.core.approval import Stays
from ecr_cleaner.core.errors import InvalidSettingError
from ecr_cleaner.core.explanations import MEANINGS, REMOVES
from ecr_cleaner.core.model import Action, Guard, Reason, Registry
from ecr_cleaner.core.outcome import Left
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    State,
)
from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.report import events, lines, repository_report, run_report
from ecr_cleaner.run import cleaner, step_scan
from ecr_cleaner.run import steps as step_runner
from ecr_cleaner.usage import scan
from ecr_cleaner.usage.sources import sources_for

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "lambda_src/ecr_cleaner"
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PERMISSIONS = json.loads((ROOT / "lambda_src/ecr_cleaner/permissions.json").read_text())


def table(first_title: str) -> dict[str, dict[str, str]]:
    """Return the rows of the table whose first column has this title, by their first cell."""
    section = README.partition(f"\n| {first_title} |")
    lines = ("| " + first_title + " |" + section[2]).partition("\n\n")[0].splitlines()
    titles, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert all(len(row) == len(titles) for row in rows), rows
    return {row[0].strip("`"): dict(zip(titles, row, strict=True)) for row in rows}


def quoted(text: str) -> list[str]:
    """Return the texts in backticks."""
    return re.findall(r"`([^`]+)`", text)


def blocks(language: str) -> list[str]:
    """Return the fenced code blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Recorder(dict[str, str]):
    """An environment that records which names are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(name)
        return default


# -- Code ----------------------------------------------------------------------------------------


MODULE_ADDRESS = "git::https://github.com/OWNER/ecr-cleaner.git//terraform?ref=v1.0.0"


def test_first_block_is_the_simple_example_with_the_address_of_the_module() -> None:
    example = (ROOT / "examples/simple/main.tf").read_text()
    local, released = '  source = "../../terraform"\n', f'  source = "{MODULE_ADDRESS}"\n'
    assert example.count(local) == 1
    assert blocks("hcl")[0] == example.replace(local, released)


# "make" is also a word of prose: targets are in backticks, or at the start of a line of a block.
TARGETS = sorted(set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", README, re.MULTILINE)))


@pytest.mark.parametrize("target", TARGETS)
def test_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_to_files(link: str) -> None:
    assert (ROOT / link).exists()


def test_contributing_names_paths_that_exist() -> None:
    paths = re.findall(r"`([a-z_]+(?:/[a-z_.]*)+)`", CONTRIBUTING)
    links = re.findall(r"\]\(([^)#]+)\)", CONTRIBUTING)
    assert {"core/retention.py", "tests/core/"} <= set(paths)
    # A path is relative to this repository or to the program.
    assert [path for path in [*paths, *links] if not _exists(path)] == []


def _exists(path: str) -> bool:
    return (ROOT / path).exists() or (PROGRAM / path).exists()


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", README))))
def test_links_lead_to_headings(anchor: str) -> None:
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings}


# -- Settings ------------------------------------------------------------------------------------

SETTINGS = table("environment")
# Off unless set, and switched on by the module, which creates what they need.
ON_BY_MODULE = {"LEDGER", "EVENT_QUEUE", "PLANS", "REGISTER_PULL_EXCLUSION"}


def test_every_setting_is_in_the_table() -> None:
    environ = Recorder()
    Settings.from_environ(environ)
    by_lambda_itself = {"AWS_LAMBDA_FUNCTION_NAME"}
    assert set(SETTINGS) == environ.names - by_lambda_itself


@pytest.mark.parametrize("name", SETTINGS)
def test_default_equals_an_absent_setting(name: str) -> None:
    documented = SETTINGS[name]["default"].strip("`")
    absent = documented in {"none", "not set"}
    environ: Mapping[str, str] = {} if absent else {name: documented}
    assert Settings.from_environ(environ) == Settings.from_environ({})
    if absent:
        assert documented == ("not set" if name.endswith("_DAYS") else "none")


@pytest.mark.parametrize("name", [name for name in SETTINGS if " to " in SETTINGS[name]["allowed"]])
def test_bounds_equal_those_of_the_program(name: str) -> None:
    least, most = (int(bound) for bound in SETTINGS[name]["allowed"].split(" to "))
    Settings.from_environ({name: str(least)})
    Settings.from_environ({name: str(most)})
    for beyond in (least - 1, most + 1):
        with pytest.raises(InvalidSettingError, match=f"{least} to {most}"):
            Settings.from_environ({name: str(beyond)})


@pytest.mark.parametrize(
    "name", [name for name in SETTINGS if re.fullmatch(r"(`\w+`(, )?)+", SETTINGS[name]["allowed"])]
)
def test_choices_equal_those_of_the_program(name: str) -> None:
    choices = quoted(SETTINGS[name]["allowed"])
    with pytest.raises(InvalidSettingError) as refused:
        Settings.from_environ({name: "something else"})
    assert str(refused.value).endswith("one of " + ", ".join(choices))


@pytest.mark.parametrize("name", SETTINGS)
def test_terraform_sets_the_setting_from_the_variable(name: str) -> None:
    variable = SETTINGS[name]["Terraform"].strip("`")
    settings = (ROOT / "terraform/main.tf").read_text()
    assert re.search(rf"^ +{name} += .*\b(var|local)\.{variable}\b", settings, re.MULTILINE)


@pytest.mark.parametrize("name", SETTINGS)
def test_default_equals_that_of_the_variable(name: str) -> None:
    variable = SETTINGS[name]["Terraform"].strip("`")
    documented = SETTINGS[name]["default"].strip("`")
    variables = (ROOT / "terraform/variables.tf").read_text()
    block = re.search(rf'^variable "{variable}" {{\n(.*?)^}}$', variables, re.DOTALL | re.MULTILINE)
    assert block is not None
    default = re.search(r"^  default += (.+)$", block[1], re.MULTILINE)
    assert default is not None
    # Where nothing is set, the program sees no environment variable.
    unset = {"none": ("[]", "null"), "not set": ("null",), "enabled": ("[]",)}
    expected = unset.get(documented, (documented,))
    if name == "RUNS":
        # A place in the bucket of the module, or nothing.
        expected = ("false",)
    if name in ON_BY_MODULE:
        assert documented in {"none", "false"}
        assert "the module" in SETTINGS[name]["meaning"]
        expected = ("true",)
    assert default[1].strip('"') in expected


def test_every_repository_tag_is_in_the_table() -> None:
    tags = {policy.ENABLED_TAG, policy.KEEP_DAYS_TAG, policy.KEEP_COUNT_TAG}
    assert set(table("repository tag")) == tags


def test_every_field_of_a_rule_is_named() -> None:
    text = " ".join(README.split())
    sentence = text.partition("A rule has ")[2].partition("The first rule")[0]
    assert quoted(sentence) == [one.name for one in fields(RepositoryRule)]


# -- Judging -------------------------------------------------------------------------------------

REASONS = table("reason")


def test_every_reason_is_in_the_table() -> None:
    assert set(REASONS) == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", Reason)
def test_reason_means_what_the_program_says(reason: Reason) -> None:
    """The page and the command explain have the same sentences."""
    assert REASONS[reason.value]["meaning"].replace("`", "").startswith(MEANINGS[reason])


def test_reasons_to_remove_are_those_of_the_program() -> None:
    removing = {name for name, row in REASONS.items() if row["verdict"] == "remove"}
    assert removing == REMOVES


def test_reasons_to_remove_come_after_those_to_keep() -> None:
    verdicts = [row["verdict"] for row in REASONS.values()]
    assert verdicts == sorted(verdicts)
    assert set(verdicts) == {Action.KEEP.value, "remove"}


def test_every_guard_is_in_the_table() -> None:
    assert set(table("guard")) == {guard.value for guard in Guard}


# -- Sources and permissions ---------------------------------------------------------------------

SOURCE_ROWS = table("source")
SOURCE_PERMISSIONS = PERMISSIONS["usage"] | PERMISSIONS["optional"]


def test_every_source_is_in_the_table_in_the_order_of_the_program() -> None:
    everything = Settings(
        inspector_coverage=True,
        reference_lists=("ssm:/images",),
        cluster_documents=("s3://bucket/",),
    )
    assert list(SOURCE_ROWS) == [source.name for source in sources_for(everything)]


@pytest.mark.parametrize("source", SOURCE_ROWS)
def test_permissions_of_a_source_equal_those_in_the_file(source: str) -> None:
    assert sorted(quoted(SOURCE_ROWS[source]["permissions"])) == SOURCE_PERMISSIONS[source]


def other_actions() -> Iterator[str]:
    for name, actions in PERMISSIONS.items():
        if name in {"usage", "optional"}:
            continue
        lists = actions.values() if isinstance(actions, dict) else [actions]
        for listed in lists:
            yield from listed


def test_every_other_action_is_in_the_table_with_its_reason() -> None:
    rows = table("action")
    documented = [action for row in rows.values() for action in quoted(row["action"])]
    # An action may be in several lists.
    assert set(documented) == set(other_actions())
    assert all(row["why"] for row in rows.values())


# -- Logs ----------------------------------------------------------------------------------------

EVENTS = {value for name, value in vars(events).items() if name.isupper()}


def test_every_event_is_in_the_table() -> None:
    assert set(table("event")) == EVENTS


def test_every_reason_to_stay_is_in_the_table() -> None:
    assert set(table("stays because")) == set(Stays)


def test_every_reason_to_leave_an_image_is_named() -> None:
    assert [why.value for why in Left if f"`{why.value}`" not in README] == []


def written_fields() -> set[str]:
    """Return the names that the program passes to its log, and the keys of their values."""
    # Added by structlog.
    names = {"timestamp", "level", "event"}
    modules = (
        *(cleaner, errors, lines, program, repository_report, run_report, scan, summary),
        *(steps, step_runner, step_scan),
    )
    for module in modules:
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.keyword) and node.arg:
                names.add(node.arg)
            if isinstance(node, ast.Dict):
                keys = (key.value for key in node.keys if isinstance(key, ast.Constant))
                names |= {key for key in keys if isinstance(key, str)}
    return names


def test_fields_in_the_table_of_events_are_written() -> None:
    documented = [name for row in table("event").values() for name in quoted(row["fields"])]
    assert set(documented) - EVENTS <= written_fields()


QUERIES = blocks("sql")


def test_there_are_a_few_queries() -> None:
    assert 3 <= len(QUERIES) <= 5


@pytest.mark.parametrize("query", QUERIES)
def test_events_in_queries_exist(query: str) -> None:
    names = re.findall(r'"([^"]+)"', query)
    assert set(names) <= EVENTS | {"error", "warning", "shop"}
    assert names


@pytest.mark.parametrize("query", QUERIES)
def test_fields_in_queries_are_written(query: str) -> None:
    text = re.sub(r'"[^"]*"', "", query)
    own = set(re.findall(r"\bas (\w+)", text))
    words = re.findall(r"@?\b[a-z_]+\b", text)
    syntax = {
        *("filter", "fields", "sort", "stats", "limit"),
        *("latest", "by", "as", "in", "and", "or", "asc", "desc", "@timestamp"),
    }
    assert set(words) - syntax - own <= written_fields()


# -- Runs in steps -------------------------------------------------------------------------------


def test_table_of_costs_is_what_the_arithmetic_says() -> None:
    assert fan_out.table() in README
    seconds = Settings().rescan_after_seconds
    most = fan_out.most_targets_of_one_function(512, seconds)
    assert "from about 150 targets" in " ".join(README.split())
    assert 150 <= most < 200


def test_table_of_sizes_is_what_the_arithmetic_says() -> None:
    assert lambda_sizes.MEASURED
    assert "\n".join(lambda_sizes.table()) in README


# -- Plans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["header", "repository", "verdict", "end"])
def test_fields_of_a_plan_are_in_the_table(kind: str) -> None:
    image = PlannedImage("app", "", (), None, None, 0, Action.KEEP, Reason.NEWEST)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    parts: list[PlanPart] = [
        PlanHeader("run", now, Registry("123456789012", "eu-west-1"), dry_run=True),
        PlannedRepository("app"),
        image,
        PlanEnd(1, 1),
    ]
    written = {one.pop("line"): one for one in (json.loads(part.to_line()) for part in parts)}
    values = {State.JUDGED, State.FAILED, State.UNVISITED, *Action, "request_id"}
    assert list(written) == list(table("line"))
    told, _, only = table("line")[kind]["fields"].partition("only of an index")
    assert set(quoted(told)) - values == set(written[kind])
    optional = {"index", "leader_reason"} if kind == "verdict" else set()
    assert set(quoted(only)) - {"true"} == optional
