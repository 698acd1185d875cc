"""Rows that are poison: what one of them does to its process costs the others nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from kohort_sync import services, sweep
from kohort_sync.models import Account, CustomerLink, State
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600.0
DAY = 24 * HOUR
KILLED = 9
LIVING = (State.LINKED, "")

# A site in a process of its own: cron sweeps and drains, and the site's function may be the end of it. It
# is handed over as text, because this module cannot be imported before Django is set up.
CHILD = """
import os
import sys

import django
from django.conf import settings


def customer_data(user):
    if user.username == "poison":
        print("died", flush=True)
        os._exit(9)
    return {}


settings.KOHORT_SYNC["CUSTOMER_DATA"] = customer_data
django.setup()

from kohort_sync import drainer, services

services.find_missing("default")
drainer.drain("default", budget=float(sys.argv[1]), linger=0)
"""


class Killed(BaseException):
    """Stand for a process that is killed."""


@dataclass
class Site:
    """Start the site's processes, one after the other, and count those that die."""

    url: str
    deaths: int = 0

    def run(self, *, budget: float = 60.0) -> None:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATABASE_URL": _database_url(),
            "KOHORT_API_KEY": DEFAULT_TEST_KEY,
            "KOHORT_BASE_URL": self.url,
            "PYTHONPATH": str(ROOT),
        }
        ended = subprocess.run(
            [sys.executable, "-c", CHILD, str(budget)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        died = ended.returncode == KILLED and ended.stdout == "died\n"
        assert died or ended.returncode == 0, ended.stderr
        self.deaths += died


def _database_url() -> str:
    """Spell where the tests' own database is, for another process."""
    told = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        return f"sqlite:///{told['NAME']}"
    scheme = "postgres" if connections["default"].vendor == "postgresql" else "mysql"
    password = f":{told['PASSWORD']}" if told["PASSWORD"] else ""
    return f"{scheme}://{told['USER']}{password}@{told['HOST']}:{told['PORT']}/{told['NAME']}"


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Serve a simulated service over loopback."""
    with SandboxServer(Service(seed=1)) as server:
        yield server


def crowd(number: int, *, poison_after: int) -> None:
    """Bring users in as an import does, past every signal; one of them is poison."""
    names = [f"user{each}" for each in range(number)]
    names.insert(poison_after, "poison")
    User.objects.bulk_create([User(username=name, email=f"{name}@example.com") for name in names])


def poison() -> Any:
    return User.objects.get(username="poison")


def stand(user: Any) -> tuple[str, str]:
    link = link_of(user)
    return link.state, link.last_error_code


@pytest.mark.failure(23)
def test_one_row_that_kills_its_process_among_five_hundred_parks_itself_alone(
    sandbox: SandboxServer,
) -> None:
    services.backfill("default")
    crowd(500, poison_after=250)
    site = Site(sandbox.url)
    linked_after = []

    for _ in range(12):
        site.run()
        linked_after.append(CustomerLink.objects.filter(state=State.LINKED).count())
        if link_of(poison()).state == State.PARKED:
            break
        let_time_pass(2 * HOUR)

    others = CustomerLink.objects.exclude(user=poison())
    assert stand(poison()) == (State.PARKED, "crash_loop")
    assert set(others.values_list("state", "last_error_code")) == {LIVING}
    assert others.count() == len(sandbox.service.snapshot()) == 500
    # Once with its batch, then five times alone; and nobody waited for the end of that.
    assert site.deaths == 6
    assert linked_after[2] == 500


@pytest.mark.failure(23)
def test_a_row_that_was_parked_for_killing_is_taken_up_alone_and_costs_one_process_a_day(
    service: Service, settings: Any
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _killing}
    user = sign_up("poison")
    deaths, crashes_of_others = [_deaths(drains=8)], set()
    given_up = stand(user)

    for day in range(2):
        let_time_pass(DAY)
        names = [f"later{day}x{each}" for each in range(5)]
        users = User.objects.bulk_create([User(username=name, email=f"{name}@example.com") for name in names])
        services.request_sync(users)
        deaths.append(_deaths(drains=3))
        crashes_of_others |= {link_of(other).crashes for other in users}

    assert given_up == stand(user) == (State.PARKED, "crash_loop")
    assert deaths == [6, 1, 1]
    assert crashes_of_others == {0}
    assert len(service.snapshot()) == 10


def test_a_parked_row_that_no_longer_kills_is_sent_when_it_is_taken_up_again(
    service: Service, settings: Any
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _killing}
    user = sign_up("poison")
    _deaths(drains=8)
    given_up = stand(user)
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": None}
    let_time_pass(DAY)

    drain()

    assert given_up == (State.PARKED, "crash_loop")
    assert stand(user) == LIVING
    assert (link_of(user).crashes, link_of(user).parkings) == (0, 0)


@pytest.mark.failure(22)
def test_one_row_whose_function_raises_among_a_hundred_is_listed_and_in_the_end_parked(
    service: Service, settings: Any
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": _raising}
    services.backfill("default")
    crowd(99, poison_after=50)
    sweep.sweep("default")
    drain()
    first = stand(poison())

    for _ in range(12):
        let_time_pass(7 * HOUR)
        drain()

    others = CustomerLink.objects.exclude(user=poison())
    assert first == (State.PENDING, "host_function_failed")
    assert stand(poison()) == (State.PARKED, "host_function_failed")
    assert set(others.values_list("state", "last_error_code")) == {LIVING}
    assert len(service.snapshot()) == 99


@pytest.mark.failure(29)
@pytest.mark.parametrize("number", [5, 120])
def test_a_row_that_kills_the_sweep_does_so_once_a_day_and_the_rest_of_the_sweep_is_done(
    service: Service, settings: Any, number: int
) -> None:
    services.backfill("default")
    crowd(number, poison_after=number // 2)
    sweep.sweep("default")
    for _ in range(3):
        drain()
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": _killing}
    deaths, last_sweeps = [], []

    for day in range(3):
        let_time_pass(DAY)
        User.objects.bulk_create([User(username=f"late{day}", email=f"late{day}@example.com")])
        deaths.append(sum(_sweep_is_killed() for _ in range(10)))
        last_sweeps.append(Account.objects.get().last_sweep_at)

    assert deaths == [1, 1, 1]
    assert CustomerLink.objects.filter(user__username__startswith="late").count() == 3
    assert None not in last_sweeps
    assert len(set(last_sweeps)) == 3


def test_a_round_of_comparisons_begins_every_day_and_meets_every_user_once(
    service: Service, settings: Any
) -> None:
    met: list[str] = []

    def should_sync(user: Any) -> bool:
        met.append(user.username)
        return True

    services.backfill("default")
    crowd(120, poison_after=0)
    for _ in range(5):
        sweep.sweep("default")
        drain()
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": should_sync}

    for _ in range(2):
        let_time_pass(DAY)
        for _ in range(10):
            sweep.sweep("default")

    assert len(met) == 2 * 121
    assert len(set(met)) == 121


def _sweep_is_killed() -> bool:
    return _is_killed(partial(sweep.sweep, "default"))


def _deaths(*, drains: int) -> int:
    """Drain again and again, so far apart that every lease has ended; count the deaths."""
    deaths = 0
    for _ in range(drains):
        deaths += _is_killed(drain)
        let_time_pass(HOUR)
    return deaths


def _is_killed(work: Callable[[], object]) -> bool:
    try:
        work()
    except Killed:
        return True
    return False


def _killing(user: Any) -> bool:
    if user.username == "poison":
        raise Killed
    return True


def _raising(user: Any) -> dict[str, Any]:
    if user.username == "poison":
        raise LookupError(user.email)
    return {}
