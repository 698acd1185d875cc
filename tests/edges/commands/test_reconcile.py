"""`reconcile`: what it tells, to whom, and with which exit code."""

import csv
from pathlib import Path

import pytest

from kohort_sync.management.verbs import reconcile
from kohort_sync.models import SyncRun
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.edges.commands.shell import ACCOUNT, Shell
from tests.reconcile.runs import id_of, linked_users

pytestmark = pytest.mark.django_db(transaction=True)


def rows_of(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))


def test_it_tells_what_differs_and_what_to_do(shell: Shell, service: Service, tmp_path: Path) -> None:
    drifted, missing, _ = linked_users(3)
    service.change(id_of(drifted), first_name="Mallory")
    service.soft_delete(id_of(missing))
    file = tmp_path / "differences.csv"

    shell("reconcile", "--full", "--report-only", "--csv", str(file))

    assert shell.code == 1
    assert f"{ACCOUNT}: everything was read, 2 customers." in shell.out
    assert "1 linked and equal; nothing to do." in shell.out
    assert f"  drifted: {id_of(drifted)} user {drifted.user_pk} (firstName)\n" in shell.out
    assert f"  missing: {id_of(missing)} user {missing.user_pk}\n" in shell.out
    assert "@" not in shell.out
    rows = rows_of(file)
    assert rows[0] == ["kind", "kohort_id", "link", "user", "fields"]
    assert ["drifted", id_of(drifted), str(drifted.pk), str(drifted.user_pk), "firstName"] in rows


def test_values_are_shown_to_whoever_asks_for_them(shell: Shell, service: Service) -> None:
    (link,) = linked_users(1)
    service.change(id_of(link), first_name="Mallory")

    shell("reconcile", "--full", "--report-only", "--values")

    assert "    firstName: 'Ada' here, 'Mallory' there\n" in shell.out
    assert "Mallory" not in str(SyncRun.objects.values().get())


@pytest.mark.security(24)
def test_a_formula_stays_a_text(shell: Shell, service: Service, tmp_path: Path) -> None:
    service.add_customer(email="order@example.com")
    file = tmp_path / "differences.csv"
    shell("reconcile", "--full")
    run = SyncRun.objects.get()
    run.report["findings"] = [
        {"kind": "blocked", "kohort_id": "-2+3", "link": 1, "user": "=cmd|'/c calc'!A1", "fields": []}
    ]
    run.save()

    reconcile._write_csv(file, run)

    assert rows_of(file)[1] == ["blocked", "'-2+3", "1", "'=cmd|'/c calc'!A1", ""]


def test_all_well_is_exit_code_0_and_json_tells_everything(shell: Shell, service: Service) -> None:
    linked_users(2)

    told = shell("reconcile", "--full", "--json").json

    assert shell.code == 0
    assert (told["account"], told["ended"], told["complete"]) == (ACCOUNT, "done", True)
    assert told["counts"]["equal"] == 2
    assert told["findings"] == []


def test_a_closed_gate_is_said(shell: Shell, service: Service) -> None:
    linked_users(1)
    service.faults.add(Fault("status", status=401))

    shell("reconcile", "--full")

    assert shell.code == 1
    assert "The gate is closed" in shell.err


def test_a_run_that_fails_says_why(shell: Shell, service: Service) -> None:
    linked_users(1)
    service.faults.add(Fault("garbage_json", method="GET"))

    shell("reconcile", "--full")

    assert shell.code == 1
    assert "The run came to no end. KohortPay's answer could not be understood" in shell.err
