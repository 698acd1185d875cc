"""The page about the runs says what the results say, and nothing of its own."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import checker, report
from tests.chaos.stories import HEALED, sound


def result(folder: Path, **run: Any) -> dict[str, Any]:
    """Return a result as the checker makes it, of a run with these particulars."""
    told = checker.check(sound().write(folder)).as_json()
    told["run"] |= run
    return told


def written(results: list[dict[str, Any]], folder: Path) -> str:
    report.write(results, folder / "reliability.md")
    return (folder / "reliability.md").read_text(encoding="utf-8")


def rows(text: str, table: int) -> list[list[str]]:
    """Return the lines of a table of the page, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [line.strip("| ").split(" | ") for line in tables[table].splitlines()[2:]]


def test_each_run_has_a_row_ours_first_and_by_seed(tmp_path: Path) -> None:
    ours = result(tmp_path)
    results = [
        deepcopy(ours) | {"run": ours["run"] | run}
        for run in ({"design": "usual", "seed": 1}, {"seed": 10}, {"seed": 9})
    ]

    told = rows(written(results, tmp_path), 0)

    assert [row[:2] for row in told] == [
        ["`kohort_sync`", "9"],
        ["`kohort_sync`", "10"],
        ["the usual design", "1"],
    ]


def test_a_row_holds_what_was_found_and_measured(tmp_path: Path) -> None:
    one = result(tmp_path)
    one["counts"] = {kind: number for number, kind in enumerate(report.KINDS, start=1)}
    one["figures"] |= {
        "users": 1234, "faults": {"kill_child": 2, "reset": 4000}, "process_faults": 2,
        "posts_per_user": {"p50": 1, "p99": 2, "max": 3, "count": 9},
        "recovery_seconds": {"all": {"p50": 0.25, "p99": 61.7, "max": 99.0, "count": 9}},
    }  # fmt: skip

    (told,) = rows(written([one], tmp_path), 0)

    assert told == [
        "`kohort_sync`", "7", "`abc1234`", "1,234", "4,002", "2", "1", "2", "3", "4", "5", "6", "7", "1 / 2",
        "0.25 / 62", "5",
    ]  # fmt: skip


def test_only_ours_are_added_up(tmp_path: Path) -> None:
    ours, usual = result(tmp_path), result(tmp_path, design="usual")
    ours["counts"] = ours["counts"] | {"diverged": 1}
    usual["counts"] = usual["counts"] | {"lost": 17}

    told = written([ours, usual, ours], tmp_path)

    assert "`kohort_sync` in all: 12 users, 4 faults, 2 of them of processes and servers: lost 0," in told
    assert "diverged 2, leaked 0." in told


def test_faults_are_told_by_kind_with_the_recovery_of_the_worst_of_ours(tmp_path: Path) -> None:
    results = [result(tmp_path), result(tmp_path), result(tmp_path, design="usual")]
    for one, seconds in zip(results, (1.5, 30.2, 99.0), strict=True):
        one["figures"]["faults"] = {"kill_child": 3, "reset_after": 10}
        spread = {"p50": seconds / 2, "p99": seconds, "max": seconds, "count": 3}
        one["figures"]["recovery_seconds"] = {"all": spread, "kill_child": spread}

    told = rows(written(results, tmp_path), 1)

    assert told == [["kill child", "6", "15", "30"], ["reset after", "20", "none", "none"]]


def test_sign_ups_are_told_by_design_and_broker(tmp_path: Path) -> None:
    results = [result(tmp_path), result(tmp_path), result(tmp_path, design="usual")]
    for one, seconds in zip(results, (0.05, 0.125, 2.5), strict=True):
        spread = {"p50": seconds, "p99": seconds * 2, "max": seconds * 100, "count": 600}
        one["figures"]["signup_seconds"] = {"frozen": spread, "up": spread}

    told = rows(written(results, tmp_path), 2)

    assert told == [
        ["`kohort_sync`", "up", "1,200", "0.12", "0.25", "12"],
        ["`kohort_sync`", "down", "0", "none", "none", "none"],
        ["`kohort_sync`", "frozen", "1,200", "0.12", "0.25", "12"],
        ["the usual design", "up", "600", "2.50", "5", "250"],
        ["the usual design", "down", "0", "none", "none", "none"],
        ["the usual design", "frozen", "600", "2.50", "5", "250"],
    ]


def test_sign_ups_that_failed_are_told_with_whose_fault_it_was(tmp_path: Path) -> None:
    story = sound()
    story.signs_up(at=HEALED, seconds=0.1, ok=False, web_killed=True)
    story.signs_up(at=HEALED, seconds=0.1, ok=False, status=500)
    one = checker.check(story.write(tmp_path)).as_json()

    told = written([one, one], tmp_path)

    assert "2 sign-ups failed because their web or the database was broken" in told
    assert "that moment, and 2 for any other reason." in told


def test_the_scaled_times_are_those_of_the_runs(tmp_path: Path) -> None:
    told = written([result(tmp_path), result(tmp_path, deadline=4.5, lease=28, settle=56)], tmp_path)

    assert (
        "`DEADLINE` is 2 s, so a row's lease is 10 s and the settle window 20 s, and `SWEEP` is 2 s" in told
    )
    assert "or `DEADLINE` is 4.5 s, so a row's lease is 28 s and the settle window 56 s" in told


def test_every_kind_of_finding_has_a_column_and_an_explanation(tmp_path: Path) -> None:
    told = written([result(tmp_path)], tmp_path)

    assert report.KINDS == checker.KINDS
    head = next(line for line in told.splitlines() if line.startswith("| design"))
    for kind in checker.KINDS:
        assert f"| {kind} |" in head
        assert f"**{kind}**: " in told


def test_a_page_without_a_run_of_ours_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to report"):
        report.write([result(tmp_path, design="usual")], tmp_path / "page.md")

    assert not (tmp_path / "page.md").exists()
