"""Long lives of a few users: a random one after the other, and the shortest that fails is told."""

import os

import pytest
from django.db import connections
from hypothesis import HealthCheck, register_random, settings
from hypothesis.stateful import run_state_machine_as_test

from kohort_sync.delivery import settlements
from kohort_sync.drainer import watch
from tests.machine.machine import Life

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.search]

# Else a run that failed could not be repeated.
for chance in (settlements.chance, watch._chance):
    register_random(chance)

MORE = "KOHORT_MACHINE_EXAMPLES"
"""Names the environment variable that asks for so many lives, with other dice each time."""
LIVES = 60 if connections["default"].vendor == "sqlite" else 10
STEPS = 60


def test_in_every_life_each_user_has_one_customer_with_equal_data_or_a_reason() -> None:
    more = os.environ.get(MORE)
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=int(more) if more else LIVES,
            stateful_step_count=STEPS,
            derandomize=more is None,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
