"""The stage: servers of the run's own, and processes of the site on them."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import psycopg

from project.demo.processes import Process, Processes
from tests.bench.simulator import Stats
from tests.chaos import servers

ROOT = Path(__file__).resolve().parent.parent.parent
_PATIENCE = 1800.0
_A_FIFTH = 0.2


class Void(Exception):
    """Say that a run measured the simulator, and not what it was to measure."""


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """Hold a simulated service that runs."""

    url: str

    def stats(self) -> Stats:
        """Ask it what it saw."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as response:
            told: Stats = json.load(response)
            return told


@contextmanager
def simulator(service: str, *, customers: int = 0) -> Iterator[Simulator]:
    """Run a simulated service for the block, with so many customers of others."""
    command = [sys.executable, "-m", "tests.bench.simulator", service, "--customers", str(customers)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Simulator(url=f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()


def load(before: Stats, after: Stats) -> float:
    """Return how much of a core the simulator used. Raises Void where that is over a fifth."""
    used = (after["cpu"] - before["cpu"]) / (after["clock"] - before["clock"])
    if used > _A_FIFTH:
        raise Void(f"The simulator used {used:.0%} of a core: the run is void.")
    return used


class Stage:
    """Hold the servers. `folder` gets what they write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = Processes(logs=folder / "logs", directory=ROOT)
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            postgresql, self.server = cleanup.enter_context(servers.postgresql(self.folder / "postgresql"))
            _, self.redis = cleanup.enter_context(servers.redis_server(self.folder / "redis"))
            cleanup.callback(self.processes.end)
            self.database_pid = postgresql.pid
            self.database("first")
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def database(self, name: str) -> str:
        """Make a database with the site's tables; return its address."""
        self.sql(f"CREATE DATABASE {name}" + ("" if name == "first" else " TEMPLATE first"))
        address = self.address(name)
        if name == "first":
            self.act("migrate", DATABASE_URL=address)
        return address

    def address(self, name: str) -> str:
        """Return the address of a database."""
        return f"{self.server.rpartition('/')[0]}/{name}"

    def drop(self, name: str) -> None:
        """Remove a database."""
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a process of the site is started with."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return inherited | {
            "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
            "DATABASE_URL": self.address("first"),
            "CELERY_BROKER_URL": self.redis,
            "PROJECT_STATE_DIR": str(self.folder),
            "BENCH_DATABASE_PID": str(self.database_pid),
            **more,
        }

    def act(self, what: str, *values: object, named: Any = MappingProxyType({}), **environment: str) -> Any:
        """Let a process of its own do one thing of `tests.bench.acts`; return what it tells."""
        arguments = [json.dumps(value) for value in values]
        arguments += [f"{name}={json.dumps(value)}" for name, value in named.items()]
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.acts", what, *arguments],
            cwd=ROOT,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{what} {' '.join(arguments)[:200]} failed:\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def worker(self, *, pool: int, queue: str, **environment: str) -> Iterator[Process]:
        """Run a Celery worker of the site for the block."""
        command = ("-m", "celery", "-A", "project", "worker", "-P", "prefork", "-c", str(pool), "-Q", queue)
        quiet = ("--loglevel", "INFO", "--without-gossip", "--without-mingle")
        worker = self.processes.start(
            f"worker-{queue}", *command, *quiet, environment=self.environment(**environment)
        )
        try:
            self.processes.wait_for(worker, r"@\S+ ready\.")
            yield worker
        finally:
            self.processes.end()

    def sql(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement; return its rows."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """Take everybody away from the first database, and leave it without a backlog of cleaning."""
        tables = "SELECT tablename FROM pg_tables WHERE tablename ~ '^(kohort_sync|accounts)_'"
        names = [name for (name,) in self.sql(tables, database="first")]
        self.sql(f"TRUNCATE {', '.join(names)} CASCADE", database="first")
        self.sql("CHECKPOINT")
