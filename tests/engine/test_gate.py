"""The gate: one row per account that every process obeys, closed by failures and opened slowly by a probe."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from kohort_sync import clock, connection, delivery, drainer, gate
from kohort_sync.client import errors
from kohort_sync.drainer import watch
from kohort_sync.models import Account, CustomerLink, State
from kohort_sync.testing.faults import Fault, Kind
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "default/test"
LIVING = (State.LINKED, "")


def account() -> Account:
    return Account.objects.get()


def crowd(number: int, *, name: str = "user") -> list[Any]:
    return [sign_up(f"{name}{each}") for each in range(number)]


def stand(user: Any) -> tuple[str, str]:
    link = link_of(user)
    return link.state, link.last_error_code


def methods(service: Service) -> list[str]:
    return [exchange.method for exchange in service.log]


def look(*, budget: float = 0.5) -> drainer.Report:
    """Drain without waiting for a gate that opens soon."""
    return drainer.drain("default", budget=budget, linger=0)


# What closes it


@pytest.mark.failure(48)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, None),
        (403, None),
        (400, '{"error": {"message": "Invalid API key format."}}'),
        (400, '{"error": {"message": "Invalid authorization scheme: expected \'Bearer <token>\'."}}'),
        (404, '{"error": {"message": "Organization not found"}}'),
    ],
    ids=["401", "403", "key format", "key scheme", "no organization"],
)
def test_a_revoked_key_burns_no_attempt_of_any_row_and_sending_resumes_by_itself(
    service: Service, status: int, body: str | None
) -> None:
    users = crowd(6)
    service.faults.add(Fault("status", times=None, status=status, body=body))
    for _ in range(20):
        drain()
        let_time_pass(6 * 3600)
    closed, calls = account(), len(service.log)
    charged = set(CustomerLink.objects.values_list("state", "attempts", "posts", "failing_since"))
    service.faults.clear()

    drain()

    assert (closed.gate, closed.gate_reason) == (Account.Gate.CLOSED, "key_refused")
    assert charged == {(State.PENDING, 0, 0, None)}
    # In the first drain those that were under way already; from then on one probe each.
    assert calls <= 4 + 19
    assert [stand(user) for user in users] == [LIVING] * 6
    assert len(service.snapshot()) == 6


@pytest.mark.failure(36, 37, 44)
@pytest.mark.parametrize(
    ("kind", "status", "odd", "reason"),
    [
        ("redirect", 307, {}, "redirected"),
        ("status", 201, {"organization_id": "org_other"}, "mismatch"),
        ("status", 201, {"livemode": True}, "mismatch"),
        ("status", 201, {"client_reference_id": "somebody"}, "mismatch"),
    ],
    ids=["redirect", "other organization", "wrong mode", "other reference"],
)
def test_an_answer_that_was_not_agreed_on_closes_the_gate_at_once_and_is_not_believed(
    service: Service, kind: Kind, status: int, odd: dict[str, Any], reason: str
) -> None:
    sign_up("first")
    drain()
    user, others = sign_up("ada"), crowd(8)
    told = {
        "id": "cus_other",
        "email_address": user.email,
        "client_reference_id": link_of(user).client_reference_id,
        "livemode": False,
        "organization_id": account().organization_id,
    }
    body = json.dumps(told | odd)
    service.faults.add(Fault(kind, method="POST", email=user.email, status=status, body=body))

    look()

    link = link_of(user)
    assert (link.state, link.last_error_code, link.customer) == (State.UNCERTAIN, reason, None)
    assert (account().gate, account().gate_reason) == (Account.Gate.CLOSED, reason)
    # Only what was under way at the same moment was still sent.
    assert [link_of(other).state for other in others].count(State.PENDING) >= 4


@pytest.mark.failure(32)
def test_a_certificate_that_does_not_fit_closes_the_gate_at_once_and_burns_no_attempt() -> None:
    class Impostor(BaseAdapter):
        def send(self, *_args: Any, **_kwargs: Any) -> requests.Response:
            raise requests.exceptions.SSLError

        def close(self) -> None:
            pass

    users = crowd(6)
    with connection.through(Impostor()):
        drain()

    assert (account().gate, account().gate_reason) == (Account.Gate.CLOSED, "tls_failed")
    assert {(link_of(user).state, link_of(user).attempts) for user in users} == {(State.PENDING, 0)}


@pytest.mark.failure(47)
@pytest.mark.database
def test_failures_in_a_row_are_counted_over_drains(service: Service) -> None:
    service.faults.add(Fault("status", times=5, method="POST", status=503))
    crowd(3, name="first")
    drain()
    open_after_three = account().gate
    crowd(2, name="second")

    drain()

    assert open_after_three == Account.Gate.OPEN
    assert (account().gate, account().gate_reason, account().failures) == (
        Account.Gate.CLOSED,
        "unavailable",
        5,
    )


def test_a_success_ends_the_row_of_failures(service: Service) -> None:
    for round_ in range(3):
        service.faults.add(Fault("status", times=3, method="POST", status=503))
        crowd(3, name=f"failing{round_}x")
        drain()
        sign_up(f"good{round_}")
        drain()

    assert (account().gate, account().failures) == (Account.Gate.OPEN, 0)


def test_a_refusal_of_the_data_is_no_failure_of_the_service(service: Service) -> None:
    service.disposable_domains = ["example.org"]
    for number in range(7):
        sign_up(f"user{number}", email=f"user{number}@example.org")

    drain()

    assert (account().gate, account().failures) == (Account.Gate.OPEN, 0)


# How long


@pytest.mark.failure(46)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_what_the_service_asks_for_holds_for_the_whole_account_and_the_next_process(
    service: Service, status: int, form: str
) -> None:
    crowd(3)
    asked = (
        "600"
        if form == "seconds"
        else format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    )
    service.faults.add(Fault("status", method="POST", status=status, headers={"Retry-After": asked}))
    drain()
    sign_up("late")
    before = len(service.log)

    # Each drain begins with nothing but the rows, as in a new process.
    for seconds in (0, 290, 290):
        let_time_pass(seconds)
        drain()
    held = len(service.log)
    let_time_pass(160)
    drain()

    assert held == before
    assert methods(service)[before] == "GET"
    assert "POST" in methods(service)[before:]


@pytest.mark.failure(46)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("3600", 3600, 4320),
        ("1000000000", 3600, 4320),
        ("99999999999999999999999999", 3600, 4320),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600, 4320),
        ("40, 90", 90, 108),
    ],
)
def test_a_wait_that_is_asked_for_is_kept_up_to_an_hour_and_a_fifth_more(
    service: Service, status: int, asked: str, least: float, most: float
) -> None:
    sign_up()
    service.faults.add(Fault("status", method="POST", status=status, headers={"Retry-After": asked}))

    look()

    opens_in = gate.read(KEY, using="default").opens_in
    assert opens_in is not None
    assert least - 1 < opens_in <= most


@pytest.mark.failure(46)
@pytest.mark.parametrize("asked", ["soon", "-60", "0", "", "1e3", "Thu, 01 Jan 1970 00:00:00 GMT", "NaN"])
def test_a_wait_that_makes_no_sense_is_a_short_one_after_a_429(service: Service, asked: str) -> None:
    sign_up()
    service.faults.add(Fault("status", method="POST", status=429, headers={"Retry-After": asked}))

    look(budget=0.1)

    opens_in = gate.read(KEY, using="default").opens_in
    assert opens_in is not None
    assert 0.5 < opens_in <= 2.4


@pytest.mark.parametrize("asked", ["soon", "-60", "0", "", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_that_makes_no_sense_leaves_the_gate_open_after_one_503(service: Service, asked: str) -> None:
    sign_up()
    service.faults.add(Fault("status", method="POST", status=503, headers={"Retry-After": asked}))

    look()

    assert (account().gate, account().failures) == (Account.Gate.OPEN, 1)


@pytest.mark.parametrize("waits", [(2, 600), (600, 2), (None, 600), (600, None)])
def test_of_two_waits_in_one_batch_the_longer_one_is_kept(waits: tuple[float | None, ...]) -> None:
    link = link_of(sign_up())
    seeing = watch.Watch(gate.account_row(KEY, using="default"), using="default")
    step = delivery.Verify(link=link)

    seeing.conclude(
        [delivery.Result(step=step, error=errors.RateLimited(retry_after=seconds)) for seconds in waits],
        now=clock.now(using="default"),
    )

    opens_in = gate.read(KEY, using="default").opens_in
    assert opens_in is not None
    assert opens_in > 590


def test_a_service_that_fails_for_long_is_asked_every_half_minute_even_if_it_asks_for_less(
    service: Service,
) -> None:
    crowd(6)
    service.faults.add(Fault("status", times=None, status=503, headers={"Retry-After": "1"}))
    look()
    for _ in range(6):
        let_time_pass(2)
        look()
        let_time_pass(36)
    before = len(service.log)

    for _ in range(10):
        let_time_pass(2)
        look()

    assert len(service.log) - before <= 1


# How it opens


def test_a_closed_gate_is_probed_with_one_harmless_get_and_never_with_a_create(service: Service) -> None:
    crowd(10)
    service.faults.add(Fault("status", times=None, status=503))
    drain()
    before = len(service.log)

    for _ in range(8):
        let_time_pass(37)
        drain()

    probes = list(service.log)[before:]
    assert [(probe.method, probe.path, probe.customer_id) for probe in probes] == [
        ("GET", "/customers", None)
    ] * 8
    assert account().gate_reason == "unavailable"


@pytest.mark.failure(77)
@pytest.mark.database
def test_the_gate_opens_for_one_row_then_two_then_four(service: Service, settings: Any) -> None:
    leased: list[int] = []

    def should_sync(_user: Any) -> bool:
        leased.append(CustomerLink.objects.exclude(lease_token="").count())
        return True

    users = crowd(30)
    service.faults.add(Fault("status", times=None, status=401))
    drain()
    service.faults.clear()
    let_time_pass(80)
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": should_sync}

    drain()

    assert leased == [1] + [2] * 2 + [4] * 4 + [8] * 8 + [15] * 15
    assert [stand(user) for user in users] == [LIVING] * 30
    assert (account().gate, account().gate_closures, account().failures) == (Account.Gate.OPEN, 0, 0)


def test_a_failure_of_the_first_row_closes_it_again_at_once(service: Service) -> None:
    crowd(20)
    service.faults.add(Fault("status", times=None, method="POST", status=503))
    drain()
    for _ in range(3):
        before = methods(service).count("POST")
        let_time_pass(37)

        drain()

        assert account().gate == Account.Gate.CLOSED
        assert methods(service).count("POST") == before + 1


@pytest.mark.database
def test_one_account_has_one_gate_row_whoever_looks_first(service: Service) -> None:
    sign_up()
    gate.account_row(KEY, using="default")
    gate.account_row(KEY, using="default")
    drain()
    gate.close(KEY, reason="unavailable", seconds=60, using="default")
    longer = gate.read(KEY, using="default").opens_in

    gate.close(KEY, reason="rate_limited", seconds=1, using="default")

    shorter_did_not_win = gate.read(KEY, using="default").opens_in
    assert Account.objects.count() == 1
    assert longer is not None
    assert shorter_did_not_win is not None
    assert 55 < shorter_did_not_win <= longer
    assert account().gate_reason == "unavailable"


def test_a_drain_behind_a_closed_gate_ends_without_a_call_and_says_so(service: Service) -> None:
    sign_up()
    gate.account_row(KEY, using="default")
    gate.close(KEY, reason="key_refused", seconds=60, using="default")
    started = time.monotonic()

    report = drain()

    assert (report.ended, report.work_left) == ("closed", False)
    assert time.monotonic() - started < 5
    assert len(service.log) == 0
