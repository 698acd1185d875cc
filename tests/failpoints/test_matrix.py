"""The matrix: at each place of each flow a process is killed, loses an answer, or is overtaken by another."""

from collections.abc import Callable

import pytest

from kohort_sync import services
from kohort_sync.client import errors
from kohort_sync.models import CustomerLink
from tests.engine.people import User
from tests.failpoints.flows import FLOWS, MOVED, ROW_LEASE_AND_MORE, Flow, what_is_wrong
from tests.machine.simulation import CALLS, IN_A_TRANSACTION, IN_THE_SERVICE, PLACES, Simulation, simulated

pytestmark = [
    pytest.mark.django_db(
        transaction=True,
        # A flush of the tables that these tests can write takes a fraction of one of all tables.
        available_apps=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "kohort_sync",
            "project.accounts",
        ],
    ),
    pytest.mark.database,
]

A_DAY_AND_MORE = 25 * 3600.0
MOST_ROUNDS = 12
REQUESTS = {f"{when} {name}" for when in ("before", "after") for name in CALLS}


def _killed(world: Simulation) -> None:
    world.kill()


def _unanswered(_: Simulation) -> None:
    raise errors.NoAnswer


def _delivered_twice(world: Simulation) -> None:
    """Let the message come again: while the drainer's lease holds, and when the row's alone does."""
    world.drain()
    world.clock.let_pass(31)
    world.drain()


def _overtaken(world: Simulation) -> None:
    """Let every lease end while their holder lives, and another worker do it all; and a change after it."""
    world.clock.let_pass(ROW_LEASE_AND_MORE)
    world.sweep()
    world.drain()
    for user in User.objects.filter(pk=1):
        user.email = MOVED
        user.save()
    world.drain()


FAULTS: dict[str, Callable[[Simulation], None]] = {
    "is killed": _killed,
    "gets no answer": _unanswered,
    "is delivered twice": _delivered_twice,
    "is overtaken": _overtaken,
}
CELLS = [(flow, place) for flow in FLOWS for place in dict.fromkeys(FLOWS[flow].places)]


@pytest.mark.parametrize(("flow", "place"), CELLS)
def test_each_user_ends_with_one_customer_and_equal_data_or_is_erased(flow: str, place: str) -> None:
    wrong = {}

    for fault in _possible(place):
        with simulated(**FLOWS[flow].settings) as world:
            wrong[fault] = _what_comes_of(FLOWS[flow], world, place=place, fault=FAULTS[fault])

    assert {fault: found for fault, found in wrong.items() if found} == {}


def _possible(place: str) -> list[str]:
    if place in IN_A_TRANSACTION:
        return ["is killed"]
    return [fault for fault in FAULTS if fault != "gets no answer" or place in REQUESTS]


def _what_comes_of(
    flow: Flow, world: Simulation, *, place: str, fault: Callable[[Simulation], None]
) -> list[str]:
    """Let the fault happen at the place, recover, and return what is not as promised."""
    services.backfill("default")
    flow.prepare(world)
    flow.begin(world)
    world.planned[place] = lambda: fault(world)
    posts = world.ledger.posts
    _work(flow, world)
    if place in world.planned:
        return ["this place is not passed"]
    _recover(world)
    calls = len(world.service.log)
    world.drain()
    wrong = what_is_wrong(flow, world)
    if len(world.service.log) != calls:
        wrong.append("calls are made although nothing is left to do")
    if world.ledger.posts - posts > flow.most_posts:
        wrong.append(f"{world.ledger.posts - posts} creates")
    return wrong


def test_every_place_is_passed_by_some_flow() -> None:
    passed = {place for flow in FLOWS.values() for place in flow.places}

    assert passed - {*PLACES, IN_THE_SERVICE} == set()
    assert {*PLACES, IN_THE_SERVICE} - passed == set()


def _work(flow: Flow, world: Simulation) -> None:
    """Work it off as it comes: what is due a moment later is waited for."""
    for _ in range(3):
        if flow.sweeps:
            world.sweep()
        world.drain()
        world.clock.let_pass(2)


def _recover(world: Simulation) -> None:
    for seconds in (1000, *[A_DAY_AND_MORE] * MOST_ROUNDS):
        world.clock.let_pass(seconds)
        world.sweep()
        world.drain()
        if not CustomerLink.objects.exclude(next_attempt_at=None).exists():
            return
