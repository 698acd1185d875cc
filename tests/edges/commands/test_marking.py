"""`resync` and `retry`: links that are taken up again."""

import signal
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from kohort_sync.management.verbs import retry
from kohort_sync.models import CustomerLink, State, SyncAttempt
from kohort_sync.testing.service import Service
from tests.edges.commands.shell import ACCOUNT, Shell
from tests.engine.people import link_of, sign_up
from tests.site import people

pytestmark = pytest.mark.django_db(transaction=True)

# resync


def test_resync_marks_one_user_or_all(shell: Shell, service: Service) -> None:
    ada, _bea = sign_up("ada"), sign_up("bea")
    shell("drain")

    one = shell("resync", "--user", str(ada.pk), "--json").json
    asked = SyncAttempt.objects.get(operation="resync")
    every = shell("resync", "--all")

    assert one == {"account": ACCOUNT, "marked": 1}
    assert (asked.link, asked.trigger, asked.actor) == (link_of(ada), "command", "")
    assert every.out == f"{ACCOUNT}: 2 links will be compared with KohortPay.\n"
    assert link_of(ada).verify


# retry


def test_retry_takes_one_user_up_again(shell: Shell) -> None:
    user = sign_up()
    people.place(user, State.REJECTED, last_error_code="invalid", attempts=3)

    shell("retry", "--user", str(user.pk), "--reason", "the data is right")

    link = link_of(user)
    noted = SyncAttempt.objects.get(operation="retry")
    assert (shell.code, shell.out) == (0, f"{ACCOUNT}: 1 link will be tried again.\n")
    assert (link.state, link.last_error_code, link.attempts) == (State.PENDING, "", 0)
    assert (noted.link, noted.reason, noted.trigger) == (link, "the data is right", "command")


@pytest.mark.parametrize("state", ["rejected", "parked", "conflict", "skipped", "ignored"])
def test_retry_takes_up_all_in_one_state_and_no_others(shell: Shell, state: str) -> None:
    chosen = people.place(sign_up("ada"), State(state))
    other = State.PARKED if state != "parked" else State.REJECTED
    people.place(sign_up("bea"), other)

    told = shell("retry", "--state", state, "--json").json

    chosen.refresh_from_db()
    assert told == {"account": ACCOUNT, "retried": 1, "need_a_decision": 0, "being_sent": 0, "dry_run": False}
    assert chosen.state == State.PENDING
    assert CustomerLink.objects.filter(state=other).count() == 1


def test_retry_of_all_leaves_what_a_person_left_out(shell: Shell) -> None:
    for state in (State.REJECTED, State.PARKED, State.CONFLICT, State.SKIPPED, State.IGNORED):
        people.place(sign_up(state.value), state)
    people.place(sign_up("fine"), State.LINKED)
    people.place(sign_up("failing"), State.LINKED, refused="f" * 16)

    told = shell("retry", "--all", "--json").json

    assert (shell.code, told["retried"]) == (0, 5)
    assert CustomerLink.objects.filter(state=State.IGNORED).count() == 1
    assert not CustomerLink.objects.filter(refused__gt="").exists()
    assert CustomerLink.objects.filter(next_attempt_at=None).count() == 2


def test_a_rehearsed_retry_changes_nothing(shell: Shell) -> None:
    for name in ("ada", "bea"):
        people.place(sign_up(name), State.PARKED)

    shell("retry", "--all", "--dry-run")

    assert (shell.code, shell.out) == (0, f"{ACCOUNT}: 2 links would be tried again. Nothing was changed.\n")
    assert CustomerLink.objects.filter(state=State.PARKED).count() == 2
    assert not SyncAttempt.objects.exists()


def test_retry_stops_after_its_limit(shell: Shell) -> None:
    for name in ("ada", "bea", "cho"):
        people.place(sign_up(name), State.PARKED)

    shell("retry", "--state", "parked", "--limit", "2")

    assert shell.out == f"{ACCOUNT}: 2 links will be tried again.\n"
    assert CustomerLink.objects.filter(state=State.PARKED).count() == 1


def test_retry_points_to_resolve_where_somebody_has_to_decide(shell: Shell) -> None:
    people.place(sign_up(), State.CONFLICT, conflict_kind="deleted_remotely")

    shell("retry", "--all")

    assert shell.code == 1
    assert "1 link cannot be tried again as things stand. 'manage.py kohort_sync resolve" in shell.out
    assert CustomerLink.objects.get().state == State.CONFLICT


def test_retry_says_what_is_being_sent_just_now(shell: Shell) -> None:
    until = timezone.now() + timedelta(seconds=60)
    people.place(sign_up(), State.PARKED, lease_token="a" * 32, lease_until=until)

    shell("retry", "--all")

    assert shell.code == 1
    assert "1 link left alone, being sent at this moment. Run it again." in shell.out


def test_an_interrupted_retry_says_how_far_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(StringIO):
        def write(self, text: str, /) -> int:
            if "marked" in text:
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    monkeypatch.setattr(retry, "CHUNK", 1)
    for name in ("ada", "bea"):
        people.place(sign_up(name), State.PARKED)

    with pytest.raises(CommandError, match=r"Interrupted after 1 link\. Run it again"):
        call_command("kohort_sync", "retry", "--all", stdout=Impatient())

    assert CustomerLink.objects.filter(state=State.PARKED).count() == 1
