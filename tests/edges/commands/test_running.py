"""`backfill`, `drain` and `prune`: work in the command's own process."""

import signal
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from kohort_sync import gate, links, paused, reasons, services
from kohort_sync.management.verbs.progress import Progress
from kohort_sync.models import Account, CustomerLink, State, SyncAttempt
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.edges.commands.shell import ACCOUNT, Shell, older_users
from tests.engine.people import let_time_pass, link_of, sign_up

pytestmark = pytest.mark.django_db(transaction=True)

NOT_FORETOLD = (
    "Nothing was changed. Only KohortPay knows whether a customer there has one of the addresses already;"
    " two users with one address were not looked for."
)

# backfill


def test_a_rehearsed_backfill_changes_nothing_and_says_what_would_become_of_whom(shell: Shell) -> None:
    older_users(3)
    with paused():
        sign_up("bea", email="")

    shell("backfill", "--dry-run")

    assert shell.code == 0
    assert shell.out.splitlines() == [
        f"{ACCOUNT}: 4 users without a link. 3 users would be sent.",
        f"  1 user would be skipped (no_email): {reasons.CODES['no_email']}",
        NOT_FORETOLD,
    ]
    assert not CustomerLink.objects.exists()
    assert not Account.objects.exclude(covered_at=None).exists()


def test_a_rehearsal_for_a_program_has_the_numbers(shell: Shell) -> None:
    older_users(3)
    with paused():
        sign_up("bea", email="")

    assert shell("backfill", "--dry-run", "--json").json == {
        "account": ACCOUNT,
        "users": 4,
        "covered": False,
        "to_be_sent": 3,
        "not_sent": [
            {"state": "skipped", "code": "no_email", "users": 1, "reason": str(reasons.CODES["no_email"])}
        ],
    }
    assert shell("backfill", "--dry-run", "--limit", "2", "--json").json["users"] == 2


def test_a_backfill_covers_the_account_once_nobody_is_left(shell: Shell) -> None:
    older_users(3)

    first = shell("backfill", "--limit", "2", "--json").json
    second = shell("backfill", "--json").json

    assert first == {"account": ACCOUNT, "users": 2, "covered": False}
    assert second == {"account": ACCOUNT, "users": 1, "covered": True}
    assert CustomerLink.objects.count() == 3


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have somebody press Ctrl-C while the first range is about to be told."""
    told = Progress.at

    def at(*given: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        told(*given)

    monkeypatch.setattr(Progress, "at", at)


def test_an_interrupted_backfill_says_so_and_goes_on_when_it_is_run_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, interrupted: None
) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 2)
    older_users(5)

    shell("backfill")

    assert (shell.code, shell.out) == (1, "")
    assert shell.err.endswith("Interrupted after 2 users. Run it again; it goes on where it stopped.\n")
    assert CustomerLink.objects.count() == 2
    assert services.backfill("default").recorded == 3


def test_an_interrupted_rehearsal_says_that_nothing_was_changed(shell: Shell, interrupted: None) -> None:
    older_users(5)

    shell("backfill", "--dry-run")

    assert (shell.code, shell.out) == (1, "")
    assert shell.err.endswith("Interrupted after 5 users. Nothing was changed.\n")


# drain


@pytest.mark.failure(27)
def test_drain_of_cron_sweeps_where_no_beat_does(shell: Shell, service: Service) -> None:
    shell("backfill")
    older_users(1)

    shell("drain", "--once")

    assert CustomerLink.objects.get().state == State.LINKED
    assert Account.objects.get().last_sweep_at is not None


def test_drain_sends_what_is_due_and_says_what_came_of_it(shell: Shell, service: Service) -> None:
    user = sign_up("ada")
    sign_up("bea", email="")

    done = shell("drain", "--once", "--json").json

    assert shell.code == 0
    assert done["settled"] == {"linked": 1, "skipped (no_email)": 1}
    assert link_of(user).state == State.LINKED
    assert "nothing was due" in shell("drain").out


def test_drain_exits_with_1_where_a_person_has_to_decide(shell: Shell, service: Service) -> None:
    sign_up("ada")
    sign_up("bea", email="ada@example.com")

    shell("drain")

    assert shell.code == 1
    assert "1 conflict" in shell.out


def test_drain_says_that_another_drainer_works(shell: Shell, service: Service) -> None:
    sign_up()
    gate.account_row(ACCOUNT, using="default")
    assert gate.take_drainer_lease(ACCOUNT, token="other", using="default")

    assert "another drainer works for this account" in shell("drain").out
    assert len(service.log) == 0


def test_drain_says_that_the_gate_is_closed(shell: Shell, service: Service) -> None:
    sign_up()
    service.faults.add(Fault("status", times=None, status=401))

    shell("drain")
    assert (shell.code, "the gate is closed" in shell("drain").out) == (1, True)
    service.faults.clear()
    let_time_pass(61)
    assert "1 linked" in shell("drain").out


# prune


def old_attempts(number: int) -> None:
    link = link_of(sign_up())
    SyncAttempt.objects.bulk_create(
        SyncAttempt(link=link, operation="create", outcome="unsent") for _ in range(number)
    )
    SyncAttempt.objects.update(created_at=timezone.now() - timedelta(days=91))
    SyncAttempt.objects.create(link=link, operation="create", outcome="unsent")


def test_prune_removes_what_is_too_old_and_counts_it(shell: Shell) -> None:
    old_attempts(3)

    first = shell("prune", "--json").json
    second = shell("prune")

    assert first == {"account": ACCOUNT, "attempts": 3, "customers": 0, "runs": 0}
    assert (second.code, SyncAttempt.objects.count()) == (0, 1)
    assert second.out == (
        f"{ACCOUNT}: 0 attempts and 0 runs removed, 0 customers of deleted users emptied;"
        " nothing older than RETENTION_DAYS is left.\n"
    )


def test_an_interrupted_prune_says_how_far_it_got() -> None:
    class Impatient(StringIO):
        def write(self, text: str, /) -> int:
            if "removed" in text:
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    old_attempts(3)

    with pytest.raises(
        CommandError, match=r"Interrupted after this: 3 attempts and 0 runs removed.*Run it again"
    ):
        call_command("kohort_sync", "prune", stdout=Impatient())
