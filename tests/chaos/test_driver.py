"""What the people of a run write down about a sign-up is what happened to it."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.chaos import plan
from tests.chaos.driver import Driver


def _noted(folder: Path) -> dict[str, Any]:
    planned = plan.Plan(
        seed=1, users=1, seconds=0, deadline=2.0, sweep=2.0,
        acts=(plan.Act(at=0, kind="sign_up"),), strikes=(), phases=(),
    )  # fmt: skip
    Driver(plan=planned, ports=(1,), folder=folder, die=lambda _: True).run(started=0.0)
    line: dict[str, Any] = json.loads((folder / "signups.jsonl").read_text())
    return line


@pytest.mark.parametrize(
    ("error", "killed"),
    [
        (requests.ConnectionError, True),
        (requests.exceptions.ChunkedEncodingError, True),
        (requests.ReadTimeout, False),
        (requests.ConnectTimeout, False),
    ],
)
def test_only_a_connection_that_broke_says_that_the_web_was_killed(
    error: type[requests.RequestException], *, killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(*_: Any, **__: Any) -> requests.Response:
        raise error

    monkeypatch.setattr(requests, "post", post)

    line = _noted(tmp_path)

    assert (line["ok"], line["status"], line["web_killed"]) == (False, None, killed)


def test_a_sign_up_that_was_to_end_its_web_and_was_answered_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = requests.Response()
    answer.status_code = 500
    monkeypatch.setattr(requests, "post", lambda *_, **__: answer)

    assert not _noted(tmp_path)["web_killed"]
