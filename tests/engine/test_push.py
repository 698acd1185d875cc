"""From a saved user to a linked customer, through the drainer, in one process."""

from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from kohort_sync import clock, gate, links
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncAttempt, WorkClass
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def test_a_new_user_becomes_one_customer(service: Service) -> None:
    user = sign_up(last_name="Lovelace")

    drain()

    link = link_of(user)
    (remote,) = service.snapshot()
    assert link.state == State.LINKED
    assert link.customer is not None
    assert link.customer.kohort_id == remote["id"]
    assert remote["client_reference_id"] == link.client_reference_id
    assert (remote["email_address"], remote["last_name"]) == ("ada@example.com", "Lovelace")
    assert remote["metadata"]["user_id"] == str(user.pk)
    assert not link.is_dirty
    assert link.next_attempt_at is None
    assert (link.lease_token, link.posts, link.intent) == ("", 0, "")


def test_the_mirror_holds_every_field_that_the_service_shows(service: Service) -> None:
    user = sign_up()
    drain()
    customer = Customer.objects.get()
    (remote,) = service.snapshot()

    never_shown = {"id", "address", "shipping_address"}
    theirs = {name: value for name, value in remote.items() if name not in never_shown}
    ours = {name: getattr(customer, name) for name in theirs}
    assert ours == theirs
    assert link_of(user).customer == customer


def test_a_user_is_linked_in_either_dialect(either_dialect: Service) -> None:
    user = sign_up()

    drain()

    assert link_of(user).state == State.LINKED
    assert len(either_dialect.snapshot()) == 1


def test_a_second_drain_sends_nothing(service: Service) -> None:
    sign_up()
    drain()
    before = len(service.log)

    report = drain()

    assert len(service.log) == before
    assert report.settled == {}


def test_a_changed_field_is_patched_alone(service: Service) -> None:
    user = sign_up()
    drain()
    user.first_name = "Augusta"
    user.save()

    drain()

    (remote,) = service.snapshot()
    assert remote["first_name"] == "Augusta"
    assert service.log[-1].method == "PATCH"
    assert not link_of(user).is_dirty


def test_a_save_that_changes_nothing_sends_nothing(service: Service) -> None:
    user = sign_up()
    drain()
    before = len(service.log)
    user.save()

    drain()

    assert len(service.log) == before
    assert not link_of(user).is_dirty


def test_a_log_in_marks_nothing(service: Service) -> None:
    user = sign_up()
    drain()

    user.save(update_fields=["last_login"])

    assert not link_of(user).is_dirty


@pytest.mark.parametrize(
    ("fields", "code"), [({"email": ""}, "no_email"), ({"is_active": False}, "not_wanted")]
)
def test_an_unwanted_user_is_skipped_and_comes_back_alone(
    service: Service, fields: dict[str, Any], code: str
) -> None:
    user = sign_up(**fields)
    drain()
    skipped = link_of(user)
    user.email, user.is_active = "ada@example.com", True
    user.save()

    drain()

    assert (skipped.state, skipped.last_error_code) == (State.SKIPPED, code)
    assert link_of(user).state == State.LINKED
    assert len(service.snapshot()) == 1


def test_data_that_the_service_would_refuse_is_never_sent_and_comes_back_corrected(service: Service) -> None:
    user = sign_up(email="ada@localhost")
    drain()
    rejected = link_of(user)
    sent = len(service.log)
    user.email = "ada@example.com"
    user.save()

    drain()

    assert (rejected.state, rejected.last_error_code, sent) == (State.REJECTED, "email_invalid", 0)
    assert link_of(user).state == State.LINKED


@pytest.mark.failure(33)
def test_a_lost_answer_is_looked_up_and_adopted_without_a_second_create(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("reset", method="POST", after_commit=True))
    drain()
    lost = link_of(user)
    let_time_pass(20)

    drain()

    assert (lost.state, lost.posts, lost.intent_email) == (State.UNCERTAIN, 1, "ada@example.com")
    assert link_of(user).state == State.LINKED
    assert [row["client_reference_id"] for row in service.snapshot()] == [lost.client_reference_id]
    assert [exchange.method for exchange in service.log].count("POST") == 1


def test_a_refused_create_is_sent_again_only_after_the_settle_window(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("status", method="POST", status=503))
    drain()
    let_time_pass(20)
    drain()
    posts_in_the_window = [exchange.method for exchange in service.log].count("POST")
    let_time_pass(300)

    drain()

    assert posts_in_the_window == 1
    assert link_of(user).state == State.LINKED
    assert len(service.snapshot()) == 1


def test_a_changed_address_waits_while_the_first_create_is_unresolved(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("reset", method="POST", after_commit=True))
    drain()
    user.email = "augusta@example.com"
    user.save()

    drain()

    (remote,) = service.snapshot()
    assert remote["email_address"] == "augusta@example.com"
    assert not link_of(user).is_dirty


def test_an_address_that_another_customer_has_ends_in_a_conflict_and_is_cured_by_another(
    service: Service,
) -> None:
    sign_up("ada")
    drain()
    second = sign_up("bea", email="ada@example.com")
    drain()
    conflict = link_of(second)
    second.email = "bea@example.com"
    second.save()

    drain()

    assert (conflict.state, conflict.conflict_kind) == (State.CONFLICT, "email_in_use")
    assert conflict.conflict_ids == [service.snapshot()[0]["id"]]
    assert link_of(second).state == State.LINKED
    assert len(service.snapshot()) == 2


@pytest.mark.failure(54)
def test_a_customer_that_is_found_twice_is_left_to_a_person(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("reset", method="POST"))
    drain()
    reference = link_of(user).client_reference_id
    first = service.add_customer(email="x@example.com", reference=reference)
    second = service.add_customer(email="y@example.com", reference=reference)
    let_time_pass(20)

    drain()

    link = link_of(user)
    assert (link.state, link.conflict_kind) == (State.CONFLICT, "duplicate_remote")
    assert set(link.conflict_ids) == {first, second}


def test_an_answer_about_somebody_else_is_not_believed(service: Service) -> None:
    user = sign_up()
    body = (
        '{"id": "cus_x", "emailAddress": "eve@example.com", "clientReferenceId": "other", "livemode": false}'
    )
    service.faults.add(Fault("status", method="POST", status=201, body=body))

    drain()

    link = link_of(user)
    assert (link.state, link.last_error_code, link.customer) == (State.UNCERTAIN, "mismatch", None)
    assert Account.objects.get().gate == Account.Gate.CLOSED


def test_a_refused_key_pauses_the_account_and_burns_no_attempt(service: Service) -> None:
    users = [sign_up(f"user{number}") for number in range(3)]
    service.faults.add(Fault("status", times=None, status=401))
    drain()
    paused = Account.objects.get()
    service.faults.clear()
    let_time_pass(61)

    drain()

    assert (paused.gate, paused.gate_reason) == (Account.Gate.CLOSED, "key_refused")
    assert Account.objects.get().gate == Account.Gate.OPEN
    assert [link_of(user).state for user in users] == [State.LINKED] * 3
    assert len(service.snapshot()) == 3


def test_a_slow_down_is_obeyed_by_the_whole_account(service: Service) -> None:
    sign_up("ada")
    service.faults.add(Fault("rate_limit", method="POST", seconds=40))
    drain()
    sign_up("bea")
    calls = len(service.log)

    drain()

    assert len(service.log) == calls
    assert Account.objects.get().gate_reason == "rate_limited"


@pytest.mark.failure(22)
def test_one_failing_function_of_the_site_holds_up_nobody(service: Service, settings: Any) -> None:
    def should_sync(user: Any) -> bool:
        if user.username == "poison":
            raise LookupError(user.email)
        return True

    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": should_sync}
    poison, good = sign_up("poison"), sign_up("good")

    drain()

    assert link_of(good).state == State.LINKED
    assert (link_of(poison).state, link_of(poison).last_error_code) == (State.PENDING, "host_function_failed")


def test_nothing_is_sent_inside_a_transaction(service: Service) -> None:
    sign_up()

    with pytest.raises(RuntimeError, match="on_commit"), transaction.atomic():
        drain()

    assert len(service.log) == 0


@pytest.mark.failure(13)
def test_a_second_drainer_of_the_account_does_nothing(service: Service) -> None:
    sign_up()
    gate.account_row("default/test", using="default")
    assert gate.take_drainer_lease("default/test", token="other", using="default")

    report = drain()

    assert report.ended == "busy"
    assert len(service.log) == 0


@pytest.mark.failure(18, 19)
@pytest.mark.failure(23)
def test_a_lease_that_was_lost_makes_the_row_claimable_again_and_alone(service: Service) -> None:
    users = [sign_up(f"user{number}") for number in range(3)]
    batch = links.claim(account="default/test", limit=10, order=list(WorkClass), using="default")
    assert batch is not None
    let_time_pass(151)

    alone = links.claim(account="default/test", limit=10, order=list(WorkClass), using="default")
    drain()

    assert alone is not None
    assert len(alone.links) == 1
    assert [link_of(user).state for user in users].count(State.LINKED) == 2


@pytest.mark.failure(21)
def test_a_stale_batch_can_write_nothing(service: Service) -> None:
    user = sign_up()
    stale = links.claim(account="default/test", limit=10, order=list(WorkClass), using="default")
    assert stale is not None
    let_time_pass(151)
    drain()
    settled_before = link_of(user)

    allowed = links.intend(
        stale,
        [links.Intent(link=stale.links[0], operation="create", version=1, email="x@example.com")],
        using="default",
    )
    with links.writing(using="default"):
        settled = links.settle(
            stale,
            [links.Settlement(link=stale.links[0], state=State.SKIPPED)],
            mirror=lambda _: {},
            now=clock.now(using="default"),
            using="default",
        )

    assert (allowed, settled) == (set(), set())
    assert link_of(user).state == settled_before.state == State.LINKED


@pytest.mark.failure(62)
def test_a_change_while_the_request_is_under_way_is_not_lost(service: Service) -> None:
    user = sign_up()

    batch = links.claim(account="default/test", limit=10, order=list(WorkClass), using="default")
    assert batch is not None
    User.objects.filter(pk=user.pk).update(first_name="Augusta")
    CustomerLink.objects.update(desired_version=F("desired_version") + 1, next_attempt_at=clock.DatabaseNow())
    with links.writing(using="default"):
        links.settle(
            batch,
            [links.Settlement(link=batch.links[0], state=State.PENDING)],
            mirror=lambda _: {},
            now=clock.now(using="default"),
            using="default",
        )

    drain()

    assert service.snapshot()[0]["first_name"] == "Augusta"


@pytest.mark.security(30)
def test_each_exchange_leaves_an_attempt_without_personal_data(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("status", method="POST", status=503))
    drain()

    (attempt,) = SyncAttempt.objects.filter(link__user=user)
    assert (attempt.operation, attempt.outcome, attempt.status) == ("create", "ambiguous", 503)
    assert "example.com" not in repr(vars(attempt))


def test_a_deleted_user_stays_linked_and_the_same_key_may_sign_up_again(service: Service) -> None:
    user = sign_up()
    key = user.pk
    drain()
    user.delete()
    again = sign_up("again", pk=key)

    drain()

    old, new = CustomerLink.objects.order_by("pk")
    assert (old.state, old.user_id, old.user_pk, old.last_error_code) == (
        State.LINKED,
        None,
        None,
        "user_deleted",
    )
    assert (new.state, new.user_pk) == (State.LINKED, str(again.pk))
    assert len(service.snapshot()) == 2
