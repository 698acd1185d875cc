"""What an adversary tried on the engine, each attack kept."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import DataError, connections, transaction

from kohort_sync import clock, conf, connection, drainer, gate, links, mirror, services
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.drainer import turn
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing import answers, search, validation
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


LOCKS_NO_ROWS = connections["default"].vendor == "sqlite"


class Killed(BaseException):
    """Stand for a process that is killed."""


def test_a_change_that_is_taken_back_after_a_crash_leaves_no_difference(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = sign_up()
    drain()
    user.first_name = "Augusta"
    user.save()
    with monkeypatch.context() as patch:
        patch.setattr(turn.Turn, "_settle", _killing)
        with pytest.raises(Killed):
            drain()
    user.first_name = "Ada"
    user.save()
    let_time_pass(500)

    drain()

    assert service.snapshot()[0]["first_name"] == "Ada"
    assert not link_of(user).verify


def test_a_resync_asked_for_while_a_request_is_under_way_is_not_lost(service: Service) -> None:
    user = sign_up()
    drain()
    user.first_name = "Augusta"
    user.save()
    batch = links.claim(account="default/test", limit=10, order=list(WorkClass), using="default")
    assert batch is not None

    services.resync(CustomerLink.objects.all())
    with links.writing(using="default"):
        settlement = links.Settlement(link=batch.links[0], state=State.LINKED)
        links.settle(
            batch, [settlement], mirror=lambda _: {}, now=clock.now(using="default"), using="default"
        )

    assert link_of(user).verify
    assert link_of(user).next_attempt_at is not None


def test_a_late_report_outlives_the_outcome_of_the_present_holder(service: Service) -> None:
    user = sign_up()
    drain()
    account = link_of(user).account

    def claim() -> links.Batch:
        user.first_name += "x"
        user.save()
        batch = links.claim(account=account, limit=1, order=list(WorkClass), using="default")
        assert batch is not None
        return batch

    late = claim()
    let_time_pass(conf.row_lease() + 1)
    drain()  # compares, and sends
    present = claim()
    (link,) = present.links
    assert links.report_late(late, [link.pk], using="default") == 1

    with links.writing(using="default"):
        settlement = links.Settlement(link=link, state=State.LINKED)
        links.settle(
            present, [settlement], mirror=lambda _: {}, now=clock.now(using="default"), using="default"
        )

    assert link_of(user).verify


def test_a_slow_down_of_no_seconds_is_no_invitation(service: Service) -> None:
    for number in range(4):
        sign_up(f"user{number}")
    service.faults.add(Fault("rate_limit", times=None, method="POST", seconds=0))

    drainer.drain("default", budget=4, linger=0)

    assert len(service.log) < 30
    assert Account.objects.get().gate_closures >= 2


def test_a_slow_function_of_the_site_slows_the_sending_and_does_not_end_it(
    service: Service, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "OVERTIME", 0.5)
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _slowly}
    for number in range(15):
        sign_up(f"user{number}")

    drainer.drain("default", budget=0.4, linger=0)

    assert len(service.snapshot()) >= 1


def test_a_look_up_that_always_fails_is_not_repeated_every_second(service: Service) -> None:
    sign_up()
    service.faults.add(Fault("reset", method="POST"))
    drain()
    service.faults.add(Fault("garbage_json", times=None, method="GET"))
    for _ in range(4):
        let_time_pass(700)
        drain()
    before = len(service.log)

    drainer.drain("default", budget=3, linger=1.5)

    assert len(service.log) - before <= 2


@pytest.mark.parametrize(
    "odd",
    [
        {"organization_id": "o" * 100},
        {"created_by": "c" * 300},
        {"locale": "l" * 40},
        {"metadata": {"number": 10**200}},
        {
            "metadata": {
                "deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
            }
        },
        {"phone_number": "1" * 100_000},
        {"created_at": "0001-01-01T00:00:00Z"},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_an_odd_answer_about_one_user_is_stored_and_holds_up_nobody(
    service: Service, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any]
) -> None:
    usual = answers.customer
    monkeypatch.setattr(
        answers,
        "customer",
        lambda row, *, dialect: (
            usual(row, dialect=dialect) | (odd if row.email_address.startswith("odd") else {})
        ),
    )
    users = [sign_up("good"), sign_up("odd"), sign_up("better")]

    drain()

    assert [link_of(user).state for user in users] == [State.LINKED] * 3


def test_an_answer_that_the_database_refuses_is_set_aside_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = mirror.write

    def refusing(remotes: Iterable[RemoteCustomer], **kwargs: Any) -> dict[str, int]:
        shown = list(remotes)
        if any((remote.email_address or "").startswith("odd") for remote in shown):
            raise DataError
        return usual(shown, **kwargs)

    monkeypatch.setattr(mirror, "write", refusing)
    odd, good = sign_up("odd"), sign_up("good")

    drain()

    assert link_of(good).state == State.LINKED
    assert link_of(odd).state == State.UNCERTAIN
    assert link_of(odd).lease_token != ""


def test_a_function_of_the_site_that_saves_the_user_does_not_run_for_ever(
    service: Service, settings: Any
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": _saving}
    user = sign_up()

    report = drainer.drain("default", budget=5, linger=0)

    assert (report.ended, report.work_left) == ("done", False)
    assert sum(report.settled.values()) == 1
    assert link_of(user).state == State.LINKED


def test_the_gate_opens_again_where_answers_show_no_references(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(seed=1, dialect="documented")
    with connection.through(ServiceAdapter(service)):
        sign_up("ada")
        drain()
        monkeypatch.delitem(search.FIELDS, "clientReferenceId")  # so that the filter is ignored
        service.faults.add(Fault("rate_limit", method="POST", seconds=60))
        second = sign_up("bea")
        drain()
        let_time_pass(100)

        drain()

    assert link_of(second).state == State.LINKED


def test_an_address_that_the_service_rewrites_troubles_its_own_row_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = validation.columns

    def lower(*args: Any, **kwargs: Any) -> Any:
        made = usual(*args, **kwargs)
        if isinstance(made.get("email_address"), str):
            made["email_address"] = made["email_address"].lower()
        return made

    monkeypatch.setattr(validation, "columns", lower)
    sign_up("odd", email="Odd@example.com")
    closed = 0
    for _ in range(6):
        drain()
        closed += Account.objects.get().gate == Account.Gate.CLOSED
        let_time_pass(400)

    good = sign_up("good")
    drain()

    assert closed <= 2
    assert link_of(good).state == State.LINKED


@pytest.mark.failure(72)
@pytest.mark.security(5)
def test_a_key_of_another_organization_sends_nobody_there(service: Service, settings: Any) -> None:
    sign_up("ada")
    drain()
    service.keys["sk_test_other000000000000"] = "org_other"
    right = settings.KOHORT_SYNC
    settings.KOHORT_SYNC = right | {"API_KEY": "sk_test_other000000000000"}
    user = sign_up("bea")
    for _ in range(3):
        drain()
        let_time_pass(301)
    refused = Account.objects.get().gate_reason
    elsewhere = [row for row in service.snapshot() if row["organization_id"] == "org_other"]
    settings.KOHORT_SYNC = right

    drain()

    assert (refused, elsewhere) == ("other_organization", [])
    assert link_of(user).state == State.LINKED


@pytest.mark.security(5)
def test_a_new_key_of_the_same_organization_is_taken_over_silently(service: Service, settings: Any) -> None:
    sign_up("ada")
    drain()
    organization = next(iter(service.keys.values()))
    service.keys["sk_test_rotated0000000000"] = organization
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": "sk_test_rotated0000000000"}
    before = Account.objects.get().key_fingerprint
    user = sign_up("bea")

    drain()

    assert link_of(user).state == State.LINKED
    assert Account.objects.get().key_fingerprint not in {"", before}


@pytest.mark.failure(49)
def test_a_save_between_two_sights_does_not_make_a_customer_missing(service: Service) -> None:
    user = sign_up()
    drain()
    service.faults.add(Fault("status", status=404, times=2, path_prefix="/customers/cus"))
    for name in ("Bea", "Cleo"):
        user.first_name = name
        user.save()
        drain()
    waiting = link_of(user)
    let_time_pass(16 * 60)

    drain()

    assert (waiting.state, waiting.last_error_code) == (State.LINKED, "not_found")
    assert (link_of(user).state, link_of(user).is_dirty) == (State.LINKED, False)
    assert service.snapshot()[0]["first_name"] == "Cleo"


def test_nothing_is_sent_with_autocommit_off(service: Service) -> None:
    sign_up()
    transaction.set_autocommit(False)
    try:
        with pytest.raises(RuntimeError, match="autocommit"):
            drain()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)

    assert len(service.log) == 0


@pytest.mark.skipif(LOCKS_NO_ROWS, reason="SQLite locks no rows, so nothing can be locked in two orders")
def test_a_resync_and_a_transaction_of_the_site_never_deadlock(service: Service) -> None:
    first, second = sign_up("ada"), sign_up("bea")
    drain()
    holds = threading.Event()

    def site() -> None:
        with transaction.atomic():
            _rename(second, "Bea")
            holds.set()
            time.sleep(0.3)
            _rename(first, "Ada")

    thread, failures = _in_thread(site)
    holds.wait(5)
    marked = services.resync(CustomerLink.objects.order_by("pk"))
    thread.join(15)

    assert failures == []
    assert marked == 2


@pytest.mark.skipif(LOCKS_NO_ROWS, reason="SQLite locks no rows, so nobody can hold one")
def test_a_transaction_that_holds_a_row_waits_for_nobody_and_loses_nothing(service: Service) -> None:
    users = [sign_up("ada"), sign_up("bea")]
    drain()
    for user in users:
        user.first_name = "Cleo"
        user.save()
    sending = threading.Event()
    waits: list[float] = []

    def site() -> None:
        sending.wait(5)
        with transaction.atomic():
            for user in users:
                started = time.monotonic()
                User.objects.get(pk=user.pk).save()
                waits.append(time.monotonic() - started)
                time.sleep(0.5)

    service.faults.add(Fault("delay", method="PATCH", seconds=0.3, times=2))
    thread, failures = _in_thread(site, wake=sending)
    drain()
    thread.join(10)
    drain()

    assert failures == []
    assert max(waits) < 0.1
    assert {row["first_name"] for row in service.snapshot()} == {"Cleo"}
    assert [link_of(user).is_dirty for user in users] == [False, False]


def test_three_drainers_with_leases_that_end_at_once_send_each_user_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "DRAINER_LEASE", 0.05)
    for number in range(30):
        sign_up(f"user{number}")

    threads = [_in_thread(drain) for _ in range(3)]
    for thread, _ in threads:
        thread.join(30)
    drain()

    assert [failure for _, failures in threads for failure in failures] == []
    assert len(service.snapshot()) == 30
    assert [exchange.method for exchange in service.log].count("POST") == 30


def _killing(*_args: Any, **_kwargs: Any) -> None:
    raise Killed


def _slowly(_user: Any) -> bool:
    time.sleep(0.1)
    return True


def _saving(user: Any) -> dict[str, Any]:
    user.save()
    return {}


def _rename(user: Any, name: str) -> None:
    user.first_name = name
    user.save()


def _in_thread(
    work: Callable[[], object], *, wake: threading.Event | None = None
) -> tuple[threading.Thread, list[BaseException]]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 — the test looks at it
            failures.append(failure)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    if wake is not None:
        wake.set()
    return thread, failures
