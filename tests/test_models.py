"""The rows: what each database itself refuses, whatever our code believes."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import UniqueConstraint
from django.utils import timezone

from kohort_sync import reasons
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncAttempt, SyncRun
from project.accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.database]

CONSTRAINTS = {
    constraint.name for model in (Customer, CustomerLink) for constraint in model._meta.constraints
}


def link(**fields: Any) -> CustomerLink:
    return CustomerLink.objects.create(
        **({"account": "default/test", "user_pk": "1", "client_reference_id": "a"} | fields)
    )


def customer(kohort_id: str = "cus_1", account: str = "default/test") -> Customer:
    return Customer.objects.create(
        account=account, kohort_id=kohort_id, livemode=False, mirrored_at=timezone.now()
    )


REFUSED: dict[str, dict[str, Any]] = {
    "kohort_sync_link_user_once": {"client_reference_id": "b"},
    "kohort_sync_link_reference_once": {"user_pk": "2"},
    "kohort_sync_link_linked_has_customer": {
        "user_pk": "2", "client_reference_id": "b", "state": State.LINKED,
    },
    "kohort_sync_link_uncertain_has_intent": {
        "user_pk": "2", "client_reference_id": "b", "state": State.UNCERTAIN, "posts": 1,
    },
    "kohort_sync_link_conflict_has_kind": {
        "user_pk": "2", "client_reference_id": "b", "state": State.CONFLICT,
    },
    "kohort_sync_link_erasure_was_asked_for": {
        "user_pk": "2", "client_reference_id": "b", "state": State.ERASING,
    },
}  # fmt: skip


@pytest.mark.failure(61)
@pytest.mark.parametrize("name", REFUSED)
def test_a_link_that_breaks_a_rule_is_refused_by_the_database(name: str) -> None:
    link()

    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        link(**REFUSED[name])

    # SQLite names the columns of a broken unique rule instead of the rule.
    assert name in str(refused.value) or connection.vendor == "sqlite"


def test_a_customer_of_an_account_is_there_once() -> None:
    customer()

    with pytest.raises(IntegrityError), transaction.atomic():
        customer()

    customer(account="default/live")
    assert Customer.objects.count() == 2


@pytest.mark.failure(61)
@pytest.mark.parametrize("model", [Customer, CustomerLink])
def test_a_unique_rule_holds_on_every_database(model: type[Customer | CustomerLink]) -> None:
    rules = [rule for rule in model._meta.constraints if isinstance(rule, UniqueConstraint)]

    # MariaDB makes nothing of a rule with a condition, with expressions or with null taken for a value.
    unportable = [
        rule.name for rule in rules if rule.condition or rule.expressions or rule.nulls_distinct is not None
    ]

    assert rules
    assert unportable == []


def test_every_rule_is_tested_here() -> None:
    assert {*REFUSED, "kohort_sync_customer_id_once"} == CONSTRAINTS


def test_a_customer_has_one_link() -> None:
    theirs = customer()
    link(customer=theirs)

    with pytest.raises(IntegrityError), transaction.atomic():
        link(user_pk="2", client_reference_id="b", customer=theirs)


def test_many_users_may_be_gone() -> None:
    link(user_pk=None)

    link(user_pk=None, client_reference_id="b")

    assert CustomerLink.objects.filter(user_pk=None).count() == 2


def test_one_user_may_be_in_two_accounts() -> None:
    link()

    link(account="default/live")

    assert CustomerLink.objects.count() == 2


def test_a_user_may_be_deleted_behind_our_back() -> None:
    user = User.objects.create_user("ada")

    User.objects.filter(pk=user.pk)._raw_delete("default")
    connection.check_constraints()

    assert CustomerLink.objects.get().user_id == user.pk


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_sentence_that_is_no_code(state: State) -> None:
    sentence = str(CustomerLink(state=state).reason)

    assert sentence.endswith(".")
    assert len(sentence.split()) > 2


def test_what_is_known_exactly_is_said_instead_of_the_state() -> None:
    row = CustomerLink(state=State.SKIPPED, last_error_code="no_email")

    assert row.reason == reasons.CODES["no_email"]


def test_a_code_that_nobody_knows_falls_back_to_the_state() -> None:
    assert reasons.sentence("parked", "no_such_code") == reasons.STATES["parked"]


def test_states_and_sentences_are_the_same_set() -> None:
    assert set(reasons.STATES) == set(State.values)


def test_a_link_is_dirty_until_what_was_wanted_is_confirmed() -> None:
    assert CustomerLink(desired_version=2, synced_version=1).is_dirty
    assert not CustomerLink(desired_version=2, synced_version=2).is_dirty


def test_rows_are_shown_by_their_names() -> None:
    assert str(Account(key="default/live")) == "default/live"
    assert Account(key="default/live").livemode
    assert not Account(key="default/test").livemode
    assert str(Customer(kohort_id="cus_1")) == "cus_1"
    assert str(CustomerLink(client_reference_id="x-1")) == "x-1"
    assert str(SyncAttempt(operation="create", outcome="ok")) == "create ok"
    assert str(SyncRun(pk=3, kind="backfill")) == "backfill 3"
