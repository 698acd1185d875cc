"""The stack of a run: two webs, two workers, a beat, the service, PostgreSQL and Redis, each started again
when it ends, as a supervisor does.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, RLock, Thread

import psycopg

from project.demo.processes import Process, Processes
from tests.chaos import servers
from tests.chaos.plan import Plan

ROOT = Path(__file__).resolve().parent.parent.parent
_QUIET = ("--without-gossip", "--without-mingle")
_LOOK = 0.25
_RESTART_AFTER = 0.5


@dataclass(frozen=True, kw_only=True)
class Design:
    """Describe one app under test: the site's settings with it, the module through which the site uses it,
    and what prepares it when the tables are there.
    """

    name: str
    settings: str
    module: str
    prepare: tuple[str, ...] = ()


OURS = Design(
    name="kohort_sync",
    settings="tests.chaos.site.settings",
    module="tests.chaos.site.ours",
    prepare=("manage.py", "kohort_sync", "backfill"),
)
USUAL = Design(
    name="usual",
    settings="tests.chaos.site.usual_settings",
    module="tests.chaos.site.theirs",
)
DESIGNS = {design.name: design for design in (OURS, USUAL)}


@dataclass(kw_only=True)
class Slot:
    """Hold the place of one process that is started again when it ends."""

    name: str
    arguments: tuple[str, ...]
    ready: str
    process: Process | None = None
    starts: int = 0
    ended_at: float = 0.0
    planned: bool = True
    unplanned_ends: int = field(default=0)


class Stack:
    """Hold everything that runs. `folder` gets the logs."""

    def __init__(self, plan: Plan, design: Design, folder: Path) -> None:
        self.plan, self.design, self.folder = plan, design, folder
        self.processes = Processes(logs=folder / "logs", directory=ROOT)
        self._lock = RLock()
        self._ended = Event()
        self.web_ports = (servers.free_port(), servers.free_port())
        celery = ("-m", "celery", "-A", "project")
        worker = (
            *celery,
            "worker",
            "-P",
            "prefork",
            "-c",
            "2",
            "--loglevel",
            "INFO",
            "--without-gossip",
            "--without-mingle",
            "-n",
        )
        self.slots = {
            **{
                f"web{number}": Slot(
                    name=f"web{number}",
                    arguments=("manage.py", "runserver", "--noreload", "--skip-checks", f"127.0.0.1:{port}"),
                    ready="development server",
                )
                for number, port in enumerate(self.web_ports)
            },
            **{
                f"worker{number}": Slot(
                    name=f"worker{number}", arguments=(*worker, f"w{number}-{os.getpid()}@%h"), ready="ready"
                )
                for number in range(2)
            },
            "beat": Slot(
                name="beat", arguments=(*celery, "beat", "--loglevel", "INFO"), ready="beat: Starting"
            ),
        }

    @property
    def unplanned_ends(self) -> dict[str, int]:
        """Count the processes that ended without being killed by the nemesis."""
        return {name: slot.unplanned_ends for name, slot in self.slots.items() if slot.unplanned_ends}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it all, and end it all."""
        with ExitStack() as ending:
            self.postgresql, self.database = ending.enter_context(
                servers.postgresql(self.folder / "postgresql")
            )
            self.redis, self.broker = ending.enter_context(servers.redis_server(self.folder / "redis"))
            ending.callback(self.processes.end)
            ending.callback(self.thaw)
            self._start()
            supervisor = Thread(target=self._supervise, name="supervisor", daemon=True)
            ending.callback(supervisor.join)
            ending.callback(self._ended.set)
            supervisor.start()
            yield

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment of the site's processes."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("KOHORT_")},
            "DJANGO_SETTINGS_MODULE": self.design.settings,
            "CHAOS_DESIGN": self.design.module,
            "SECRET_KEY": f"chaos-{self.plan.seed}",
            "PROJECT_STATE_DIR": str(self.folder),
            "DATABASE_URL": self.database,
            "CELERY_BROKER_URL": self.broker,
            "CELERY_TASK_DEFAULT_QUEUE": "celery",
            "KOHORT_SWEEP": str(self.plan.sweep),
            "KOHORT_DEADLINE": str(self.plan.deadline),
            "KOHORT_API_KEY": self.service["key"],
            "KOHORT_BASE_URL": self.service["url"],
        }

    def run(self, name: str, *arguments: str) -> str:
        """Run one command of the site to its end; return what it printed."""
        return self.processes.run(name, *arguments, environment=self.environment, seconds=120)

    def kill(self, name: str, *, child: float | None = None) -> bool:
        """Kill a process and all that descend from it, or one child of it; it is started again.

        Say whether there was any.
        """
        with self._lock:
            pids = self._pids(name, child=child)
            self.slots[name].planned |= bool(pids) and child is None
            servers.signal_all(pids, signal.SIGKILL)
            return bool(pids)

    def expect_end(self, name: str) -> None:
        """Note that this process is about to end because of the nemesis."""
        self.slots[name].planned = True

    @contextmanager
    def frozen(self, name: str, *, child: float | None = None) -> Iterator[bool]:
        """Freeze a process and its children, or one child, for the block; say whether there was any."""
        pids = self._pids(name, child=child)
        with servers.frozen(pids):
            yield bool(pids)

    def _pids(self, name: str, *, child: float | None) -> list[int]:
        """Return a process and all that descend from it, or one child of it, as far as they are there."""
        process = self.slots[name].process
        if process is None or process.popen.poll() is not None:
            return []
        pids = servers.family(process.popen.pid)
        if child is None:
            return pids
        return [pids[1 + int(child * (len(pids) - 1))]] if pids[1:] else []

    def thaw(self) -> None:
        """Let everything go on that may be frozen still, so that it can be ended."""
        for slot in self.slots.values():
            if slot.process is not None and slot.process.popen.poll() is None:
                servers.signal_all(servers.family(slot.process.popen.pid), signal.SIGCONT)

    def settled(self) -> bool:
        """Say whether nothing is left to do, as far as the design's own tables tell."""
        with suppress(psycopg.Error), psycopg.connect(self.database, connect_timeout=2) as connection:
            return all(
                connection.execute(query).fetchone() == (0,) for query in _OPEN_QUESTIONS[self.design.name]
            )
        return False

    def _start(self) -> None:
        log, seed = str(self.folder / "service.jsonl"), str(self.plan.seed)
        service = self.processes.start(
            "service", "-m", "tests.chaos.service", log, seed, environment=dict(os.environ)
        )
        self.service: dict[str, str] = json.loads(self.processes.wait_for(service, r"\{.*\}").group())
        self.run("migrate", "manage.py", "migrate", "--no-input", "--run-syncdb", "--skip-checks")
        if self.design.prepare:
            self.run("prepare", *self.design.prepare)
        for slot in self.slots.values():
            self._begin(slot)
        for slot in self.slots.values():
            if slot.process is not None:
                self.processes.wait_for(slot.process, slot.ready)

    def _begin(self, slot: Slot) -> None:
        slot.starts += 1
        slot.planned = False
        slot.process = self.processes.start(
            f"{slot.name}-{slot.starts}", *slot.arguments, environment=self.environment
        )

    def _supervise(self) -> None:
        while not self._ended.wait(_LOOK):
            with self._lock:
                for slot in self.slots.values():
                    self._look_at(slot)

    def _look_at(self, slot: Slot) -> None:
        process = slot.process
        if process is not None and process.popen.poll() is not None:
            slot.unplanned_ends += not slot.planned
            slot.ended_at, slot.process = time.monotonic(), None
            self.processes.running.remove(process)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.popen.pid, signal.SIGKILL)
        elif process is None and time.monotonic() - slot.ended_at > _RESTART_AFTER:
            self._begin(slot)


_OPEN_QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "kohort_sync": (
        """SELECT count(*) FROM accounts_user u
           WHERE NOT EXISTS (SELECT FROM kohort_sync_customerlink l WHERE l.user_id = u.id)""",
        """SELECT count(*) FROM kohort_sync_customerlink
           WHERE state IN ('pending', 'uncertain', 'erasing') OR lease_token <> ''
              OR (state IN ('linked', 'skipped') AND next_attempt_at IS NOT NULL)""",
    ),
    "usual": (
        """SELECT count(*) FROM accounts_user u WHERE NOT EXISTS
           (SELECT FROM usual_remotecustomer r WHERE r.user_id = u.id AND r.kohort_id IS NOT NULL)""",
    ),
}


def when_settled(stack: Stack, *, most: float, pause: Callable[[float], None] = time.sleep) -> bool:
    """Wait until nothing is left to do, twice in a row; False where it takes longer than `most` seconds."""
    ends = time.monotonic() + most
    in_a_row = 0
    while time.monotonic() < ends:
        in_a_row = in_a_row + 1 if stack.settled() else 0
        if in_a_row == 2:
            return True
        pause(2.0)
    return False
