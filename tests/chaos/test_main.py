"""The command takes along what it started when it is interrupted."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import __main__ as command
from tests.chaos import report, run


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put the handlers back that pytest has."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_folder_and_ends_in_order(
    first: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, ended = [], []

    def interrupted(_plan: Any, _design: Any, folder: Path, **_: Any) -> None:
        folder.mkdir(parents=True)
        folders.append(folder)
        try:
            os.kill(os.getpid(), first)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # somebody is impatient
            os.kill(os.getpid(), signal.SIGINT)
            ended.append(folder)

    monkeypatch.setattr(run, "run", interrupted)
    monkeypatch.setattr(sys, "argv", ["chaos", "--seed", "9", "--users", "60", "--seconds", "25"])

    code = command.main()

    assert code == 130
    assert len(folders) == 1
    assert ended == folders
    assert not folders[0].parent.exists()


def test_several_seeds_run_side_by_side_and_only_they_are_written_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[list[str]] = []
    written: list[list[dict[str, Any]]] = []

    class Run:
        def __init__(self, arguments: list[str], **_: Any) -> None:
            started.append(arguments[arguments.index("tests.chaos") + 1 :])
            seed, design = arguments[arguments.index("--seed") + 1], arguments[-1]
            found = int((seed, design) == ("2", "usual"))
            (tmp_path / f"{design}-{seed}.json").write_text(json.dumps({"counts": {"lost": found}}))

        def wait(self) -> int:
            assert len(started) % 2 == 0  # both of a design were begun before any was waited for
            return 0

    (tmp_path / "kohort_sync-9.json").write_text(json.dumps({"counts": {"lost": 5}}))
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(subprocess, "Popen", Run)
    monkeypatch.setattr(report, "write", lambda results, _page: written.append(results))
    monkeypatch.setattr(
        sys, "argv", ["chaos", "--seed", "1", "--seed", "2", "--users", "60", "--seconds", "25", "--write"]
    )

    code = command.main()

    assert code == 0  # what is found about the usual design is only told
    assert [" ".join(each) for each in started] == [
        f"--seed {seed} --users 60 --seconds 25 --design {design}"
        for design in ("kohort_sync", "usual")
        for seed in (1, 2)
    ]
    assert [result["counts"]["lost"] for result in written[0]] == [0, 0, 0, 1]


def test_a_run_without_a_result_fails_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Run:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def wait(self) -> int:
            return 2

    (tmp_path / "kohort_sync-1.json").write_text(json.dumps({"counts": {"lost": 0}}))  # of another day
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(subprocess, "Popen", Run)
    monkeypatch.setattr(report, "write", lambda *_: pytest.fail("a page about what was not run"))
    monkeypatch.setattr(sys, "argv", ["chaos", "--seed", "1", "--seed", "2", "--write"])

    assert command.main() == 1
