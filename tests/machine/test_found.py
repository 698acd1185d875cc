"""What the machine and the matrix have found, each kept as the shortest story that shows it."""

from typing import Any

import pytest

from kohort_sync import decisions, services
from kohort_sync.client import errors
from kohort_sync.models import State
from kohort_sync.testing.faults import Fault
from tests.engine.people import link_of, sign_up
from tests.machine.simulation import CANARY, Simulation, simulated, traces

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def test_a_worker_that_comes_back_after_an_erasure_does_not_bring_the_data_back() -> None:
    with simulated() as world:
        user = sign_up(f"{CANARY}ada")
        world.service.faults.add(Fault("reset", method="POST", after_commit=True))
        world.drain()
        world.clock.let_pass(20)

        # This worker has seen the customer; while it rests another one erases it.
        world.planned["after find"] = lambda: _erased_by_another(world, user)
        world.drain()

        link = link_of(user)
        assert (link.state, traces([link, link.customer])) == (State.ERASED, [])


def test_a_refusal_of_the_first_address_does_not_condemn_the_present_one() -> None:
    with simulated() as world:
        user = sign_up()
        world.service.faults.add(Fault("reset", method="POST"))
        world.drain()
        user.email = "free@example.com"
        user.save()
        world.service.checkout(email="ada@example.com")
        world.clock.let_pass(1000)

        world.drain()

        assert (link_of(user).state, world.doubled()) == (State.LINKED, [])
        assert {row["email_address"] for row in world.living()} == {"ada@example.com", "free@example.com"}


def test_a_lost_look_up_after_a_refusal_does_not_prevent_the_adoption() -> None:
    with simulated(ADOPT_BY_EMAIL=True, EMAIL_VERIFIED=lambda _user: True) as world:
        ours = world.service.checkout(email="ada@example.com")
        user = sign_up()
        world.planned["before find"] = _unanswered
        world.drain()
        world.clock.let_pass(1000)

        world.drain()

        link = link_of(user)
        assert link.customer is not None
        assert (link.state, link.customer.kohort_id) == (State.LINKED, ours)


def test_only_the_address_that_was_refused_is_searched_for_to_be_adopted() -> None:
    with simulated(ADOPT_BY_EMAIL=True, EMAIL_VERIFIED=lambda _user: True) as world:
        world.service.checkout(email="ada@example.com")
        user = sign_up()

        def move() -> None:
            user.email = "free@example.com"
            user.save()

        world.planned["after settling"] = move
        world.drain()

        assert link_of(user).state == State.LINKED
        assert len(world.living()) == 2


def test_nothing_can_be_decided_while_the_answer_to_a_repeated_create_is_awaited() -> None:
    with simulated() as world:
        world.service.checkout(email="ada@example.com")
        user = sign_up()
        world.drain()
        in_conflict = link_of(user)
        user.email = "free@example.com"
        user.save()

        world.planned["after create"] = world.kill
        world.drain()

        link = link_of(user)
        assert (in_conflict.state, in_conflict.conflict_kind) == (State.CONFLICT, "email_in_use")
        assert (link.state, link.conflict_kind, link.conflict_ids) == (State.UNCERTAIN, "", [])
        assert decisions.allowed(state=link.state, conflict_kind=link.conflict_kind) == ()


def _erased_by_another(world: Simulation, user: Any) -> None:
    world.clock.let_pass(160)
    services.erase(link_of(user), reason="asked")
    world.drain()
    world.clock.let_pass(1000)
    world.drain()


def _unanswered() -> None:
    raise errors.NoAnswer
