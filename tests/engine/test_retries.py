"""When a row is tried again, how often, and when it is given up: over minutes, days and outages."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import NewConnectionError

from kohort_sync import clock, connection, drainer, services
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LIVING = (State.LINKED, "")


class Network(BaseAdapter):
    """Carry requests to a service, or not: a cable that can be pulled out."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = ServiceAdapter(service)
        self.down = False

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        if self.down:
            raise requests.ConnectionError(NewConnectionError(None, "refused"))  # type: ignore[arg-type]
        return self._service.send(request, **kwargs)

    def close(self) -> None:
        pass


def stand(user: Any) -> tuple[str, str]:
    link = link_of(user)
    return link.state, link.last_error_code


def posts(service: Service) -> int:
    return [exchange.method for exchange in service.log].count("POST")


def look() -> None:
    """Drain without waiting for a gate that opens soon."""
    drainer.drain("default", budget=0.2, linger=0)


# What each class of outcomes does to a create


@pytest.mark.failure(36, 37)
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        # refused: nothing was made, and it is nobody's fault
        (Fault("status", status=401), ("pending", "key_refused", 0, 0, "key_refused")),
        (Fault("status", status=403), ("pending", "key_refused", 0, 0, "key_refused")),
        (Fault("rate_limit", seconds=60), ("pending", "rate_limited", 0, 0, "rate_limited")),
        # ambiguous: looked up before anything is sent again
        (Fault("status", status=500), ("uncertain", "server_error", 1, 1, "")),
        (Fault("status", status=408), ("uncertain", "server_error", 1, 1, "")),
        (Fault("html", status=502), ("uncertain", "server_error", 1, 1, "")),
        (Fault("reset"), ("uncertain", "no_answer", 1, 1, "")),
        (Fault("truncated"), ("uncertain", "no_answer", 1, 1, "")),
        (Fault("garbage_json", status=201), ("uncertain", "unreadable", 1, 1, "")),
        # definitive: waits for other data or for a person
        (Fault("status", status=422), ("rejected", "invalid", 0, 0, "")),
        (Fault("status", status=413), ("rejected", "invalid", 0, 0, "")),
        (Fault("status", status=400), ("rejected", "rejected", 0, 0, "")),
        (Fault("status", status=409), ("conflict", "email_in_use", 0, 0, "")),
        # contract: may have arrived, and a person has to look
        (Fault("redirect"), ("uncertain", "redirected", 0, 1, "redirected")),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else "",
)
def test_a_failed_create_leads_where_its_class_says(
    service: Service, fault: Fault, expected: tuple[str, str, int, int, str]
) -> None:
    user = sign_up()
    service.faults.add(replace(fault, method="POST"))

    look()

    link, gate = link_of(user), Account.objects.get().gate_reason
    waits = link.state in ("rejected", "conflict")
    assert (link.state, link.last_error_code, link.attempts, link.posts, gate) == expected
    assert (link.next_attempt_at is None) == waits


@pytest.mark.failure(30, 31)
def test_what_never_left_this_machine_is_charged_and_leaves_nothing_unresolved(service: Service) -> None:
    network = Network(service)
    network.down = True
    with connection.through(network):
        user = sign_up()
        drain()

    link = link_of(user)
    assert (link.state, link.last_error_code, link.attempts, link.posts) == ("pending", "unreachable", 1, 0)
    assert link.work_class == WorkClass.BULK


@pytest.mark.failure(55)
def test_a_reference_that_is_taken_by_nobody_who_is_shown_is_looked_up_again(service: Service) -> None:
    user = sign_up()
    body = '{"error": {"message": "Customer with client reference id X already exists."}}'
    service.faults.add(Fault("status", method="POST", status=400, body=body))

    drain()

    link = link_of(user)
    assert (link.state, link.last_error_code, link.posts) == ("uncertain", "reference_taken", 1)


def test_a_lost_answer_is_looked_up_after_a_quarter_minute_then_a_minute_then_when_it_has_settled(
    service: Service,
) -> None:
    sign_up()
    service.faults.add(Fault("reset", method="POST"))
    drain()
    found: list[tuple[int, str]] = []

    for second in range(0, 400, 5):
        before = len(service.log)
        drain()
        found += [(second, exchange.method) for exchange in list(service.log)[before:]]
        let_time_pass(5)

    assert found == [(15, "GET"), (75, "GET"), (300, "GET"), (300, "POST")]


# Backoff


def test_a_row_that_fails_alone_waits_longer_each_time_up_to_six_hours(
    service: Service, settings: Any
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _failing_for("poison")}
    user = sign_up("poison")
    waits = _waits(user, tries=13)

    for number, wait in enumerate(waits):
        ceiling = min(6 * HOUR, 15.0 * 2**number)
        assert ceiling / 2 - 1 <= wait <= ceiling + 1
    assert waits[-1] >= 3 * HOUR - 1


def test_a_row_that_fails_with_all_others_waits_five_minutes_at_most(service: Service) -> None:
    network = Network(service)
    with connection.through(network):
        network.down = True
        users = [sign_up(f"user{number}") for number in range(3)]
        longest = 0.0
        for _ in range(30):
            look()
            longest = max(longest, *(_seconds_until_due(user) for user in users))
            let_time_pass(6 * MINUTE)

    assert {link_of(user).state for user in users} == {State.PENDING}
    assert longest <= 300


def test_rows_that_fail_together_do_not_come_back_together(service: Service, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _failing_for("poison")}
    users = [sign_up(f"poison{number}") for number in range(20)]

    drain()

    waits = [_seconds_until_due(user) for user in users]
    assert len(set(waits)) == 20
    assert max(waits) - min(waits) > 2


def test_a_success_wipes_the_counters(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("status", times=2, method="POST", status=500))
    for _ in range(8):
        drain()
        let_time_pass(HOUR)

    link = link_of(user)
    assert stand(user) == LIVING
    assert (link.attempts, link.failing_since, link.parkings, link.crashes) == (0, None, 0, 0)


# Giving up


def test_twelve_failures_and_a_day_are_both_needed(service: Service, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _failing_for("poison")}
    early, late = sign_up("poison1"), sign_up("poison2")
    for _ in range(11):
        drain()
        let_time_pass(6 * HOUR)
    before_the_twelfth = stand(early)
    drain()

    assert before_the_twelfth == (State.PENDING, "host_function_failed")
    assert stand(early) == stand(late) == (State.PARKED, "host_function_failed")
    assert link_of(early).attempts == 12


def test_twelve_failures_within_a_day_give_nobody_up(service: Service, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _failing_for("poison")}
    user = sign_up("poison")
    for _ in range(20):
        drain()
        let_time_pass(HOUR)
        user.save()  # due at once, whatever the backoff

    assert link_of(user).attempts > 12
    assert stand(user) == (State.PENDING, "host_function_failed")


@pytest.mark.parametrize("method", ["POST", "PATCH", "GET"])
def test_a_row_that_the_service_always_fails_on_while_others_succeed_is_given_up(
    service: Service, method: str
) -> None:
    user = sign_up("poison")
    if method != "POST":
        drain()
        user.first_name = "Augusta"
        user.save()
    if method == "GET":
        services.resync(CustomerLink.objects.filter(user=user))
    service.faults.add(Fault("status", times=None, method=method, email=user.email, status=500))
    for number in range(20):
        sign_up(f"good{number}")
        drain()
        let_time_pass(5 * HOUR)
        drain()

    good = CustomerLink.objects.exclude(user=user)
    assert link_of(user).state == State.PARKED
    assert set(good.values_list("state", "last_error_code")) == {LIVING}


def test_a_row_that_always_fails_costs_few_calls(service: Service) -> None:
    user = sign_up("poison")
    drain()
    user.first_name = "Augusta"
    user.save()
    service.faults.add(Fault("status", times=None, method="PATCH", status=500))
    before = len(service.log)

    for number in range(48):
        if number % 8 == 0:
            sign_up(f"good{number}")
        look()
        let_time_pass(15 * MINUTE)

    # Twelve tries with a look before each and after it has settled.
    assert len(service.log) - before - 6 <= 3 * 14


def test_what_was_given_up_is_taken_up_daily_for_two_weeks_and_then_waits_for_a_person(
    service: Service, settings: Any
) -> None:
    tried: list[str] = []
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _failing_for("poison", tried)}
    user = sign_up("poison")
    for _ in range(12):
        drain()
        let_time_pass(6 * HOUR)
    assert link_of(user).state == State.PARKED
    tried.clear()
    days = []
    for day in range(30):
        for _ in range(4):
            let_time_pass(6 * HOUR)
            drain()
        days += [day] * len(tried)
        tried.clear()
    waiting = link_of(user)
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": None}
    drain()
    untouched = stand(user)
    services.retry(CustomerLink.objects.filter(user=user))

    drain()

    assert len(days) == len(set(days)) == 14
    assert max(days) <= 14
    assert (waiting.state, waiting.next_attempt_at) == (State.PARKED, None)
    assert untouched == (State.PARKED, "host_function_failed")
    assert stand(user) == LIVING
    assert link_of(user).parkings == 0


# Outages


def _unreachable(network: Network, _: Service) -> None:
    network.down = True


def _unavailable(_: Network, service: Service) -> None:
    service.faults.add(Fault("status", times=None, status=503))


def _no_creates(_: Network, service: Service) -> None:
    service.faults.add(Fault("status", times=None, method="POST", status=503))


def _no_answers_to_creates(_: Network, service: Service) -> None:
    service.faults.add(Fault("reset", times=None, method="POST"))


def _nonsense(_: Network, service: Service) -> None:
    service.faults.add(Fault("garbage_json", times=None))


def _key_revoked(_: Network, service: Service) -> None:
    service.faults.add(Fault("status", times=None, status=401))


def _elsewhere(_: Network, service: Service) -> None:
    service.faults.add(Fault("redirect", times=None))


ONE, MANY = 1, 8


@pytest.mark.parametrize(
    ("begin", "number"),
    [
        (_unreachable, ONE),
        (_unreachable, MANY),
        (_unavailable, ONE),
        (_unavailable, MANY),
        (_no_creates, MANY),
        (_no_answers_to_creates, MANY),
        (_nonsense, ONE),
        (_key_revoked, MANY),
        (_elsewhere, MANY),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).strip("_"),
)
def test_an_outage_of_three_days_parks_nobody_and_ten_minutes_later_everybody_is_linked(
    service: Service, begin: Callable[[Network, Service], None], number: int
) -> None:
    network, dice = Network(service), random.Random(7)
    with connection.through(network):
        sign_up("before")
        drain()
        begin(network, service)
        users = [sign_up(f"user{each}") for each in range(number)]
        # At first as closely as a site drains, then in steps, so that three days take seconds.
        steps = [dice.uniform(20, 60) for _ in range(25)] + [dice.uniform(HOUR, 3 * HOUR) for _ in range(36)]
        for step in steps:
            look()
            let_time_pass(step)
        states = {link_of(user).state for user in users}
        service.faults.clear()
        network.down = False

        for _ in range(20):
            look()
            let_time_pass(30)

    assert sum(steps) > 2.5 * DAY
    assert states <= {State.PENDING, State.UNCERTAIN}
    assert {stand(user) for user in users} == {LIVING}
    assert len(service.snapshot()) == number + 1


def test_an_outage_parks_nobody_who_had_failed_once_before_the_last_success(service: Service) -> None:
    user = sign_up("unlucky")
    service.faults.add(Fault("status", method="POST", status=503))
    look()
    sign_up("lucky")
    look()
    service.faults.add(Fault("status", times=None, method="POST", status=503))
    for _ in range(50):
        let_time_pass(90 * MINUTE)
        look()
    in_the_outage = stand(user)
    service.faults.clear()

    for _ in range(4):
        let_time_pass(150)
        look()

    assert in_the_outage == (State.UNCERTAIN, "server_error")
    assert link_of(user).attempts == 0
    assert stand(user) == LIVING


def _failing_for(name: str, tried: list[str] | None = None) -> Callable[[Any], bool]:
    def should_sync(user: Any) -> bool:
        if user.username.startswith(name):
            if tried is not None:
                tried.append(user.username)
            raise LookupError
        return True

    return should_sync


def _seconds_until_due(user: Any) -> float:
    """Return seconds until the user's row is due, by the database's clock."""
    link = link_of(user)
    assert link.next_attempt_at is not None
    return (link.next_attempt_at - clock.now(using="default")).total_seconds()


def _waits(user: Any, *, tries: int) -> list[float]:
    waits = []
    for _ in range(tries):
        drain()
        waits.append(_seconds_until_due(user))
        let_time_pass(waits[-1] + 0.1)
    return waits
