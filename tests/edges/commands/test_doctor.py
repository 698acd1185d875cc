"""`doctor`: each planted fault is found, and its finding says what to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone

from kohort_sync import gate, services
from kohort_sync.models import Account, CustomerLink, State
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.edges.commands.shell import ACCOUNT, Shell, configure, linked, older_users
from tests.engine.people import drain, sign_up
from tests.site import people

pytestmark = pytest.mark.django_db(transaction=True)

Finding = dict[str, str]
Examine = Callable[[], dict[str, Finding]]


@pytest.fixture
def examine(shell: Shell, service: Service) -> Examine:
    """Cover a site that is well, and return what finds what is not: findings by their subject."""
    services.backfill("default")
    services.find_missing("default")

    def findings() -> dict[str, Finding]:
        found = shell("doctor", "--json").json["findings"]
        unwell = {finding["about"]: finding for finding in found if finding["level"] != "ok"}
        assert all(finding["says"] and finding["fix"] for finding in unwell.values())
        assert shell.code == (1 if unwell else 0)
        return unwell

    return findings


@pytest.mark.database
def test_a_site_that_is_well_has_nothing_to_look_at(shell: Shell, examine: Examine) -> None:
    linked()

    assert examine() == {}
    assert shell("doctor").out.endswith("All is well.\n")
    assert shell.code == 0


def test_people_read_the_fix_below_the_finding(shell: Shell, examine: Examine) -> None:
    gate.close(ACCOUNT, reason="key_refused", seconds=60, using="default")

    lines = shell("doctor").out.splitlines()

    place = next(index for index, line in enumerate(lines) if line.startswith("problem  gate "))
    assert lines[place + 1].strip().startswith("-> KohortPay refuses the key.")
    assert lines[-1] == "1 thing to look at."


def test_examining_changes_nothing(shell: Shell, service: Service) -> None:
    shell("doctor")

    assert not Account.objects.exists()
    assert [exchange.method for exchange in service.log] == ["GET"]
    assert service.snapshot() == []


def test_an_unknown_setting_is_found(examine: Examine, settings: Any) -> None:
    configure(settings, COLOUR="blue")

    found = examine()["settings"]

    assert "COLOUR" in found["says"]
    assert found["fix"].startswith("Remove it or correct its name.")


def test_a_missing_key_is_found(examine: Examine, settings: Any) -> None:
    configure(settings, API_KEY=None)

    found = examine()["key"]

    assert (found["level"], found["fix"]) == ("warning", "Set it to begin.")


def test_a_public_key_is_found_and_not_shown(shell: Shell, examine: Examine, settings: Any) -> None:
    configure(settings, API_KEY="pk_test_abcdefgh")

    found = examine()

    assert found.keys() == {"key"}
    assert (found["key"]["level"], found["key"]["fix"]) == ("problem", "Run 'manage.py check'.")
    assert "pk_test_abcdefgh" not in shell.out


def test_an_address_that_cannot_be_used_is_found(examine: Examine, settings: Any) -> None:
    configure(settings, BASE_URL="http://api.example.com")

    found = examine()

    assert found.keys() == {"key"}
    assert "BASE_URL must use https" in found["key"]["says"]


def test_a_service_that_cannot_be_reached_is_found(shell: Shell) -> None:
    found = shell("doctor", "--json").json["findings"]

    (answer,) = (finding for finding in found if finding["about"] == "answer")
    assert (shell.code, answer["level"]) == (1, "problem")
    assert answer["says"].startswith("KohortPay could not be reached")
    assert "check BASE_URL, the name server and the firewall" in answer["fix"]


def test_a_refused_key_is_found_before_anything_is_sent(examine: Examine, service: Service) -> None:
    service.faults.add(Fault("status", status=401))

    found = examine()["answer"]

    assert found["says"].startswith("KohortPay does not accept the API key")
    assert "Check API_KEY" in found["fix"]


def test_a_closed_gate_is_found_with_its_end_and_its_reason(examine: Examine) -> None:
    until = gate.close(ACCOUNT, reason="other_organization", seconds=60, using="default")

    found = examine()["gate"]

    assert until.isoformat() in found["says"]
    assert "An engineer has to set the right key." in found["fix"]


def test_a_service_that_asked_for_a_pause_is_not_asked(examine: Examine, service: Service) -> None:
    gate.close(ACCOUNT, reason="rate_limited", seconds=60, using="default")

    found = examine()

    assert found.keys() == {"gate"}
    assert len(service.log) == 0


def test_users_who_are_older_than_the_app_are_counted(examine: Examine) -> None:
    older_users(2)
    Account.objects.update(covered_at=None)

    found = examine()["covered"]

    assert found["says"].startswith("2 users without a link will not be sent")
    assert "manage.py kohort_sync backfill" in found["fix"]


def test_an_empty_site_that_is_not_covered_is_found(examine: Examine) -> None:
    Account.objects.update(covered_at=None)

    found = examine()["covered"]

    assert "users whom no signal announces would not be found" in found["says"]


@pytest.mark.failure(27)
def test_a_sweep_that_is_overdue_is_found(examine: Examine) -> None:
    Account.objects.update(last_sweep_at=timezone.now() - timedelta(seconds=700))

    found = examine()["sweep"]

    assert found["level"] == "problem"
    assert "kohort_sync.beat_schedule()" in found["fix"]
    assert "manage.py kohort_sync drain --once" in found["fix"]


def test_work_that_nobody_does_is_found(examine: Examine) -> None:
    sign_up()
    CustomerLink.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=400))

    found = examine()["due"]

    assert found["says"].startswith("1 link due, the oldest for 40")
    assert "Start a Celery worker" in found["fix"]


def test_work_that_somebody_does_is_well(examine: Examine) -> None:
    sign_up()
    CustomerLink.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=400))
    assert gate.take_drainer_lease(ACCOUNT, token="other", using="default")

    assert examine() == {}


@pytest.mark.parametrize(
    ("state", "fix"),
    [(State.REJECTED, "--state rejected"), (State.CONFLICT, "resolve"), (State.PARKED, "--state parked")],
)
def test_links_that_wait_for_a_person_are_found(examine: Examine, state: State, fix: str) -> None:
    people.place(sign_up(), state)

    found = examine()

    assert found.keys() == {state.value}
    assert found[state.value]["says"] == f"1 link {state.value}."
    assert fix in found[state.value]["fix"]


def test_linked_users_whose_change_is_refused_are_found(examine: Examine) -> None:
    people.place(sign_up(), State.LINKED, refused="f" * 16)

    found = examine()["failing"]

    assert found["says"] == "KohortPay refuses a change of 1 linked user."
    assert "manage.py kohort_sync retry --all" in found["fix"]


@pytest.mark.parametrize(("seconds", "words"), [(90, "behind"), (-90, "ahead of")])
def test_clocks_that_disagree_are_found(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, seconds: int, words: str
) -> None:
    usual = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: usual() + timedelta(seconds=seconds))

    found = examine()["clock"]

    assert words in found["says"]
    assert "NTP" in found["fix"]


@pytest.mark.skipif(database.vendor != "sqlite", reason="only SQLite has transaction modes")
@pytest.mark.parametrize("mode", [None, "deferred"])
def test_sqlite_in_deferred_mode_is_found(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    monkeypatch.setitem(database.settings_dict["OPTIONS"], "transaction_mode", mode)

    found = examine()["database"]

    assert found["level"] == "warning"
    assert "transaction_mode" in found["fix"]


def test_a_broker_that_is_away_is_found(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "redis://127.0.0.1:9/0")

    found = examine()["broker"]

    assert "so users wait for the next sweep" in found["says"]
    assert "broker_url" in found["fix"]
    assert "127.0.0.1" not in found["says"]


def test_no_broker_is_asked_for_where_nothing_is_nudged(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "redis://127.0.0.1:9/0")
    configure(settings, NUDGE=False)

    assert examine() == {}


@pytest.mark.failure(69)
def test_a_copy_of_the_database_is_found_and_may_be_accepted(shell: Shell, examine: Examine) -> None:
    linked()
    Account.objects.update(database_address="of production", database_instance="of production")
    sign_up("bea")
    drain()

    found = examine()["gate"]
    accepted = shell("doctor", "--accept").out
    drain()

    assert "closed until somebody acts" in found["says"]
    assert "doctor --accept" in found["fix"]
    assert accepted.startswith("From now on default/test is used from this database.\n")
    assert examine() == {}
    assert CustomerLink.objects.filter(state=State.LINKED).count() == 2
