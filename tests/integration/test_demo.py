"""The demo, with the real cleaner and with one that deletes images in use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo"

# A cleaner that ignores usage and the dry run.
DESTROY = """
import boto3
import demo

def destroy(event, context):
    ecr = boto3.client("ecr", region_name="eu-north-1")
    images = ecr.describe_images(repositoryName="base/worker")["imageDetails"]
    ids = [{"imageDigest": one["imageDigest"]} for one in images if "imageTags" not in one]
    if ids:
        ecr.batch_delete_image(repositoryName="base/worker", imageIds=ids)

demo.lambda_handler = destroy
raise SystemExit(demo.main())
"""


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "lambda_src"), str(DEMO)])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    # The caller's settings must not change what the demo shows.
    return run_python(
        str(DEMO / "demo.py"),
        DEFAULT_KEEP_DAYS="1",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        DEMO_DIRECTORY=str(tmp_path_factory.mktemp("demo")),
    )


@pytest.fixture(scope="module")
def sections(demo: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The text of each section by the number in its heading; "0" is the introduction."""
    parts = re.split(r"^(\d)\. ", demo.stdout, flags=re.MULTILINE)
    return dict(zip(["0", *parts[1::2]], parts[0::2], strict=True))


def rows(section: str) -> list[str]:
    """The lines with single blanks, and without the digest of the image itself."""
    lines = [" ".join(line.split()) for line in section.splitlines()]
    return [re.sub(r" [0-9a-f]{8} (?=\d+ d )", " ", line) for line in lines]


def verdicts(section: str, word: str) -> dict[str, str]:
    """The reason of each image with this verdict, by its digest."""
    found = re.findall(rf" ([0-9a-f]{{8}}) +\d+ d .* {word} +(.+)", section)
    return dict(found)


def test_demo_succeeds_and_says_so(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.stderr == ""
    *_, proven, page = demo.stdout.splitlines()
    assert proven == "Nothing in use was removed."
    path = Path(page.removeprefix("The dry run as a page: "))
    assert path.read_text().count("would be removed") > 1
    assert demo.returncode == 0


@pytest.mark.parametrize(
    "row",
    [
        r"1\.4 96 d 214 MB keep in use: service/prod/shop",
        r"payments stable 45 d 179 MB keep in use: task/prod/[0-9a-f]{8}",
        r"\(untagged\) 88 d 178 MB keep in use: task/prod/[0-9a-f]{8}",
        r"2\.0 180 d 148 MB keep in use: function:invoices:1",
        r"\(untagged\) 75 d 214 MB remove unused",
        r"base/worker 3\.12 120 d 305 MB keep in use: service/prod/worker",
        r"\(untagged\) 120 d 291 MB keep parent kept: [0-9a-f]{8}",
        r"\(untagged\) 120 d 2 kB keep subject kept: [0-9a-f]{8}",
        r"3\.11 300 d 301 MB remove unused",
        r"\(untagged\) 300 d 288 MB remove parent removed: [0-9a-f]{8}",
        r"sha256-...\.\.\.sig 300 d 2 kB remove subject removed: [0-9a-f]{8}",
        r"tools summer 150 d 66 MB keep too young",
        r"spring 200 d 66 MB remove unused",
        r"cli 400 d 64 MB keep recently pulled",
        r"reports weekly 70 d 92 MB keep used 20\d\d-\d\d-\d\d: task/prod/weekly",
        r"monthly 80 d 92 MB remove unused",
        r"search 2\.1 95 d 121 MB remove unused",
        r"2\.0 210 d 120 MB keep in use: prod/web/Deployment/search",
    ],
)
def test_dry_run_shows_the_verdict_and_why(sections: dict[str, str], row: str) -> None:
    found = [line for line in rows(sections["1"]) if re.fullmatch(row + "( \\(\\+\\d+\\))?", line)]
    assert len(found) == 1, sections["1"]


def test_dry_run_says_what_was_scanned_and_what_does_not_exist_here(
    sections: dict[str, str],
) -> None:
    assert re.search(
        r"^Found in use: eks \(1\), .*\becs \(\d+\).*\blambda \(4\)", sections["1"], re.MULTILINE
    )
    assert re.search(r"^Not in this region: .*\bapp-runner\b", sections["1"], re.MULTILINE)


def test_repository_that_did_not_opt_in_is_listed_but_not_judged(
    sections: dict[str, str],
) -> None:
    assert "did not opt in" in sections["0"]
    assert "legacy" not in sections["1"] + sections["2"]
    assert "legacy 2 2 825 MB 825 MB 2019, 2020" in rows(sections["3"])


def test_real_run_removes_what_the_dry_run_announced(sections: dict[str, str]) -> None:
    announced = verdicts(sections["1"], "remove")
    assert len(announced) == 12
    assert verdicts(sections["2"], "removed") == announced
    assert "Removed 12 images, 0 failed. Kept 14, all for the same reasons" in sections["2"]


def test_what_is_left_is_shown(sections: dict[str, str]) -> None:
    assert "shop 2 5 447 MB 1.1 GB 1.4, 1.6" in rows(sections["3"])
    assert "base/worker 4 8 901 MB 1.8 GB 3.12, 3 untagged" in rows(sections["3"])


def test_every_check_of_the_proof_is_ok(sections: dict[str, str]) -> None:
    checks = [line for line in sections["4"].splitlines()[2:-3] if line]
    assert len(checks) == 6
    assert all(check.startswith("ok  ") for check in checks)


def test_lines_fit_a_terminal_and_hold_no_colour_codes(
    demo: subprocess.CompletedProcess[str],
) -> None:
    # But for the path of the page, which must not be broken.
    assert max(map(len, demo.stdout.splitlines()[:-1])) <= 100
    assert "\033" not in demo.stdout


def test_proof_fails_if_an_image_in_use_was_deleted(tmp_path: Path) -> None:
    destroyed = run_python("-c", DESTROY, DEMO_DIRECTORY=str(tmp_path))
    assert destroyed.stdout.endswith("\nThe demo FAILED.\n"), destroyed.stderr
    assert "VIOLATED  All 12 images that something needs are still there" in destroyed.stdout
    assert "VIOLATED  The dry run changed nothing" in destroyed.stdout
    assert re.search(r"the service worker needs sha256:[0-9a-f]{64}", destroyed.stdout)
    assert destroyed.returncode == 1
