"""Every user model that Django allows: each in a process of its own, with its own settings."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAIL = {"email": "ada@example.com"}
CAPITALS = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"


def journey(model: str, fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.usermodels.settings",
        "USER_MODEL": model,
        "USER_DATABASE": str(folder / "db.sqlite3"),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable,
        "-W",
        "error::RuntimeWarning",
        "-m",
        "tests.usermodels.run",
        json.dumps(fields),
    ]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return seen


@pytest.mark.parametrize(
    ("model", "fields", "metadata"),
    [
        ("Uuid", MAIL | {"id": CAPITALS}, {"user_id": CAPITALS.lower()}),
        ("Text", MAIL | {"handle": "ada", "first_name": "Ada"}, None),
        ("Address", {"contact": "ada@example.com", "last_name": "Lovelace"}, {"user_id": "1"}),
        ("Hidden", MAIL, {"user_id": "1"}),
        ("Child", MAIL | {"handle": "ada"}, None),
        ("Own", MAIL | {"code": "Ada"}, None),
    ],
)
def test_a_user_of_any_model_becomes_a_customer(
    tmp_path: Path, model: str, fields: dict[str, Any], metadata: dict[str, str] | None
) -> None:
    seen = journey(model, fields, tmp_path)

    (remote,) = seen["remote"]
    assert (seen["state"], seen["code"], seen["missing"]) == ("linked", "", 0)
    assert seen["customer"]
    assert seen["noted"] == 1
    assert seen["freed"]
    assert seen["older"] == {
        "backfilled": 1,
        "is_spelled_as_in_python": True,
        "is_the_user": True,
        "was_loaded": model == "Own",
    }
    assert remote == {
        "email_address": "ada@example.com",
        "first_name": fields.get("first_name"),
        "last_name": fields.get("last_name"),
        "metadata": metadata,
    }


def test_a_user_of_a_model_without_an_address_is_left_out_with_a_reason(tmp_path: Path) -> None:
    seen = journey("Nobody", {"handle": "ada"}, tmp_path)

    assert (seen["state"], seen["code"]) == ("skipped", "no_email")
    assert seen["remote"] == []
    assert seen["customer"] is None
