"""The clock: the database's, and right whatever time zones the site and the session have."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from kohort_sync import clock, links
from kohort_sync.models import CustomerLink, WorkClass
from project.accounts.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

Zone = Callable[[], None]


def utc(moment: datetime | None) -> datetime:
    """Read a value of a `DateTimeField` as the time that it means."""
    assert moment is not None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.get_default_timezone())).astimezone(
        UTC
    )


def is_now(moment: datetime | None) -> bool:
    return abs(utc(moment) - datetime.now(UTC)) < timedelta(seconds=2)


@pytest.fixture(params=["aware", "Tokyo", "New York", "activated", "session"])
def site(request: pytest.FixtureRequest, settings: Any) -> Iterator[str]:
    """Put the site, a request or the database's session into different time zones."""
    if request.param == "Tokyo":
        settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
    elif request.param == "New York":
        settings.USE_TZ, settings.TIME_ZONE = False, "America/New_York"
    elif request.param == "activated":
        settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
        timezone.activate(ZoneInfo("America/New_York"))
    elif request.param == "session":
        say_session("+09:00")
    yield request.param
    timezone.deactivate()
    if request.param == "session":
        connection.close()


def say_session(offset: str) -> None:
    # On PostgreSQL Django itself would read every time wrongly after this.
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = %s", [offset])


def test_what_is_asked_is_the_present(site: str) -> None:
    assert is_now(clock.now(using="default"))


def test_what_is_written_is_the_present(site: str) -> None:
    User.objects.create_user("ada")

    assert is_now(CustomerLink.objects.get().next_attempt_at)


def test_what_is_written_is_due_at_once_and_what_comes_later_is_not(site: str) -> None:
    User.objects.create_user("ada")
    at_once = links.any_due(account="default/test", using="default")
    CustomerLink.objects.update(next_attempt_at=clock.now(using="default") + timedelta(seconds=30))

    later = links.any_due(account="default/test", using="default")

    assert at_once
    assert not later


def test_a_lease_holds_as_long_as_it_says(site: str) -> None:
    User.objects.create_user("ada")
    batch = links.claim(account="default/test", limit=1, order=[WorkClass.SIGNUP], using="default")

    held = CustomerLink.objects.get()

    assert batch is not None
    assert not links.any_due(account="default/test", using="default")
    assert utc(held.lease_until) - utc(batch.claimed_at) == timedelta(seconds=150)
    assert is_now(batch.claimed_at)


def test_the_two_ways_agree(site: str) -> None:
    User.objects.create_user("ada")
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    written = utc(CustomerLink.objects.get().next_attempt_at)

    asked = utc(clock.now(using="default"))

    assert timedelta(seconds=-0.1) < asked - written < timedelta(seconds=2)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the others compare times and not texts")
@pytest.mark.parametrize("moment", ["12:00:10", "12:00:10.5", "12:00:10.123"])
def test_what_is_written_at_any_moment_is_due_at_that_moment(moment: str) -> None:
    User.objects.create_user("ada")

    def at_that_moment(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        return execute(sql.replace("'now'", f"'2026-01-01 {moment}'"), *arguments)

    with connection.execute_wrapper(at_that_moment):
        CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
        is_due = links.any_due(account="default/test", using="default")

    assert is_due
