"""The nemesis writes down what it hit, and nothing else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.chaos import plan
from tests.chaos.nemesis import Nemesis


@dataclass
class _Stack:
    """Be a stack in which there is somebody to hit, or nobody."""

    there: bool

    @property
    def service(self) -> dict[str, str]:
        return {"url": "http://127.0.0.1:1"}

    def kill(self, _name: str, **_how: Any) -> bool:
        return self.there

    @contextmanager
    def frozen(self, _name: str, **_how: Any) -> Iterator[bool]:
        yield self.there


@pytest.mark.parametrize("kind", ["kill_child", "kill_worker", "stop_child", "stop_beat"])
@pytest.mark.parametrize("there", [True, False])
def test_a_strike_that_hits_nobody_is_no_fault(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    done = requests.Response()
    done.status_code = 200
    monkeypatch.setattr(requests, "delete", lambda *_, **__: done)
    strike = plan.Strike(at=0, kind=kind, seconds=0, rank=0.3)
    planned = plan.Plan(
        seed=1, users=1, seconds=0, deadline=2.0, sweep=2.0, acts=(), strikes=(strike,), phases=()
    )
    stack: Any = _Stack(there)

    with Nemesis(planned, stack, tmp_path).striking(started=0.0):
        lines = [*map(json.loads, (tmp_path / "faults.jsonl").read_text().splitlines())]

    assert [line["kind"] for line in lines] == [kind] * there
