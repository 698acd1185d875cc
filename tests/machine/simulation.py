"""A simulated world around the real engine: its clock, the places where something may happen, its wire.

Everything runs in one thread, so that a run can be repeated; what two workers do side by side is one worker
who passes a place of the engine while the other one works there.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from unittest import mock

from django.test import override_settings

from kohort_sync import conf, connection, delivery, drainer, gate, links, mirror, retention, sweep
from kohort_sync.client import errors, sockets
from kohort_sync.client.customers import Customers
from kohort_sync.drainer import draining, throttle, turn
from kohort_sync.links import claiming
from kohort_sync.models import Account, Customer, CustomerLink, SyncAttempt, SyncRun
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.service import Service
from kohort_sync.testing.wire import Request, Response
from tests.engine.people import User, let_time_pass

CANARY = "qz"
"""Part of every name and address here, so that what is left of a person is found in any column."""

CALLS = ("create", "update", "block", "unblock", "delete", "get", "find", "find_by_email")
_SEAMS: tuple[tuple[str, Any, str], ...] = (
    *((name, Customers, name) for name in CALLS),
    ("claim", links, "claim"),
    ("reading", turn, "_users"),
    ("intend", links, "intend"),
    ("noting", claiming, "write"),
    ("conclude", delivery, "conclude"),
    ("settling", turn.Turn, "_settle"),
    ("mirroring", mirror, "write"),
    ("writing", links, "settle"),
    ("reporting", links, "report_late"),
    ("freeing", links, "try_addresses_again"),
    ("leaving", gate, "give_drainer_lease_back"),
    ("forgetting", sweep, "forget_gone"),
    ("recording", links, "record_stored"),
    ("comparing", sweep, "compare_slice"),
    ("choosing", sweep, "verify_oldest"),
    ("pruning", retention, "prune"),
)
PLACES = tuple(f"{when} {label}" for label, _, _ in _SEAMS for when in ("before", "after"))
IN_A_TRANSACTION = tuple(
    f"{when} {label}"
    for label in ("noting", "mirroring", "writing", "recording")
    for when in ("before", "after")
)
"""Who is killed here leaves nothing written; and no other drain can begin in the same connection."""
IN_THE_SERVICE = "in the service"
"""Between the service's check of a reference and its insert: the client has given up long ago."""


class Killed(BaseException):
    """Stand for a killed process: nothing of the engine's catches it, and nothing cleans up after it."""


class Clock:
    """Stand for the module `time` in the engine: it goes on by itself, and when somebody lets time pass."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.let_pass(seconds)

    def let_pass(self, seconds: float) -> None:
        self.ahead += seconds
        let_time_pass(seconds)


@dataclass
class Ledger:
    """Keep the book of creates, as somebody would who sees every request: what was sent too early?"""

    clock: Clock
    begun: dict[str, float] = field(default_factory=dict)
    """When the last create of a reference was sent whose outcome nobody knows."""
    looked_up: set[str] = field(default_factory=set)
    """Those of them that were looked up since, without a find."""
    refused: set[str] = field(default_factory=set)
    """Those whose create was refused, and not looked up since."""
    posts: int = 0
    wrongs: list[str] = field(default_factory=list)

    def creates(self, reference: str) -> float | None:
        self.posts += 1
        before = self.begun.get(reference)
        now = self.clock.monotonic()
        if before is not None:
            if reference not in self.looked_up:
                self.wrongs.append(f"{reference} was created again without a look-up")
            if now - before < conf.settle_window():
                self.wrongs.append(f"{reference} was created again {now - before:.0f} s after an open create")
        self.begun[reference] = now
        self.looked_up.discard(reference)
        return before

    def created(self, reference: str, error: errors.KohortError | None, *, before: float | None) -> None:
        if error is not None and error.may_have_arrived:
            return
        if isinstance(error, errors.Definitive):
            self.refused.add(reference)
        self.forget(reference)
        if isinstance(error, errors.Unsent | errors.Refused) and before is not None:
            self.begun[reference] = before

    def found(self, reference: str, number: int) -> None:
        self.refused.discard(reference)
        if number:
            self.forget(reference)
        else:
            self.looked_up.add(reference)

    def forget(self, reference: str) -> None:
        """Do so, too, where a person decided that a new customer is created."""
        self.begun.pop(reference, None)
        self.looked_up.discard(reference)


class _AtOnce:
    """Stand for the pool of threads: each request is made when it is handed in."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], *args: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args))
        except Exception as failure:  # noqa: BLE001 - it is raised again where the result is asked for
            future.set_exception(failure)
        return future


class _Wire(ServiceAdapter):
    """Carry requests without a thread; a service that takes longer than the client waits still does it."""

    def _ask(self, request: Request, patience: float | None) -> Response | None:
        del patience
        call = sockets.current.call
        try:
            return self._service.handle(request)
        finally:
            # What another worker sent meanwhile was sent in this thread, too.
            sockets.current.call = call


class _Faults(logging.Handler):
    """Collect what the engine reports as a fault of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


class Simulation:
    """Hold one world: a service, a clock, and what is to happen at the next passage of a place."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock)
        self.service = Service(seed=1, sleep=lambda _seconds: self._pass_by(IN_THE_SERVICE))
        self.planned: dict[str, Callable[[], None]] = {}
        self.passed: set[str] = set()
        self.is_killed = False
        self._faults = _Faults()

    @property
    def faults_of_the_engine(self) -> list[str]:
        return self._faults.told

    def kill(self) -> None:
        """End the process that passes by, without any farewell."""
        self.is_killed = True
        raise Killed

    def drain(self) -> bool:
        """Drain as a worker does; say whether the worker lived."""
        return self.survives(lambda: drainer.drain("default", budget=5.0, linger=0))

    def sweep(self) -> bool:
        return self.survives(lambda: sweep.sweep("default"))

    def survives(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except Killed:
            self.is_killed = False
            return False
        return True

    def another_drains(self) -> None:
        """Let another worker drain at the place where one is just now; that one lives on, or does not."""
        self.drain()

    def posts(self) -> int:
        return self.ledger.posts

    def living(self) -> list[dict[str, Any]]:
        return [row for row in self.service.snapshot() if row["deleted_at"] is None]

    def doubled(self) -> list[str]:
        """Return the references that more than one living customer bears."""
        references = [row["client_reference_id"] for row in self.living() if row["client_reference_id"]]
        return sorted({reference for reference in references if references.count(reference) > 1})

    def close(self) -> None:
        self._stack.close()

    def open(self, **kohort_sync: Any) -> Self:
        """Empty the tables, and put the engine into this world until `close`."""
        empty_tables()
        with ExitStack() as stack:
            settings = dict(conf.raw()) | {"NUDGE": False, "MAX_CONCURRENCY": 1} | kohort_sync
            stack.enter_context(override_settings(KOHORT_SYNC=settings))
            stack.enter_context(connection.through(_Wire(self.service)))
            stack.enter_context(mock.patch.object(draining, "ThreadPoolExecutor", _AtOnce))
            for module in (draining, throttle, turn, claiming):
                stack.enter_context(mock.patch.object(module, "time", self.clock))
            for label, owner, name in _SEAMS:
                watched = self._watched(label, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, watched))
            logger = logging.getLogger("kohort_sync")
            logger.addHandler(self._faults)
            stack.callback(logger.removeHandler, self._faults)
            self._stack = stack.pop_all()
        return self

    def _pass_by(self, place: str) -> None:
        self.passed.add(place)
        self.planned.pop(place, _nothing)()

    def _watched(self, label: str, original: Callable[..., Any]) -> Callable[..., Any]:
        booked = {"create": self._create, "find": self._find}.get(label, _unbooked)

        def passing(*args: Any, **kwargs: Any) -> Any:
            if label == "leaving" and self.is_killed:
                return None  # who is killed gives nothing back
            return booked(lambda: self._between(label, lambda: original(*args, **kwargs)), kwargs)

        return passing

    def _between(self, label: str, work: Callable[[], Any]) -> Any:
        self._pass_by(f"before {label}")
        try:
            return work()
        finally:
            if not self.is_killed:
                self._pass_by(f"after {label}")

    def _create(self, work: Callable[[], Any], asked: dict[str, Any]) -> Any:
        before = self.ledger.creates(asked["reference"])
        try:
            answer = work()
        except errors.KohortError as error:
            self.ledger.created(asked["reference"], error, before=before)
            raise
        self.ledger.created(asked["reference"], None, before=before)
        return answer

    def _find(self, work: Callable[[], Any], asked: dict[str, Any]) -> Any:
        found = work()
        self.ledger.found(asked["reference"], len(found))
        return found


@contextmanager
def simulated(**kohort_sync: Any) -> Iterator[Simulation]:
    """Give a world for the length of the block."""
    simulation = Simulation().open(**kohort_sync)
    try:
        yield simulation
    finally:
        simulation.close()


def empty_tables() -> None:
    """Remove every row that a test here can have made: a hundredth of the time that a flush takes."""
    for model in (SyncAttempt, SyncRun, CustomerLink, Customer, Account, User):
        model._base_manager.all()._raw_delete("default")


def traces(rows: Iterable[Any]) -> list[str]:
    """Name the columns of these rows that tell something about a person."""
    return [
        f"{type(row).__name__}.{column.name}"
        for row in rows
        for column in row._meta.concrete_fields
        if CANARY in str(getattr(row, column.attname)).lower()
    ]


def _unbooked(work: Callable[[], Any], _asked: dict[str, Any]) -> Any:
    return work()


def _nothing() -> None:
    pass
