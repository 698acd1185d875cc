"""What the machine and the matrix have found, each kept as the shortest story that shows it."""

from typing import Any

import pytest

from kohort_sync import services
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


def _erased_by_another(world: Simulation, user: Any) -> None:
    world.clock.let_pass(160)
    services.erase(link_of(user), reason="asked")
    world.drain()
    world.clock.let_pass(1000)
    world.drain()
