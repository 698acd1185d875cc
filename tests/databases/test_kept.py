"""What the databases found and was mended: each is kept."""

import threading
import time
from typing import Any

import pytest
from django.db import connections, transaction

from kohort_sync import links, services
from kohort_sync.links import rows, storing
from kohort_sync.models import CustomerLink
from kohort_sync.testing.service import Service
from tests.databases import people
from tests.databases.people import VENDOR, Thread
from tests.databases.test_connections import KILL, ask, session_of  # noqa: F401
from tests.databases.test_contention import (
    SECONDS,
    TRY_AGAIN,
    Site,
    as_often_as_needed,
    compare,
    drain,
    touch,
    work,
)
from tests.databases.test_races import both
from tests.engine.people import sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def test_a_site_never_meets_the_record_of_a_resync(service: Service) -> None:
    users = people.linked(12)
    site = Site(users[:2])

    failures = work(site, lambda: services.resync(CustomerLink.objects.order_by("pk")), seconds=4)

    assert failures == []


@pytest.mark.failure(59, 62)
@pytest.mark.parametrize("level", people.STRICTER_LEVELS)
def test_a_stricter_level_of_the_host_stops_no_drainer(service: Service, level: dict[str, Any]) -> None:
    with people.sessions(**level):
        users = people.linked(12)
        site = Site(users[:2], forgives=TRY_AGAIN)

        # What a deadlock leaves to the site is the site's; the drainer meets none.
        save = as_often_as_needed(lambda: touch(users[2:]))
        failures = work(site, save, drain, seconds=3)

        assert failures == []


@pytest.mark.parametrize("level", people.STRICTER_LEVELS)
def test_a_stricter_level_of_the_host_stops_no_marking(service: Service, level: dict[str, Any]) -> None:
    with people.sessions(**level):
        users = people.linked(12)
        site = Site(users[:2], forgives=TRY_AGAIN)

        failures = work(site, compare, seconds=3)

        assert failures == []


def test_a_site_waits_for_nothing_while_thousands_are_marked(service: Service) -> None:
    users = people.linked(2)
    services.request_sync(people.older(4998))
    site = Site(users)

    failures = work(site, compare, seconds=SECONDS)

    assert failures == []
    site.assert_undisturbed()


def test_two_who_ask_for_the_same_users_in_two_orders_never_wait_in_a_circle() -> None:
    users = people.older(2000)

    def crowd(number: int) -> list[Any]:
        return users[40 * number : 40 * (number + 1)]

    failures = both(
        lambda number: services.request_sync(crowd(number)),
        lambda number: services.request_sync(crowd(number)[::-1]),
    )

    assert failures == []


@pytest.mark.skipif(VENDOR == "mysql", reason="InnoDB lets one of two who insert the same keys try again")
def test_two_who_ask_in_several_statements_of_one_transaction_never_wait_in_a_circle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(storing._ASKED_AT_ONCE, VENDOR, 10)
    users = people.older(2000)

    def request(number: int, step: int) -> None:
        with transaction.atomic():
            services.request_sync(users[40 * number : 40 * (number + 1)][::step])

    failures = both(lambda number: request(number, 1), lambda number: request(number, -1))

    assert failures == []


@pytest.mark.failure(64)
@pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has no sessions")
def test_a_session_that_ended_while_nothing_was_asked_is_opened_anew(service: Service, ask: Any) -> None:  # noqa: F811
    sign_up()
    ask(KILL[VENDOR], session_of(connections["default"]))

    drain()

    assert len(service.snapshot()) == 1


@pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite locks no rows")
def test_a_late_report_waits_for_nobody_while_it_holds_a_row(service: Service) -> None:
    people.linked(2)
    first, second = CustomerLink.objects.order_by("pk")
    late = links.Batch(account=people.KEY, token="late", links=(), claimed_at=None, ends=0.0)  # type: ignore[arg-type]
    holds = threading.Event()

    def site() -> None:
        with transaction.atomic():
            touch([second.user])
            holds.set()
            time.sleep(0.3)
            touch([first.user])

    host = Thread(site)
    holds.wait(5)
    reporter = Thread(lambda: links.report_late(late, [first.pk, second.pk], using="default"))

    assert (host.end(), reporter.end()) == (None, None)


@pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("level", people.STRICTER_LEVELS)
def test_a_transaction_of_the_engine_sees_what_is_committed_meanwhile(level: dict[str, Any]) -> None:
    with people.sessions(**level):
        user = sign_up()
        version = CustomerLink.objects.values_list("desired_version", flat=True)

        with links.writing(using="default"):
            before = version.get()
            failure = Thread(lambda: touch([user])).end()
            after = version.get()

    assert failure is None
    assert after == before + 1


@pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite locks no rows")
def test_rows_are_written_past_one_between_them_that_the_site_holds() -> None:
    users = people.older(100)
    services.request_sync(users)
    between = CustomerLink.objects.get(user=users[50]).pk
    keys = [*CustomerLink.objects.order_by("pk").values_list("pk", flat=True)]
    written, holds = threading.Event(), threading.Event()

    def site() -> None:
        with transaction.atomic():
            touch([users[50]])
            holds.set()
            written.wait(5)

    host = Thread(site)
    holds.wait(5)
    with links.writing(using="default"):
        held = rows.hold(CustomerLink.objects.all(), keys, using="default")
        rows.update_each(held, using="default", verify=True)
    has_waited = not host.is_alive
    written.set()

    assert host.end() is None
    assert (sorted({*keys} - held.keys()), has_waited) == ([between], False)
