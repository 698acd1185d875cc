"""Rows go by the database's clock, in whatever time zone it speaks; this process's own clock plays no part.

The database is given another clock than this process: by SET timestamp on MariaDB, by a function that hides
PostgreSQL's own, and by one in place of SQLite's.
"""

import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.backends.signals import connection_created
from django.utils import timezone

from kohort_sync import clock, conf, gate, links, sweep
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.databases import people
from tests.databases.people import KEY, VENDOR
from tests.engine.people import drain, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

HOUR = 3600.0
# Tests change what this process takes for the time.
WALL = time.time


class Clock:
    """Be the database's clock: so many seconds from this machine's."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def go(self, seconds: float) -> None:
        """Let so many seconds pass for the database alone."""
        self.ahead += seconds
        self.tell(connections["default"])

    def tell(self, connection: Any, **_: Any) -> None:
        with connection.cursor() as cursor:
            if VENDOR == "mysql":
                cursor.execute("SET timestamp = %s", [WALL() + self.ahead])
            elif VENDOR == "postgresql":
                cursor.execute("SELECT set_config('kohort_test.ahead', %s, false)", [str(self.ahead)])
                cursor.execute("SET search_path = another_clock, pg_catalog, public")
            else:
                connection.connection.create_function("strftime", -1, self._strftime)

    def _strftime(self, form: str, *when: str) -> Any:
        """Do what SQLite's own does, from another present: only 'now' and seconds are asked for."""
        moment = datetime.fromtimestamp(WALL() + self.ahead, UTC)
        for shift in when[1:]:
            moment += timedelta(seconds=int(shift.removesuffix(" seconds")))
        with sqlite3.connect(":memory:") as plain:
            text = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
            (said,) = plain.execute("SELECT STRFTIME(?, ?)", (form, text)).fetchone()
        plain.close()
        return said

    def until(self, moment: datetime | None) -> float:
        """Say how many seconds are left until a moment that a row holds."""
        assert moment is not None
        known = moment if moment.tzinfo else moment.replace(tzinfo=timezone.get_default_timezone())
        return known.timestamp() - WALL() - self.ahead


@pytest.fixture
def other_clock() -> Iterator[Clock]:
    """Give the database a clock of its own."""
    other = Clock()
    connection = connections["default"]
    if VENDOR == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA another_clock")
            cursor.execute(
                "CREATE FUNCTION another_clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql AS"
                " $$ SELECT pg_catalog.statement_timestamp()"
                " + current_setting('kohort_test.ahead')::float * interval '1 second' $$"
            )
    connection_created.connect(other.tell)
    other.tell(connection)
    yield other
    connection_created.disconnect(other.tell)
    connection.close()
    if VENDOR == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA another_clock CASCADE")


ZONES: dict[str, dict[str, Any]] = {
    "aware": {},
    "Tokyo": {"settings": {"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"}},
    "New York": {"settings": {"USE_TZ": False, "TIME_ZONE": "America/New_York"}},
    # The host shares the database with something that writes local times.
    "database": {"database": {"TIME_ZONE": "Asia/Tokyo"}},
}
if VENDOR == "mysql":
    ZONES["session"] = {"options": {"init_command": "SET time_zone = '+09:00'"}}
    ZONES["session, naive"] = ZONES["session"] | ZONES["New York"]
if VENDOR == "postgresql":
    # As ALTER ROLE … SET timezone does it.
    ZONES["session"] = {"options": {"options": "-c TimeZone=Asia/Tokyo"}}


@pytest.fixture(params=list(ZONES))
def zone(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """Let the site, its database and the sessions speak different time zones."""
    said = ZONES[request.param]
    for name, value in said.get("settings", {}).items():
        setattr(settings, name, value)
    with people.database_settings(said.get("database", {})), people.sessions(**said.get("options", {})):
        yield


@pytest.mark.failure(60, 71)
def test_every_time_that_a_row_holds_is_right_to_a_second(
    zone: None, other_clock: Clock, service: Service
) -> None:
    user = sign_up()
    due = other_clock.until(link_of(user).next_attempt_at)
    service.faults.add(Fault("reset", method="POST"))
    drain()
    window = other_clock.until(link_of(user).settle_until)
    gate.close(KEY, reason="rate_limited", seconds=40, using="default")
    assert gate.take_drainer_lease(KEY, token="other", using="default")
    sweep.sweep("default")
    batch = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")

    account = Account.objects.get()
    assert batch is None
    assert due == pytest.approx(0, abs=1)
    assert window == pytest.approx(conf.settle_window(), abs=1)
    assert other_clock.until(account.gate_until) == pytest.approx(40, abs=1)
    assert other_clock.until(account.drainer_until) == pytest.approx(gate.DRAINER_LEASE, abs=1)
    assert other_clock.until(account.last_sweep_at) == pytest.approx(0, abs=1)


def test_a_row_is_claimed_when_it_is_due_and_no_earlier(zone: None, other_clock: Clock) -> None:
    sign_up()
    due = clock.now(using="default") + timedelta(seconds=60)
    CustomerLink.objects.update(next_attempt_at=due)

    other_clock.go(57)
    early = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")
    other_clock.go(4)
    in_time = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")

    assert early is None
    assert in_time is not None


def test_a_lost_create_is_sent_again_after_its_window_and_no_earlier(
    zone: None, other_clock: Clock, service: Service
) -> None:
    user = sign_up()
    service.faults.add(Fault("reset", method="POST"))
    drain()

    other_clock.go(conf.settle_window() - 5)
    drain()
    early = posts(service)
    other_clock.go(60)
    drain()

    assert early == 1
    assert posts(service) == 2
    assert link_of(user).state == State.LINKED


def test_a_gate_opens_when_it_says_and_no_earlier(other_clock: Clock, service: Service) -> None:
    user = sign_up()
    drain()
    gate.close(KEY, reason="rate_limited", seconds=120, using="default")
    user.first_name = "Augusta"
    user.save()

    # Later than a drain would wait for it.
    other_clock.go(100)
    early = drain().ended
    other_clock.go(21)
    drain()

    assert early == "closed"
    assert service.snapshot()[0]["first_name"] == "Augusta"


def posts(service: Service) -> int:
    return [exchange.method for exchange in service.log].count("POST")


@pytest.mark.failure(71)
@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_lease_goes_by_the_clock_of_the_database(other_clock: Clock, ahead: float) -> None:
    other_clock.go(ahead)
    sign_up()
    batch = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")

    left = other_clock.until(CustomerLink.objects.get().lease_until)
    other_clock.go(conf.row_lease() - 2)
    stolen = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")
    other_clock.go(3)
    after = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")

    assert batch is not None
    assert left == pytest.approx(conf.row_lease(), abs=1)
    assert stolen is None
    assert after is not None
    assert CustomerLink.objects.get().crashes == 1


@pytest.mark.failure(71)
@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_step_of_this_process_clock_neither_ends_a_lease_nor_makes_it_last(
    other_clock: Clock, ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up()
    batch = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")
    assert batch is not None
    now = timezone.now
    monkeypatch.setattr(time, "time", lambda: WALL() + ahead)
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(seconds=ahead))

    has_time = batch.has_time_for(conf.row_lease() - 5)
    has_too_little = batch.has_time_for(conf.row_lease() + 1)
    stolen = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")

    assert (has_time, has_too_little, stolen) == (True, False, None)
