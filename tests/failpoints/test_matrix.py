"""The matrix: at each place of each flow a process is killed, loses an answer, or is overtaken by another."""

from collections.abc import Callable

import pytest
from django.db import connections

from kohort_sync import services
from kohort_sync.client import errors
from kohort_sync.models import CustomerLink, State
from tests.engine.people import User
from tests.failpoints.flows import ADDRESS, FLOWS, MOVED, ROW_LEASE_AND_MORE, Flow, what_is_wrong
from tests.machine.simulation import (
    CALLS,
    CANARY,
    IN_A_TRANSACTION,
    IN_THE_SERVICE,
    PLACES,
    Simulation,
    simulated,
    traces,
)

pytestmark = [
    pytest.mark.search,
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
TURNING = {"before update", "after update", "before conclude", "before settling"}
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
    _move()
    world.drain()


def _taken_back(world: Simulation) -> None:
    """Let another worker send a change, which is taken back before the first one goes on."""
    world.clock.let_pass(ROW_LEASE_AND_MORE)
    _rename(f"Grace{CANARY}")
    world.drain()
    _rename(f"Augusta{CANARY}")


def _killed_and_taken_back(world: Simulation) -> None:
    _take_back()
    world.kill()


def _unanswered_and_taken_back(_: Simulation) -> None:
    _take_back()
    raise errors.NoAnswer


def _arrives_late(world: Simulation) -> None:
    """Let another worker do it all before the request arrives, whose sender then dies."""
    _overtaken(world)
    world.planned["after update"] = world.kill


def _overtaken_after_a_retry(world: Simulation) -> None:
    """Let a person take the row up again once its lease has ended, and another worker send a change."""
    world.clock.let_pass(ROW_LEASE_AND_MORE)
    services.retry(CustomerLink.objects.all())
    _move()
    world.drain()


def _outlived(world: Simulation) -> None:
    """Let a create rest at the service for longer than its window: another worker repeats it meanwhile."""
    _move()
    world.clock.let_pass(1000)
    world.drain()


def _rename(name: str) -> None:
    for user in User.objects.filter(username="ada"):
        user.first_name = name
        user.save()


def _take_back() -> None:
    for user in User.objects.filter(username="ada"):
        user.first_name, user.email = f"Ada{CANARY}", ADDRESS
        user.save()


def _move() -> None:
    for user in User.objects.filter(username="ada"):
        user.email = MOVED
        user.save()


FAULTS: dict[str, Callable[[Simulation], None]] = {
    "is killed": _killed,
    "gets no answer": _unanswered,
    "is delivered twice": _delivered_twice,
    "is overtaken": _overtaken,
    "is overtaken by what is taken back": _taken_back,
    "is killed, and the change is taken back": _killed_and_taken_back,
    "gets no answer, and the change is taken back": _unanswered_and_taken_back,
    "arrives late": _arrives_late,
    "is overtaken after a retry": _overtaken_after_a_retry,
    "outlives its window": _outlived,
}
_BOUND_TO = {
    "gets no answer": REQUESTS,
    "is overtaken by what is taken back": TURNING,
    "is killed, and the change is taken back": TURNING,
    "gets no answer, and the change is taken back": {"before update", "after update"},
    "arrives late": {"before update"},
    "is overtaken after a retry": {"before update"},
    "outlives its window": {IN_THE_SERVICE},
}
CELLS = [(flow, place) for flow in FLOWS for place in dict.fromkeys(FLOWS[flow].places)]


@pytest.mark.failure(21, 29, 33, 34)
@pytest.mark.parametrize(("flow", "place"), CELLS)
def test_each_user_ends_with_one_customer_and_equal_data_or_is_erased(flow: str, place: str) -> None:
    wrong = {}

    for fault in _possible(place):
        with simulated(**FLOWS[flow].settings) as world:
            wrong[fault] = _what_comes_of(FLOWS[flow], world, place=place, fault=FAULTS[fault])

    assert {fault: found for fault, found in wrong.items() if found} == {}


def _possible(place: str) -> list[str]:
    # What a kill leaves behind is the database's doing; the rest says the same on each.
    if place in IN_A_TRANSACTION or connections["default"].vendor != "sqlite":
        return ["is killed"]
    return [fault for fault in FAULTS if place in _BOUND_TO.get(fault, {place})]


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


# What is under way when somebody asks for the erasure, and for how long it rests there.
LATE = [
    ("create", "before create", 160),
    ("create at rest", IN_THE_SERVICE, 1000),
    ("update", "before update", 160),
]


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize(("flow", "place", "seconds"), LATE)
def test_what_arrives_after_an_erasure_was_asked_for_is_erased_too(
    flow: str, place: str, seconds: int, *, dies: bool
) -> None:
    with simulated() as world:
        services.backfill("default")
        FLOWS[flow].prepare(world)
        FLOWS[flow].begin(world)

        def erase() -> None:
            world.clock.let_pass(seconds)
            world.drain()
            services.erase(CustomerLink.objects.get(), reason="asked")
            world.drain()
            if dies:
                world.planned[f"after {place.rsplit(maxsplit=1)[-1]}"] = world.kill

        world.planned[place] = erase
        world.drain()
        _recover(world)

        link = CustomerLink.objects.select_related("customer").get()
        assert (link.state, world.ledger.wrongs) == (State.ERASED, [])
        assert traces([link, *link.history.all(), *([link.customer] if link.customer else [])]) == []
        assert [row["id"] for row in world.service.snapshot() if CANARY in str(row)] == []


@pytest.mark.parametrize("flow", ["create", "update", "block"])
@pytest.mark.parametrize("place", ["before conclude", "before settling"])
def test_who_was_left_out_meanwhile_stays_left_out(flow: str, place: str) -> None:
    with simulated() as world:
        services.backfill("default")
        FLOWS[flow].prepare(world)
        FLOWS[flow].begin(world)

        def leave_out() -> None:
            world.clock.let_pass(ROW_LEASE_AND_MORE)
            world.drain()
            services.resolve(CustomerLink.objects.get(), choice="ignore", reason="asked")

        world.planned[place] = leave_out
        world.drain()
        calls = len(world.service.log)
        _recover(world)

        assert (CustomerLink.objects.get().state, world.planned) == (State.IGNORED, {})
        assert len(world.service.log) == calls


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
