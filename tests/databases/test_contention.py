"""A site that saves two linked users in one transaction, in any order, meets no lock of ours.

What counts as waiting is left to the database where it can say so: on PostgreSQL a save that waits over
100 ms for a lock is cancelled (`lock_timeout`), on MariaDB one that takes over 100 ms at all
(`max_statement_time`). The machine may be slow of its own accord, so the same site also saves two strangers
who have no link: they meet no lock, and what is late among them is noise. SQLite has one writer: there a save
waits for the engine's present transaction, for a second at most, and is never told "database is locked".
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from kohort_sync import clock, drainer, links, queries, services, sweep
from kohort_sync.models import Account, CustomerLink, SyncAttempt
from kohort_sync.testing.service import Service
from tests.databases import people
from tests.databases.people import KEY, VENDOR, Thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

SECONDS = 1.5
LONGEST = 1.0
ENOUGH = 8
IMPATIENT = {
    "postgresql": "SET lock_timeout = '100ms'",
    "mysql": "SET max_statement_time = 0.1",
    "sqlite": "SELECT 1",
}
TRY_AGAIN = ("could not serialize", "Deadlock found")
CANCELLED = ("due to lock timeout", "max_statement_time")


class Site:
    """Save both users of a pair in one transaction, in both orders in turn, and note what is late."""

    def __init__(self, users: list[Any], *, forgives: tuple[str, ...] = ()) -> None:
        self.strangers = people.older(2, prefix="stranger")
        self.pairs = cycle([users, self.strangers, users[::-1], self.strangers[::-1]])
        self.forgives = forgives
        self.transactions = 0
        self.late = {"users": 0, "strangers": 0}
        self.longest = 0.0

    def run(self, *, until: Callable[[], bool]) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute(IMPATIENT[VENDOR])
        while not until():
            try:
                with transaction.atomic():
                    self._save(next(self.pairs))
                self.transactions += 1
            except OperationalError as failure:
                if not any(words in str(failure) for words in self.forgives):
                    raise
            time.sleep(0.003)

    def _save(self, pair: list[Any]) -> None:
        for user in pair:
            user.first_name = f"name {self.transactions}"
            started = time.monotonic()
            try:
                user.save()
            except OperationalError as failure:
                if not any(words in str(failure) for words in CANCELLED):
                    raise
                transaction.set_rollback(True)
                self.late["strangers" if user in self.strangers else "users"] += 1
                return
            self.longest = max(self.longest, time.monotonic() - started)
            time.sleep(0.001)

    def assert_undisturbed(self) -> None:
        assert self.late["users"] <= self.late["strangers"] + 1
        assert self.longest < LONGEST


def work(site: Site, *engine: Callable[[], object], seconds: float = 0.0) -> list[BaseException]:
    """Let the site save in one thread while the engine does its steps, for so long; return what failed."""
    ends = time.monotonic() + seconds

    def steps() -> None:
        while True:
            for step in engine:
                step()
            if time.monotonic() > ends or not host.is_alive:
                return

    done = threading.Event()
    host = Thread(lambda: site.run(until=done.is_set))
    failure_of_engine = Thread(steps).end()
    done.set()
    return [failure for failure in (host.end(), failure_of_engine) if failure is not None]


def drain() -> None:
    drainer.drain("default", linger=0, budget=0.15)


def compare() -> None:
    links.ask_to_compare(list(CustomerLink.objects.values_list("pk", flat=True)), using="default")


def exchanges(users: list[Any]) -> int:
    return SyncAttempt.objects.filter(link__user__in=users).exclude(operation="resync").count()


def test_a_site_and_a_drainer_that_want_the_same_users_never_disturb_each_other(service: Service) -> None:
    users = people.linked(12)
    site = Site(users[:2])
    before = exchanges(users[:2])

    failures = work(site, compare, drain, seconds=SECONDS)

    assert failures == []
    site.assert_undisturbed()
    assert site.transactions > 25
    assert exchanges(users[:2]) - before >= 3
    services.request_sync(site.strangers)
    people.finish()
    assert people.differences(service) == []


def test_a_transaction_of_the_site_may_begin_before_any_statement_of_the_engine(service: Service) -> None:
    users = people.linked(4)
    pairs = cycle([users[:2], users[1::-1]])
    begun: list[Thread] = []
    asked = 0

    def begin(execute: Callable[..., Any], *statement: Any) -> Any:
        nonlocal asked
        asked += 1
        if not (begun and begun[-1].is_alive):
            holds = threading.Event()
            begun.append(Thread(partial(save_both, next(pairs), f"name {asked}", holds)))
            holds.wait(0.05)
        return execute(*statement)

    with connections["default"].execute_wrapper(begin):
        for _ in range(3):
            compare()
            drainer.drain("default", linger=0, budget=0.7)
        # A busy machine begins fewer in that time; so many are needed to say anything.
        while len(begun) < ENOUGH:
            compare()
            drainer.drain("default", linger=0, budget=0.7)

    assert [failure for thread in begun if (failure := thread.end())] == []
    people.finish()
    assert people.differences(service) == []


def save_both(users: list[Any], name: str, holds: threading.Event) -> None:
    with transaction.atomic():
        for user in users:
            user.first_name = name
            user.save()
            holds.set()
            time.sleep(0.005)


@pytest.mark.failure(59, 62)
@pytest.mark.parametrize("level", people.STRICTER_LEVELS)
def test_a_stricter_level_of_the_host_loses_nothing(service: Service, level: dict[str, Any]) -> None:
    with people.sessions(**level):
        users = people.linked(12)
        # At these levels the database tells one of two to try again; that is what a host asked for.
        site = Site(users[:2], forgives=TRY_AGAIN)

        failures = work(site, lambda: touch(users[2:]), as_often_as_needed(drain), seconds=SECONDS)

        assert failures == []
        assert site.transactions > 10
        services.request_sync(site.strangers)
        people.finish()
        assert people.differences(service) == []


def touch(users: list[Any]) -> None:
    for user in users:
        user.save()


def as_often_as_needed(step: Callable[[], object]) -> Callable[[], object]:
    """Leave what a database wants to be tried again to the next time, as the worker and beat do."""

    def run() -> None:
        try:
            step()
        except OperationalError as failure:
            if not any(words in str(failure) for words in TRY_AGAIN):
                raise

    return run


def test_a_site_waits_for_nothing_while_many_are_marked(service: Service) -> None:
    users = people.linked(2)
    services.request_sync(people.older(498))
    site = Site(users)

    failures = work(site, compare, seconds=SECONDS)

    assert failures == []
    site.assert_undisturbed()
    assert CustomerLink.objects.filter(verify=True).count() == 500


@pytest.mark.parametrize("step", ["backfill", "sweep"])
def test_a_site_saves_on_while_rows_are_made_for_thousands(service: Service, step: str) -> None:
    users = people.linked(1)
    crowd = people.older(2000)
    Account.objects.filter(pk=KEY).update(covered_at=clock.now(using="default"))
    # One of the pair gets its row just now. No promise of 100 ms is made for it, as it is not linked yet.
    site = Site([users[0], crowd[1000]])

    failures = work(
        site, lambda: services.backfill("default") if step == "backfill" else sweep.sweep("default")
    )

    assert failures == []
    assert site.longest < LONGEST
    assert queries.users_without_link(KEY, using="default").count() == 0
