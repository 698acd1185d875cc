"""`resolve`, `block` and `unblock`: what a person decides about one user."""

from datetime import timedelta

import pytest
from django.utils import timezone

from kohort_sync import decisions
from kohort_sync.models import CustomerLink, State, SyncAttempt
from kohort_sync.testing.service import Service
from tests.edges.commands.shell import ACCOUNT, Shell, linked
from tests.engine.people import drain, link_of, sign_up
from tests.site import people

pytestmark = pytest.mark.django_db(transaction=True)

WHY = ("--reason", "a call")


# resolve


def test_the_help_of_resolve_says_what_each_choice_leads_to(shell: Shell) -> None:
    shell("resolve", "--help")

    told = " ".join(shell.out.split())
    assert [
        choice for choice, words in decisions.CONSEQUENCES.items() if f"{choice} {words}" not in told
    ] == []


def test_resolve_without_a_choice_shows_how_the_link_stands_and_changes_nothing(shell: Shell) -> None:
    user = sign_up()
    link = people.place(user, State.CONFLICT, conflict_kind="email_in_use", conflict_ids=["cus_other"])

    shell("resolve", "--user", str(user.pk))

    assert shell.code == 1
    assert "  state       conflict" in shell.out
    assert "  reason      Another KohortPay customer already has this e-mail address." in shell.out
    assert "  in the way  cus_other" in shell.out
    assert "    retry    Everything is tried again" in shell.out
    assert "restore" not in shell.out
    assert user.email not in shell.out
    assert link_of(user).desired_version == link.desired_version


def test_resolve_shows_a_program_the_same(shell: Shell) -> None:
    link = people.place(sign_up(), State.CONFLICT, conflict_kind="claimed_twice", conflict_ids=["cus_other"])

    told = shell("resolve", "--reference", link.client_reference_id, "--json").json

    assert list(told.pop("choices")) == ["retry", "adopt", "ignore"]
    assert told.pop("reason").startswith("The KohortPay customer is linked to another user already.")
    assert told == {
        "account": ACCOUNT,
        "client_reference_id": link.client_reference_id,
        "state": "conflict",
        "code": "claimed_twice",
        "last_error": "",
        "kohort_id": "",
        "conflict_ids": ["cus_other"],
    }


def test_resolve_says_that_nothing_is_to_be_decided(shell: Shell) -> None:
    link = people.place(sign_up(), State.UNCERTAIN)

    shell("resolve", "--reference", link.client_reference_id)

    assert shell.code == 0
    assert "possible    nothing: no decision is needed" in shell.out


@pytest.mark.parametrize(
    ("choice", "before", "after"),
    [
        ("retry", "email_in_use", State.PENDING),
        ("create", "remote_missing", State.PENDING),
        ("ignore", "claimed_twice", State.IGNORED),
        ("restore", "deleted_remotely", State.LINKED),
    ],
)
def test_resolve_decides_and_says_what_follows(shell: Shell, choice: str, before: str, after: State) -> None:
    user = sign_up()
    customer = people.customer_of(user) if choice == "restore" else None
    people.place(user, State.CONFLICT, conflict_kind=before, customer=customer)

    shell("resolve", "--user", str(user.pk), "--choice", choice, *WHY)

    noted = SyncAttempt.objects.get()
    assert (shell.code, link_of(user).state) == (0, after)
    assert (noted.operation, noted.reason, noted.trigger) == (choice, "a call", "command")
    assert str(decisions.CONSEQUENCES[choice]) in shell.out
    assert ("manage.py kohort_sync drain" in shell.out) == (choice != "ignore")


def test_an_adoption_is_carried_out_by_the_next_drain(shell: Shell, service: Service) -> None:
    _, old = linked("ada")
    assert old.customer is not None
    kohort_id = old.customer.kohort_id
    shell("resolve", "--reference", old.client_reference_id, "--choice", "ignore", *WHY)
    CustomerLink.objects.filter(pk=old.pk).update(customer=None)
    user = sign_up("bea", email="ada@example.com")
    drain()

    told = shell(
        "resolve", "--user", str(user.pk), "--choice", "adopt", "--customer", kohort_id, *WHY, "--json"
    ).json
    drain()

    link = link_of(user)
    assert told["choice"] == "adopt"
    assert link.customer is not None
    assert (link.state, link.customer.kohort_id) == (State.LINKED, kohort_id)


def test_a_choice_that_the_link_does_not_allow_is_refused_with_those_that_it_does(shell: Shell) -> None:
    user = sign_up()
    people.place(user, State.CONFLICT, conflict_kind="email_in_use")

    shell("resolve", "--user", str(user.pk), "--choice", "restore", *WHY)

    assert (shell.code, shell.out) == (1, "")
    assert "possible: retry, adopt, ignore." in shell.err
    assert "'manage.py kohort_sync resolve --reference" in shell.err
    assert len(shell.err.splitlines()) == 1


def test_a_link_that_is_being_sent_is_left_alone(shell: Shell) -> None:
    user = sign_up()
    until = timezone.now() + timedelta(seconds=60)
    people.place(user, State.PARKED, lease_token="a" * 32, lease_until=until)

    shell("resolve", "--user", str(user.pk), "--choice", "retry", *WHY)

    assert shell.code == 1
    assert "being sent to KohortPay at this moment" in shell.err
    assert "look again and repeat" in shell.err


# block, unblock


def test_a_customer_is_blocked_and_unblocked(shell: Shell, service: Service) -> None:
    user, link = linked()

    shell("block", "--user", str(user.pk), *WHY)
    drain()
    blocked = link_of(user).customer
    told = shell("unblock", "--user", str(user.pk), *WHY, "--json").json
    drain()
    unblocked = link_of(user).customer

    assert blocked is not None
    assert unblocked is not None
    assert (blocked.is_blocked, unblocked.is_blocked) == (True, False)
    assert told == {
        "account": ACCOUNT,
        "client_reference_id": link.client_reference_id,
        "wanted": "unblocked",
    }
    decided = SyncAttempt.objects.filter(outcome="asked").order_by("pk").values_list("operation", "reason")
    assert list(decided) == [("block", "a call"), ("unblock", "a call")]


@pytest.mark.parametrize("verb", ["block", "unblock"])
def test_who_has_no_customer_cannot_be_blocked(shell: Shell, verb: str) -> None:
    user = sign_up()

    shell(verb, "--user", str(user.pk), *WHY)

    assert (shell.code, shell.out) == (1, "")
    assert "A link that is pending has no customer" in shell.err
    assert "'manage.py kohort_sync resolve --reference" in shell.err


def test_block_says_who_carries_it_out(shell: Shell) -> None:
    user = sign_up()
    people.place(user, State.LINKED)

    shell("block", "--user", str(user.pk), *WHY)

    assert shell.code == 0
    assert (
        "will be blocked at KohortPay. A worker does so by itself; 'manage.py kohort_sync drain'" in shell.out
    )
    assert link_of(user).wants_block is True
