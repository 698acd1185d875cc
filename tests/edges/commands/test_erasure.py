"""`erase` and `export`: what a person may ask about their data."""

import json
import sys
from io import StringIO
from typing import Any

import pytest

from kohort_sync import gate
from kohort_sync.management.verbs import erase
from kohort_sync.models import State, SyncAttempt
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.edges.commands.shell import ACCOUNT, Shell, configure, linked
from tests.engine.people import let_time_pass, link_of, sign_up
from tests.site import people

pytestmark = pytest.mark.django_db(transaction=True)

WHY = ("--reason", "the person asked")


class Terminal(StringIO):
    """Be a keyboard on which somebody has typed."""

    def isatty(self) -> bool:
        return True


# erase


def test_an_erasure_is_carried_out_at_once_and_proved(shell: Shell, service: Service) -> None:
    user, _ = linked()

    told = shell("erase", "--user", str(user.pk), *WHY, "--yes", "--json").json

    link = link_of(user)
    assert (shell.code, link.state) == (0, State.ERASED)
    assert link.customer is not None
    assert (told["account"], told["state"], told["unfinished"]) == (ACCOUNT, "erased", "")
    assert told["client_reference_id"] == link.client_reference_id
    assert told["kohort_id"] == link.customer.kohort_id
    assert told["asked_at"] <= told["erased_at"]
    assert told["asked_by"] == "command"
    assert told["explanation"].startswith("Erased: ")
    assert "ada@example.com" not in shell.out + json.dumps(service.snapshot(), default=str)


def test_the_proof_is_shown_again_without_another_decision(shell: Shell, service: Service) -> None:
    user, link = linked()
    shell("erase", "--user", str(user.pk), *WHY, "--yes")

    shell("erase", "--reference", link.client_reference_id)

    assert shell.code == 0
    assert f"{ACCOUNT}: erased" in shell.out
    assert f"  reference  {link.client_reference_id}" in shell.out
    assert "  result     Erased: " in shell.out
    assert SyncAttempt.objects.filter(operation="erase", outcome="asked").count() == 1


def test_a_deleted_user_is_erased_by_reference(shell: Shell, service: Service) -> None:
    user, link = linked()
    user.delete()

    shell("erase", "--reference", link.client_reference_id, *WHY, "--yes")

    link.refresh_from_db()
    assert (shell.code, link.state) == (0, State.ERASED)


def test_an_erasure_that_waits_says_why_and_when_it_goes_on(shell: Shell, service: Service) -> None:
    user, link = linked()
    gate.close(ACCOUNT, reason="key_refused", seconds=60, using="default")

    shell("erase", "--user", str(user.pk), *WHY, "--yes")
    waiting = shell.out
    let_time_pass(61)
    shell("erase", "--user", str(user.pk))

    assert "erased     not yet" in waiting
    assert "Not finished. Nothing is sent before " in waiting
    assert "KohortPay refuses the key." in waiting
    assert f"run this command again with --reference {link.client_reference_id}" in waiting
    assert (shell.code, link_of(user).state) == (0, State.ERASED)


def test_an_erasure_that_failed_for_now_says_when_it_is_tried_again(shell: Shell, service: Service) -> None:
    user, _ = linked()
    service.faults.add(Fault("status", times=None, status=500, path_prefix="/customers/"))

    told = shell("erase", "--user", str(user.pk), *WHY, "--yes", "--json").json

    again = link_of(user).next_attempt_at
    assert again is not None
    assert (shell.code, told["state"], told["erased_at"]) == (1, "erasing", None)
    assert told["unfinished"].startswith(f"It goes on at {again.isoformat()}. KohortPay had an error")


def test_an_erasure_that_kohortpay_refuses_waits_for_a_person(shell: Shell, service: Service) -> None:
    user, _ = linked()
    service.faults.add(Fault("status", times=None, status=422, method="PATCH"))

    shell("erase", "--user", str(user.pk), *WHY, "--yes")

    assert shell.code == 1
    assert "Not finished. KohortPay did not let the customer be erased." in shell.out


def test_an_erasure_with_an_address_that_cannot_be_used_is_kept_and_says_so(
    shell: Shell, settings: Any
) -> None:
    user = sign_up()
    people.place(user, State.LINKED)
    configure(settings, BASE_URL="http://api.example.com")

    shell("erase", "--user", str(user.pk), *WHY, "--yes")

    assert shell.code == 1
    assert "Not finished. BASE_URL must use https" in shell.out
    assert link_of(user).state == State.ERASING


def test_another_drainer_is_waited_for(
    shell: Shell, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, _ = linked()
    monkeypatch.setattr(erase, "PATIENCE", 0.3)
    assert gate.take_drainer_lease(ACCOUNT, token="other", using="default")

    shell("erase", "--user", str(user.pk), *WHY, "--yes")

    assert shell.code == 1
    assert "Not finished. Another process sends for this account at this moment." in shell.out
    assert link_of(user).state == State.ERASING


def test_an_erasure_needs_a_reason(shell: Shell) -> None:
    user = sign_up()

    shell("erase", "--user", str(user.pk), "--yes")

    assert shell.code == 2
    assert "Say why with --reason" in shell.err
    assert link_of(user).state == State.PENDING


def test_without_a_terminal_an_erasure_needs_a_yes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    user = sign_up()
    monkeypatch.setattr(sys, "stdin", StringIO("erase\n"))

    shell("erase", "--user", str(user.pk), *WHY)

    assert shell.code == 2
    assert "Add --yes" in shell.err
    assert link_of(user).state == State.PENDING


@pytest.mark.parametrize("typed", ["", "\n", "yes\n"])
def test_anything_but_the_word_changes_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    user = sign_up()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))

    shell("erase", "--user", str(user.pk), *WHY)

    assert (shell.code, shell.out) == (1, "")
    assert "Nothing was changed. To erase, run it again and type 'erase'" in shell.err
    assert link_of(user).state == State.PENDING


def test_the_word_on_a_terminal_erases_and_the_question_stays_out_of_the_output(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, service: Service
) -> None:
    user, link = linked()
    assert link.customer is not None
    monkeypatch.setattr(sys, "stdin", Terminal("erase\n"))

    told = shell("erase", "--user", str(user.pk), *WHY, "--json").json

    assert (shell.code, told["state"]) == (0, "erased")
    assert f"KohortPay customer: {link.customer.kohort_id}." in shell.err
    assert "This cannot be taken back. Type 'erase' to go on: " in shell.err
    assert "ada@" not in shell.err


# export


@pytest.mark.security(32)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_export_prints_all_that_is_held(shell: Shell, service: Service, more: tuple[str, ...]) -> None:
    user, link = linked()

    told = shell("export", "--user", str(user.pk), *more).json

    (exported,) = told["links"]
    assert (shell.code, told["user"]) == (0, str(user.pk))
    assert exported["client_reference_id"] == link.client_reference_id
    assert exported["customer"]["email_address"] == user.email
    assert [entry["operation"] for entry in exported["history"]] == ["create"]


def test_the_help_of_export_warns_of_personal_data(shell: Shell) -> None:
    shell("export", "--help")

    assert "It prints personal data on purpose" in shell.out
