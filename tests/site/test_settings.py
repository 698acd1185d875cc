"""What the site reads from its environment."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
SHOW = """
import json
from project import settings as s
print(json.dumps({
    "database": {key: str(s.DATABASES["default"][key]) for key in ("ENGINE", "NAME")},
    "broker": s.CELERY_BROKER_URL,
    "broker_options": s.CELERY_BROKER_TRANSPORT_OPTIONS,
    "kohort_sync": s.KOHORT_SYNC,
    "schedule": [entry["schedule"] for entry in s.CELERY_BEAT_SCHEDULE.values()],
}))
"""


def read(**environment: str) -> dict[str, Any]:
    """Return what a fresh process with just this environment reads."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_an_empty_environment_gives_an_idle_site_on_files() -> None:
    found = read()

    assert found["kohort_sync"] == {
        "API_KEY": None,
        "CUSTOMER_DATA": "project.accounts.customers.customer_data",
    }
    assert found["database"] == {"ENGINE": "django.db.backends.sqlite3", "NAME": str(ROOT / "db.sqlite3")}
    assert found["broker"] == "filesystem://localhost"
    assert found["schedule"] == [60.0]


def test_the_environment_decides_about_the_key_the_host_and_the_times() -> None:
    found = read(
        KOHORT_API_KEY="sk_test_1",
        KOHORT_BASE_URL="http://127.0.0.1:1",
        KOHORT_DEADLINE="2.5",
        KOHORT_SWEEP="3",
        DATABASE_URL="postgres://shop@db/shop",
        CELERY_BROKER_URL="redis://localhost/1",
    )

    assert found["kohort_sync"] == {
        "API_KEY": "sk_test_1",
        "BASE_URL": "http://127.0.0.1:1",
        "CUSTOMER_DATA": "project.accounts.customers.customer_data",
        "DEADLINE": 2.5,
        "SWEEP": 3.0,
    }
    assert found["database"] == {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}
    assert (found["broker"], found["broker_options"]) == ("redis://localhost/1", {})
    assert found["schedule"] == [3.0]


def test_the_brokers_files_live_below_the_state_folder(tmp_path: Path) -> None:
    options = read(PROJECT_STATE_DIR=str(tmp_path))["broker_options"]

    assert options["data_folder_in"] == options["data_folder_out"]
    assert options["data_folder_in"].startswith(str(tmp_path))


def test_a_site_without_debug_needs_a_secret_key() -> None:
    with pytest.raises(AssertionError, match="SECRET_KEY"):
        read(DEBUG="off")
