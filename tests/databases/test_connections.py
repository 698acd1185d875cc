"""A session that the database ends between two steps costs nobody: the next drain links everybody once.

SQLite has no sessions that anybody else could end.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from kohort_sync import connection
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.service import Service
from tests.databases import people
from tests.databases.people import VENDOR
from tests.engine.people import drain, let_time_pass, sign_up

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.database,
    pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has no sessions that anybody else could end"),
]

Ask = Callable[..., list[Any]]
KILL = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}


@pytest.fixture
def ask(db: None) -> Iterator[Ask]:
    """Ask in a second session."""
    beside = connections["default"].copy()
    # What is sent, is sent in threads.
    beside.inc_thread_sharing()

    def run(sql: str, *values: int) -> list[Any]:
        with beside.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall()) if cursor.description else []

    yield run
    beside.close()


def session_of(opened: Any) -> int:
    opened.ensure_connection()
    number: int = (
        opened.connection.info.backend_pid if VENDOR == "postgresql" else opened.connection.thread_id()
    )
    return number


class Watched(ServiceAdapter):
    """Do something while the engine waits for an answer: before the service has the request, or after it."""

    def __init__(self, service: Service, *, moment: str, what: Callable[[], object]) -> None:
        super().__init__(service)
        self.moment, self.what = moment, what

    def send(self, *args: Any, **kwargs: Any) -> Any:
        if self.moment == "before":
            self.what()
        answer = super().send(*args, **kwargs)
        if self.moment == "after":
            self.what()
        return answer


class AtStatement:
    """End the session before the statement whose turn it is."""

    def __init__(self, turn: int, ask: Ask) -> None:
        self.left, self.ask = turn, ask

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.ask(KILL[VENDOR], session_of(statement[-1]["connection"]))
        return execute(*statement)


class AtFirst:
    """Do something the first time only."""

    def __init__(self, what: Callable[[], object]) -> None:
        self.what: Callable[[], object] | None = what

    def __call__(self) -> None:
        what, self.what = self.what, None
        if what is not None:
            what()


def start_anew() -> None:
    """Do as the worker does before its next task, and Django before the next request."""
    close_old_connections()


@pytest.mark.failure(56)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_session_that_ends_while_something_is_sent_costs_no_customer_and_makes_no_second(
    service: Service, ask: Ask, moment: str
) -> None:
    for name in ("ada", "bea", "cleo"):
        sign_up(name)
    session = session_of(connections["default"])
    ends = AtFirst(lambda: ask(KILL[VENDOR], session))

    with connection.through(Watched(service, moment=moment, what=ends)):
        with pytest.raises((DatabaseError, InterfaceError)):
            drain()
        start_anew()
        people.finish()

    assert people.differences(service) == []
    assert len(service.snapshot()) == 3


@pytest.mark.failure(64)
def test_a_session_that_ends_before_any_statement_of_a_drain_costs_nobody(service: Service, ask: Ask) -> None:
    ended = 0
    for turn in range(1, 100):
        sign_up(f"ada{turn}")
        end = AtStatement(turn, ask)
        with connections["default"].execute_wrapper(end):
            try:
                drain()
            except (DatabaseError, InterfaceError):
                ended += 1
        start_anew()
        let_time_pass(1000)
        if end.left > 0:  # a drain has no more statements than that
            break

    people.finish()
    assert ended > 10
    assert people.differences(service) == []


@pytest.mark.failure(64)
@pytest.mark.skipif(VENDOR != "postgresql", reason="MariaDB shows user locks to their own session alone")
def test_a_drain_takes_no_session_lock_and_sends_outside_any_transaction(service: Service, ask: Ask) -> None:
    sign_up()
    session = session_of(connections["default"])
    seen: list[tuple[str, int]] = []

    def look() -> None:
        ((state,),) = ask("SELECT state FROM pg_stat_activity WHERE pid = %s", session)
        ((locks,),) = ask(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        seen.append((state, locks))

    with connection.through(Watched(service, moment="before", what=look)):
        drain()

    assert seen == [("idle", 0)]
