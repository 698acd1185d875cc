"""Fairness: who has just signed up waits behind nobody who fails, and nobody waits for ever."""

import pytest

from kohort_sync import services
from kohort_sync.models import CustomerLink, State, WorkClass
from kohort_sync.pacing import Pace
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

ROWS = 20
"""Rows of a batch in these tests."""

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.mark.failure(28)
def test_new_sign_ups_go_before_all_who_have_failed(service: Service) -> None:
    failing = User.objects.bulk_create(
        [User(username=f"old{number}", email=f"old{number}@example.com") for number in range(200)]
    )
    services.request_sync(failing)
    CustomerLink.objects.update(attempts=3, last_error_code="server_error")
    fresh = [sign_up(f"new{number}") for number in range(10)]

    drain()

    first = [exchange.reference for exchange in service.log][: len(fresh)]
    assert set(first) == {link_of(user).client_reference_id for user in fresh}


@pytest.mark.failure(28)
def test_a_sign_up_that_failed_no_longer_goes_before_others(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("status", method="POST", status=500))

    drain()

    assert link_of(user).work_class == WorkClass.LOOK_UP
    assert link_of(user).attempts == 1


def test_one_claim_in_ten_begins_with_the_lowest_class(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "rows", ROWS)
    waiting = sign_up("waiting")
    CustomerLink.objects.update(work_class=WorkClass.VERIFY)
    for number in range(10 * ROWS):
        sign_up(f"user{number}")

    drain()

    order = [exchange.reference for exchange in service.log]
    assert order.index(link_of(waiting).client_reference_id) < len(order) - ROWS


@pytest.mark.failure(28)
def test_ten_users_whose_requests_fail_do_not_keep_the_eleventh_waiting(service: Service) -> None:
    for number in range(10):
        sign_up(f"bad{number}")
        service.faults.add(
            Fault("status", times=None, method="POST", status=400, email=f"bad{number}@example.com")
        )
    good = sign_up("good")

    drain()
    let_time_pass(1)

    assert link_of(good).state == State.LINKED
