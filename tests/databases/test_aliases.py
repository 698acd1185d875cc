"""Several databases: users and links share one, replicas are never asked, and what cannot work is said."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kohort_sync import checks

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def lives() -> dict[str, Any]:
    """Live behind each router, in a process of its own; return what was seen there."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.databases.aliases.settings",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.databases.aliases.run"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return seen


@pytest.mark.parametrize(
    ("routing", "writes", "silent"), [("Elsewhere", "other", "default"), ("Replica", "default", "other")]
)
def test_everything_happens_where_the_users_are_written(
    lives: dict[str, Any], routing: str, writes: str, silent: str
) -> None:
    seen = lives[routing]

    assert seen["callbacks"] == {writes: 1, silent: 0}
    assert (seen["backfilled"], seen["swept"], seen["marked"], seen["noted"]) == (1, 1, 3, True)
    assert seen["status"] == {"states": {"linked": 3}, "missing": 0}
    assert seen["refused"]
    assert seen["freed"] == 1
    assert seen["remote"] == [
        ["ada@example.com", "Augusta"],
        ["bea@example.com", None],
        ["cleo@example.com", None],
    ]
    assert (seen["rows astray"], seen["asked astray"]) == (0, [])


@pytest.mark.failure(10)
@pytest.mark.parametrize("model", ["customerlink", "customer", "account", "syncattempt"])
def test_rows_that_cannot_share_the_transaction_of_the_users_are_an_error(settings: Any, model: str) -> None:
    settings.DATABASE_ROUTERS = [OneElsewhere(model)]

    (message,) = checks.one_database(None)

    assert message.id == "kohort_sync.E004"
    assert "'elsewhere'" in message.msg


@pytest.mark.failure(10)
def test_users_who_moved_alone_are_an_error(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [OneElsewhere("user")]

    (message,) = checks.one_database(None)

    assert message.id == "kohort_sync.E004"


class OneElsewhere:
    """Write one model to a database of its own."""

    def __init__(self, model: str) -> None:
        self.model = model

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        return "elsewhere" if model._meta.model_name == self.model else None
