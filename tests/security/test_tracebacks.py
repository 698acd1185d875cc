"""What an error tracker prints of an exception that leaves the engine: frames, and nothing in them."""

import itertools
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from kohort_sync import connection as kohort_connection
from kohort_sync import context, drainer, redaction, services, sweep, tasks
from kohort_sync.models import Account, Customer, CustomerLink
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from project.accounts.models import User
from tests.engine.people import link_of
from tests.security import canaries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security(9)]


@pytest.fixture
def listening(settings: Any) -> Iterator[canaries.Listening]:
    """Put a simulated service behind the app that knows the canary key alone."""
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": canaries.KEY}
    simulated = canaries.Listening(seed=1)
    with kohort_connection.through(ServiceAdapter(simulated)):
        yield simulated


@contextmanager
def lost_at(number: int) -> Iterator[None]:
    """Lose the database at one statement of the block, with all that its caller wanted to write."""
    statements = itertools.count()

    def execute(do: Callable[..., Any], sql: str, params: Any, many: bool, told: Any) -> Any:  # noqa: FBT001
        if next(statements) == number:
            raise OperationalError("the connection was closed")
        return do(sql, params, many, told)

    with connection.execute_wrapper(execute):
        yield


def sign_up(name: str) -> User:
    """Save a user whose name for logging in is the address, as on many sites."""
    return User.objects.create_user(canaries.email(name), **canaries.person(name))


def somebody_for_everything() -> None:
    """Leave an empty database with one user to create, one to change, one to erase and one to look up."""
    for model in (CustomerLink, Customer, Account, User):
        model._base_manager.all().delete()
    changed, erased = sign_up("changed"), sign_up("erased")
    drainer.drain("default", linger=0)
    User.objects.filter(pk=changed.pk).update(email=canaries.email("other"))
    services.request_sync([changed])
    services.resync(CustomerLink.objects.filter(user=changed))
    services.erase(link_of(erased), reason="asked to")
    sign_up("created")
    with context.paused():
        sign_up("found")
    Account.objects.update(covered_at="2030-01-01T00:00:00Z")


ENGINE: dict[str, Callable[[], object]] = {
    "drain": lambda: drainer.drain("default", linger=0),
    "sweep": lambda: sweep.sweep("default"),
    "backfill": lambda: services.backfill("default"),
    "rehearsal": lambda: services.rehearse_backfill("default"),
}


@pytest.mark.parametrize("part", ENGINE)
def test_a_lost_database_shows_nobody_whatever_was_being_written(
    listening: canaries.Listening, part: str
) -> None:
    shown: list[str] = []
    for number in itertools.count():
        somebody_for_everything()
        try:
            with lost_at(number):
                ENGINE[part]()
        except OperationalError as failure:
            shown += canaries.seen_in(canaries.with_locals(failure))
            shown += canaries.seen_in(canaries.as_django_reports(failure))
        else:
            break

    assert number > 5
    assert shown == []


def test_a_lost_database_shows_nobody_of_ours_to_whoever_signs_up(listening: canaries.Listening) -> None:
    sign_up("earlier")  # from the second one on nothing is caught
    shown: list[str] = []
    for number in itertools.count():
        try:
            with lost_at(number):
                User(username=f"ada{number}", **canaries.person("ada")).save()
        except OperationalError as failure:
            # The site's own frames have the user by right.
            shown += canaries.seen_in(canaries.with_locals(failure, of="/kohort_sync/"))
        else:
            break

    assert number > 1
    assert shown == []


class TimeIsUp(Exception):
    """Stand for Celery's soft time limit, which a signal raises wherever the program is just then."""


@pytest.mark.parametrize(
    "ask", [lambda: tasks.drain("default"), lambda: services.probe("default")], ids=["drain", "probe"]
)
def test_a_time_limit_in_the_middle_of_a_call_shows_no_key(settings: Any, ask: Callable[[], object]) -> None:
    service = canaries.Listening(seed=1)
    with SandboxServer(service) as sandbox:
        settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": canaries.KEY, "BASE_URL": sandbox.url}
        sign_up("ada")
        drainer.drain("default", linger=0)
        # Due again and behind a closed gate, so that the main thread itself asks a question first.
        services.resync(CustomerLink.objects.all())
        Account.objects.update(gate="closed", gate_until="2020-01-01T00:00:00Z")
        service.faults.add(Fault("delay", seconds=2))
        with a_signal_after(0.3), pytest.raises(TimeIsUp) as failure:
            ask()

    printed = canaries.with_locals(failure.value)
    assert "urllib3" in printed
    assert canaries.seen_in(printed) == []


@contextmanager
def a_signal_after(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` in the main thread once so many seconds have passed in the block."""

    def raise_(*_: object) -> None:
        raise TimeIsUp

    usual = signal.signal(signal.SIGALRM, raise_)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def test_frames_are_emptied_along_the_whole_chain_and_stay_where_they_were() -> None:
    def first() -> None:
        secret = canaries.KEY
        raise ValueError(len(secret))

    @redaction.frames_emptied()
    def second() -> None:
        try:
            first()
        except ValueError as cause:
            secret = canaries.KEY
            raise RuntimeError(len(secret)) from cause

    with pytest.raises(RuntimeError) as failure:
        second()

    # The frames of this file are the point here, so they are looked at, but for the outermost: it still runs.
    told = traceback.TracebackException.from_exception(failure.value, capture_locals=True)
    assert told.__cause__ is not None
    frames = [*told.stack[1:], *told.__cause__.stack]
    names = [frame.name for frame in frames if frame.name in ("first", "second")]
    assert names == ["second", "second", "first"]
    assert canaries.seen_in(repr([frame.locals for frame in frames])) == []
