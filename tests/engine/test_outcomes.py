"""What becomes of a link after each answer that is not a plain success."""

import time
from typing import Any

import pytest

from kohort_sync import clock, conf, connection, delivery, links, services
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

LIVING = (State.LINKED, "")


def stand(user: Any) -> tuple[str, str]:
    link = link_of(user)
    return link.state, link.last_error_code


def methods(service: Service) -> list[str]:
    return [exchange.method for exchange in service.log]


@pytest.mark.failure(42, 43)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("truncated", method="POST"),
        Fault("garbage_json", method="POST", after_commit=True, status=201),
        Fault("html", method="POST", after_commit=True),
        Fault("status", method="POST", after_commit=True, status=500),
        Fault("reset", method="POST", after_commit=True),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_create_that_worked_behind_a_bad_answer_is_found_and_never_repeated(
    service: Service, fault: Fault
) -> None:
    user = sign_up()
    service.faults.add(fault)
    drain()
    after_fault = stand(user)[0]
    let_time_pass(20)

    drain()

    assert after_fault == State.UNCERTAIN
    assert stand(user) == LIVING
    assert methods(service).count("POST") == 1
    assert len(service.snapshot()) == 1


@pytest.mark.failure(50)
def test_a_reference_that_is_taken_already_is_adopted_in_the_same_turn(service: Service) -> None:
    user = sign_up()
    reference = link_of(user).client_reference_id
    ours = service.add_customer(email="ada@example.com", reference=reference)

    drain()

    link = link_of(user)
    assert link.customer is not None
    assert (link.state, link.customer.kohort_id) == (State.LINKED, ours)
    assert methods(service)[:2] == ["POST", "GET"]


def test_an_adopted_customer_gets_the_users_present_data(service: Service) -> None:
    user = sign_up(last_name="Lovelace")
    reference = link_of(user).client_reference_id
    service.add_customer(email="old@example.com", reference=reference, first_name="Someone")

    drain()

    (remote,) = service.snapshot()
    assert (remote["email_address"], remote["first_name"], remote["last_name"]) == (
        "ada@example.com",
        "Ada",
        "Lovelace",
    )
    assert not link_of(user).is_dirty


def test_a_refusal_by_the_service_names_the_field_and_waits_for_the_data(service: Service) -> None:
    service.disposable_domains = ["example.org"]
    user = sign_up(email="ada@example.org")
    drain()
    refused = link_of(user)
    calls = len(service.log)
    drain()
    quiet = len(service.log) == calls
    user.email = "ada@example.com"
    user.save()

    drain()

    assert (refused.state, refused.posts, refused.next_attempt_at) == (State.REJECTED, 0, None)
    assert "ada@" not in refused.last_error
    assert quiet
    assert stand(user) == LIVING


def test_a_refused_change_leaves_the_link_and_is_tried_with_the_next_change(service: Service) -> None:
    user = sign_up()
    drain()
    service.disposable_domains = ["example.org"]
    user.email = "ada@example.org"
    user.save()
    drain()
    refused = link_of(user)
    user.email = "augusta@example.com"
    user.save()

    drain()

    assert refused.state == State.LINKED
    assert refused.last_error_code in {"invalid", "rejected"}
    assert refused.is_dirty
    assert stand(user) == LIVING


def test_a_change_to_an_address_in_use_is_a_conflict_that_names_the_other(service: Service) -> None:
    first, second = sign_up("ada"), sign_up("bea")
    drain()
    second.email = first.email
    second.save()

    drain()

    link = link_of(second)
    holder = link_of(first).customer
    assert holder is not None
    assert link.customer is not None
    assert (link.state, link.conflict_kind, link.conflict_ids) == (
        State.CONFLICT,
        "email_in_use",
        [link.customer.kohort_id, holder.kohort_id],
    )


def test_a_lost_answer_to_a_change_is_verified_before_the_next_is_sent(service: Service) -> None:
    user = sign_up()
    drain()
    user.first_name = "Augusta"
    user.save()
    service.faults.add(Fault("reset", method="PATCH", after_commit=True))
    drain()
    unsure = link_of(user)
    let_time_pass(20)

    drain()

    assert unsure.verify
    assert stand(user) == LIVING
    assert methods(service)[-1] == "GET"
    assert not link_of(user).is_dirty


def test_a_resync_sends_what_was_changed_behind_our_back_and_no_more(service: Service) -> None:
    same, drifted = sign_up("ada"), sign_up("bea")
    drain()
    customer = link_of(drifted).customer
    assert customer is not None
    service.change(customer.kohort_id, first_name="Somebody")
    before = len(service.log)

    services.resync(CustomerLink.objects.all())
    drain()

    assert sorted(methods(service)[before:]) == ["GET", "GET", "PATCH"]
    assert {row["first_name"] for row in service.snapshot()} == {"Ada"}
    assert [stand(user) for user in (same, drifted)] == [LIVING, LIVING]


def test_a_resync_mirrors_what_is_theirs(service: Service) -> None:
    user = sign_up()
    drain()
    customer = link_of(user).customer
    assert customer is not None
    service.block(customer.kohort_id)

    services.resync(CustomerLink.objects.all())
    drain()

    customer.refresh_from_db()
    assert customer.is_blocked
    assert customer.blocked_at is not None


@pytest.mark.failure(49)
def test_a_customer_deleted_there_is_missing_only_after_a_second_look(service: Service) -> None:
    user = sign_up()
    drain()
    customer = link_of(user).customer
    assert customer is not None
    service.soft_delete(customer.kohort_id)
    services.resync(CustomerLink.objects.all())
    drain()
    first_look = stand(user)
    let_time_pass(16 * 60)

    drain()

    assert first_look == (State.LINKED, "not_found")
    assert stand(user) == (State.CONFLICT, "remote_missing")


def test_a_change_answered_by_a_deleted_customer_is_left_to_a_person(service: Service) -> None:
    user = sign_up()
    drain()
    customer = link_of(user).customer
    assert customer is not None
    service.soft_delete(customer.kohort_id)
    user.first_name = "Augusta"
    user.save()

    drain()

    assert stand(user) == (State.CONFLICT, "deleted_remotely")


def test_a_conflict_that_data_cannot_cure_is_not_sent_again_by_a_change(service: Service) -> None:
    user = sign_up()
    drain()
    customer = link_of(user).customer
    assert customer is not None
    service.soft_delete(customer.kohort_id)
    user.first_name = "Augusta"
    user.save()
    drain()
    calls = len(service.log)
    user.first_name = "Countess"
    user.save()

    drain()

    assert len(service.log) == calls
    assert stand(user) == (State.CONFLICT, "deleted_remotely")


@pytest.mark.failure(67)
def test_two_users_never_get_the_same_customer(service: Service) -> None:
    first, second = sign_up("ada"), sign_up("bea")
    drain()
    taken = link_of(first).customer
    assert taken is not None
    batch_of = CustomerLink.objects.get(user=second)
    CustomerLink.objects.filter(pk=batch_of.pk).update(
        state=State.PENDING, customer=None, work_class=WorkClass.SIGNUP
    )
    services.resync(CustomerLink.objects.filter(pk=batch_of.pk))
    batch = links.claim(account="default/test", limit=1, order=list(WorkClass), using="default")
    assert batch is not None
    (remote, *_rest) = connection.customers(conf.accounts()["default"], organization_id="", threads=1).find(
        reference=link_of(first).client_reference_id
    )

    with links.writing(using="default"):
        settlement = links.Settlement(link=batch.links[0], state=State.LINKED, remote=remote)
        links.settle(
            batch,
            [settlement],
            mirror=lambda _: {remote.kohort_id: taken.pk},
            now=clock.now(using="default"),
            using="default",
        )

    link = link_of(second)
    assert (link.state, link.conflict_kind, link.customer) == (State.CONFLICT, "claimed_twice", None)
    assert link.conflict_ids == [remote.kohort_id]


def test_a_short_slow_down_is_waited_for_and_then_everything_is_sent(service: Service) -> None:
    users = [sign_up(f"user{number}") for number in range(8)]
    service.faults.add(Fault("rate_limit", method="POST", seconds=1))
    started = time.monotonic()

    drain()

    assert time.monotonic() - started >= 1.0
    assert [stand(user) for user in users] == [LIVING] * 8


def test_five_failures_in_a_row_stop_the_batch_and_blame_no_later_row(service: Service) -> None:
    users = [sign_up(f"user{number}") for number in range(15)]
    service.faults.add(Fault("status", times=None, method="POST", status=503))

    drain()

    assert Account.objects.get().gate_reason == "unavailable"
    assert methods(service).count("POST") < 15
    assert [link_of(user).state for user in users].count(State.PENDING) > 0


@pytest.mark.failure(30, 31)
def test_an_unreachable_service_is_tried_again_and_nothing_is_uncertain() -> None:
    user = sign_up()

    drain()

    link = link_of(user)
    assert (link.state, link.last_error_code, link.posts, link.attempts) == (
        State.PENDING,
        "unreachable",
        0,
        1,
    )


@pytest.mark.failure(22)
def test_a_fault_of_ours_in_one_row_stops_nobody(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    poison, good = sign_up("poison"), sign_up("good")
    send = delivery.send

    def failing(step: delivery.Step, *args: Any, **kwargs: Any) -> delivery.Result:
        if step.link.user_id == poison.pk:
            raise ZeroDivisionError
        return send(step, *args, **kwargs)

    monkeypatch.setattr(delivery, "send", failing)

    drain()

    assert stand(good) == LIVING
    assert link_of(poison).lease_token != ""


def test_users_whom_the_default_manager_hides_are_sent_too(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = sign_up()
    monkeypatch.setattr(User.objects, "get_queryset", User._base_manager.none)

    drain()

    assert stand(user) == LIVING


def test_a_lost_answer_in_the_documented_dialect_is_left_to_a_person_and_never_doubled() -> None:
    service = Service(seed=1, dialect="documented")
    with connection.through(ServiceAdapter(service)):
        user = sign_up()
        service.faults.add(Fault("reset", method="POST", after_commit=True))
        drain()
        let_time_pass(20)

        drain()

    assert stand(user) == (State.CONFLICT, "reference_not_shown")
    assert len(service.snapshot()) == 1
