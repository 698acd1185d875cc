"""A site of real processes: doors where people sign up, workers, a beat, and KohortPay's sandbox behind."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service
from project.demo import stack, tied
from project.demo.processes import Process, Processes
from project.demo.stack import KohortPay, Plan

_CELERY = ("-m", "celery", "-A", "project")
_ANSWERS_WITHIN = 30.0
_POLL = 0.05


class Door:
    """Ask one process of the site to sign people up. See `tests/broker/door.py`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, tied.__file__, str(os.getpid()), sys.executable, "-m", "tests.broker.door"],
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.names: list[str] = []

    def sign_up(self, name: str, *, before: str | None = None) -> dict[str, Any]:
        """Sign somebody up; return the seconds that it took and what it raised."""
        self.names.append(name)
        return self._ask(do="sign_up", name=name, before=before)

    def seconds_of(self, name: str) -> float:
        """Sign somebody up; return the seconds that it took."""
        return float(self.sign_up(name)["seconds"])

    def rename(self, name: str, first_name: str) -> None:
        """Change somebody's first name."""
        self._ask(do="rename", name=name, first_name=first_name)

    def links(self) -> dict[str, str]:
        """Tell the state of everybody's link."""
        return self._ask(do="links")

    def wait(self) -> None:
        """Wait until it is ready to be asked."""
        assert self._answer() == {"ready": True}

    def close(self) -> None:
        """End it."""
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(question) + "\n")
        self.popen.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.popen.stdout is not None
        ready, _, _ = select.select([self.popen.stdout], [], [], _ANSWERS_WITHIN)
        assert ready, "The door does not answer."
        line = self.popen.stdout.readline()
        if not line:
            # It was killed, as the test wanted it.
            return {}
        answer: dict[str, Any] = json.loads(line)
        return answer


class Site:
    """Start the processes of one site, and judge where everybody arrived."""

    def __init__(self, service: Service, processes: Processes, environment: dict[str, str]) -> None:
        self.service, self.processes, self.environment = service, processes, environment
        self.doors: list[Door] = []
        self.workers: list[Process] = []

    def door(self) -> Door:
        """Open a door; it is ready when this returns."""
        door = Door(self.environment)
        self.doors.append(door)
        door.wait()
        return door

    def worker(self, *, pool: str = "prefork", concurrency: int = 1) -> Process:
        """Start a worker, as `celery worker` with nothing set but the pool and its size."""
        worker = self._start(f"worker-{len(self.workers) + 1}", pool=pool, concurrency=concurrency)
        self.workers.append(worker)
        return worker

    def _start(self, name: str, *, pool: str = "prefork", concurrency: int = 1) -> Process:
        return self.processes.start(
            name, *_CELERY, "worker", "-P", pool, "-c", str(concurrency), "--loglevel", "INFO",
            "-n", f"{name}-{os.getpid()}@%h", "--without-gossip", "--without-mingle",
            environment=self.environment,
        )  # fmt: skip

    def has_ended(self, worker: Process) -> None:
        """Wait for the end of a worker that was killed or asked to end, and expect it no more."""
        worker.popen.wait(timeout=20)
        self.processes.running.remove(worker)

    def beat(self) -> Process:
        """Start a beat."""
        return self.processes.start(
            "beat", *_CELERY, "beat", "--loglevel", "INFO", environment=self.environment
        )

    def wait_for(self, *workers: Process) -> None:
        """Wait until these workers fetch messages."""
        for worker in workers:
            self.processes.wait_for(worker, r"@\S+ ready\.", seconds=20)

    def wait_until_linked(self, door: Door, *, seconds: float = 20.0) -> None:
        """Wait until everybody who signed up is linked, and everything that was started still runs."""

        def linked() -> bool:
            self._start_again()
            return set(door.links().values()) == {"linked"}

        wait_until(linked, seconds=seconds, otherwise=door.links)
        self.processes.check()

    def _start_again(self) -> None:
        """Do a supervisor's part: a worker that loses its Redis with a message in hand may end (Kombu)."""
        for at, worker in enumerate(self.workers):
            if worker not in self.processes.running:
                continue  # the test ended it
            if worker.popen.poll() is not None and "Connection to broker lost" in worker.says():
                self.processes.running.remove(worker)
                self.workers[at] = self._start(f"{worker.name}-again")

    def wait_until_at_rest(self) -> None:
        """Wait until no worker drains."""

        def at_rest() -> bool:
            told = "".join(worker.says() for worker in self.workers)
            begun, ended = (
                len(re.findall(rf"v1\.drain\S+ {word}", told)) for word in ("received", "succeeded")
            )
            return begun == ended > 0

        wait_until(at_rest, seconds=20, otherwise=lambda: [worker.tail() for worker in self.workers])

    def creates(self) -> Counter[str]:
        """Count, by reference, the requests to create a customer that the service worked on."""
        creates = [one for one in list(self.service.log) if one.method == "POST" and one.reference]
        # A fault that left nothing behind came before the work.
        return Counter(str(one.reference) for one in creates if one.customer_id or not one.fault)

    def customers(self) -> Counter[str]:
        """Count the customers at KohortPay by e-mail address."""
        return Counter(str(row["email_address"]) for row in self.service.snapshot())

    def close(self) -> None:
        """End everything at once: what the test is about has happened."""
        for door in self.doors:
            door.close()
        for process in self.processes.running:
            with suppress(ProcessLookupError):
                os.killpg(process.popen.pid, signal.SIGKILL)
        self.processes.end()


@contextmanager
def stop(process: Process) -> Iterator[None]:
    """Let a process and its children do nothing for the block."""
    os.killpg(process.popen.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.popen.pid, signal.SIGCONT)


def wait_until(true: Callable[[], bool], *, seconds: float, otherwise: Callable[[], object]) -> None:
    """Wait until something is true; fail with what `otherwise` tells."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, otherwise()
        time.sleep(_POLL)


@contextmanager
def site(
    folder: Path,
    *,
    broker: str,
    migrated: Path | None = None,
    database: str = "",
    queue: str = "",
    sweep: float = 1.0,
    deadline: float = 1.0,
) -> Iterator[Site]:
    """Give a site without any process yet: on a copy of `migrated`, or on a database that is migrated now."""
    with ExitStack() as cleanup:
        service = Service(seed=1)
        sandbox = cleanup.enter_context(SandboxServer(service))
        plan = Plan(
            state=folder, database=database, broker=broker, queue=queue, sweep=sweep, deadline=deadline
        )
        environment = stack.environment(plan, KohortPay(url=sandbox.url, key=DEFAULT_TEST_KEY))
        made = Site(service, Processes(logs=folder / "logs", directory=Path(settings.BASE_DIR)), environment)
        cleanup.callback(made.close)
        if migrated is not None:
            shutil.copy(migrated, folder / "db.sqlite3")
        else:
            made.processes.run("migrate", "manage.py", "migrate", "--no-input", environment=environment)
        yield made


def everybody_is_linked_once(site: Site, door: Door) -> None:
    """Assert by the site's tables and by KohortPay's: a link and one customer for each, and no other."""
    assert door.links() == dict.fromkeys(door.links(), "linked")
    assert site.customers() == Counter(f"{name}@example.com" for name in door.links())
