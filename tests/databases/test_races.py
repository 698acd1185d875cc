"""Two who make the same row at the same moment end with one row, and neither hears of the other."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from kohort_sync import clock, drainer, gate, links, services, sweep
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing.service import Service
from tests.databases import people
from tests.databases.people import KEY, Thread
from tests.engine.people import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

TIMES = 50
PAGE = "/admin/kohort_sync/customerlink/"


def both(first: Callable[[int], object], second: Callable[[int], object]) -> list[BaseException]:
    """Do two things side by side, again and again, each time at the same moment; return what failed."""
    gate_of_both = threading.Barrier(2, timeout=20)

    def again(step: Callable[[int], object]) -> None:
        for number in range(TIMES):
            gate_of_both.wait()
            step(number)

    threads = [Thread(lambda step=step: again(step)) for step in (first, second)]  # type: ignore[misc]
    return [failure for thread in threads if (failure := thread.end()) is not None]


@pytest.mark.security(36)
@pytest.mark.failure(9)
def test_two_who_promise_the_same_user_make_one_row() -> None:
    users = people.older(TIMES)

    def promise(number: int) -> None:
        with transaction.atomic():
            services.promise(users[number], using="default")

    failures = both(promise, promise)

    assert failures == []
    assert CustomerLink.objects.count() == TIMES


@pytest.mark.failure(9)
@pytest.mark.failure(26)
def test_a_sweep_and_whoever_asks_for_the_same_users_make_one_row_each() -> None:
    Account.objects.create(key=KEY, covered_at=clock.now(using="default"))
    made: dict[int, list[Any]] = {}
    ready = [threading.Event() for _ in range(TIMES)]

    def ask(number: int) -> None:
        made[number] = people.older(3, prefix=f"round{number}-")
        ready[number].set()
        services.request_sync(made[number])

    def sweep_all(number: int) -> None:
        ready[number].wait(10)
        sweep.sweep("default")

    failures = both(ask, sweep_all)

    assert failures == []
    assert CustomerLink.objects.count() == User.objects.count() == 3 * TIMES


@pytest.mark.failure(26)
def test_four_sweeps_of_one_moment_make_a_row_and_a_customer_for_each(service: Service) -> None:
    Account.objects.create(key=KEY, covered_at=clock.now(using="default"))
    people.older(200)
    together = threading.Barrier(4, timeout=20)

    def work() -> None:
        together.wait()
        sweep.sweep("default")
        drainer.drain("default", linger=0, budget=10)

    threads = [Thread(work) for _ in range(4)]
    failures = [failure for thread in threads if (failure := thread.end(within=60)) is not None]
    people.finish()

    posts = [exchange for exchange in service.log if exchange.method == "POST"]
    assert failures == []
    assert CustomerLink.objects.count() == User.objects.count() == 200
    assert len(posts) == len(service.snapshot()) == 200


def test_two_sign_ups_of_one_moment_make_a_row_each() -> None:
    def sign_up(name: str, number: int) -> None:
        with transaction.atomic():
            User.objects.create_user(f"{name}{number}")

    failures = both(lambda number: sign_up("ada", number), lambda number: sign_up("bea", number))

    assert failures == []
    assert CustomerLink.objects.count() == User.objects.count() == 2 * TIMES


def test_two_first_looks_at_an_account_make_one_row() -> None:
    def look(number: int) -> None:
        gate.account_row(f"account{number}/test", using="default")

    failures = both(look, look)

    assert failures == []
    assert Account.objects.count() == TIMES


@pytest.mark.failure(14)
@pytest.mark.failure(26)
def test_two_who_claim_never_get_the_same_row(service: Service) -> None:
    services.request_sync(people.older(2 * TIMES))
    claimed: list[int] = []

    def claim(_number: int) -> None:
        batch = links.claim(account=KEY, limit=1, order=list(WorkClass), using="default")
        if batch is not None:
            claimed.extend(link.pk for link in batch.links)

    failures = both(claim, claim)

    assert failures == []
    assert len(claimed) == len(set(claimed))
    assert len(claimed) >= TIMES


@pytest.mark.failure(13, 74)
def test_one_of_two_drainers_gets_the_lease() -> None:
    for number in range(TIMES):
        gate.account_row(f"account{number}/test", using="default")
    taken: list[int] = []

    def take(token: str, number: int) -> None:
        if gate.take_drainer_lease(f"account{number}/test", token=token, using="default"):
            taken.append(number)

    failures = both(lambda number: take("one", number), lambda number: take("two", number))

    assert failures == []
    assert sorted(taken) == list(range(TIMES))


@pytest.mark.failure(26, 74)
def test_a_resync_from_the_admin_a_sweep_and_two_drains_at_once_create_each_customer_once(
    service: Service,
) -> None:
    User.objects.create_superuser("boss")  # has no address, so is never sent
    times = 15
    together = threading.Barrier(4, timeout=20)
    users: list[Any] = []

    def again(step: Callable[[], object]) -> None:
        for number in range(times):
            if together.wait() == 0:
                users.append(User.objects.create_user(f"ada{number}", f"ada{number}@example.com"))
            together.wait()
            step()

    def resync() -> None:
        staff = Client()
        staff.force_login(User.objects.get(username="boss"))
        keys = list(CustomerLink.objects.values_list("pk", flat=True))
        staff.post(PAGE, {"action": "resync", "_selected_action": keys})

    def drain() -> None:
        drainer.drain("default", linger=0, budget=2)

    threads = [
        Thread(lambda step=step: again(step))  # type: ignore[misc]
        for step in (resync, lambda: sweep.sweep("default"), drain, drain)
    ]
    failures = [failure for thread in threads if (failure := thread.end(within=90)) is not None]
    people.finish()

    posts = [exchange for exchange in service.log if exchange.method == "POST"]
    assert failures == []
    assert len(posts) == len(service.snapshot()) == times
    assert CustomerLink.objects.filter(user__in=users, state=State.LINKED).count() == times
