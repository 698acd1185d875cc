"""The nemesis: it breaks processes, servers and the wire as the plan says, and writes down what it did."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import redis
import requests

from tests.chaos.plan import Phase, Plan, Strike
from tests.chaos.stack import Stack

_AT_ONCE = 12


class Nemesis:
    """Strike as the plan says."""

    def __init__(self, plan: Plan, stack: Stack, folder: Path) -> None:
        self.plan, self.stack = plan, stack
        self._file = (folder / "faults.jsonl").open("a")
        self._lock = Lock()
        self._doomed: set[int] = set()

    def dooms(self, web: int) -> bool:
        """Say whether the next sign-up at this web is to end it after the commit."""
        with self._lock:
            if web not in self._doomed:
                return False
            self._doomed.remove(web)
        self.stack.expect_end(f"web{web}")
        self._note("kill_web", began=time.time())
        return True

    @contextmanager
    def striking(self, *, started: float) -> Iterator[None]:
        """Strike until the plan ends and put everything right; the block begins then."""
        events: list[Strike | Phase] = sorted(
            [*self.plan.strikes, *self.plan.phases], key=lambda event: event.at
        )
        # One thread hits the servers, because a frozen one cannot be started again; and it lives as long as
        # the run, because a process that is tied to its starter is tied to the thread.
        with ThreadPoolExecutor(_AT_ONCE) as others, ThreadPoolExecutor(1) as servers:
            blows = []
            for event in events:
                time.sleep(max(started + event.at - time.monotonic(), 0))
                if isinstance(event, Phase):
                    self._switch(event)
                else:
                    pool = servers if event.kind.endswith(("redis", "postgresql")) else others
                    blows.append(pool.submit(self._strike, event))
            time.sleep(max(started + self.plan.seconds - time.monotonic(), 0))
            for blow in blows:
                blow.result()
            requests.delete(self._switches, timeout=30).raise_for_status()
            self._file.close()
            yield

    @property
    def _switches(self) -> str:
        return f"{self.stack.service['url']}/_sandbox/faults"

    def _switch(self, phase: Phase) -> None:
        requests.delete(self._switches, timeout=30).raise_for_status()
        for fault in phase.faults:
            requests.post(self._switches, json=fault, timeout=30).raise_for_status()

    def _strike(self, strike: Strike) -> None:
        began = time.time()
        if strike.kind == "kill_web":
            with self._lock:
                self._doomed.add(int(strike.rank * 2))
            return
        if self._blow(strike):
            self._note(strike.kind, began=began)

    def _blow(self, strike: Strike) -> bool:
        """Strike, and say whether it hit anything: what is just being started again is not there."""
        verb, _, whom = strike.kind.partition("_")
        number = int(strike.rank * 2)
        if whom in {"redis", "postgresql"}:
            self._hit_server(verb, whom, strike.seconds)
            return True
        name = {"child": f"worker{number}", "worker": f"worker{number}", "web": f"web{number}"}.get(
            whom, whom
        )
        child = strike.rank * 2 % 1 if whom == "child" else None
        if verb == "kill":
            return self.stack.kill(name, child=child)
        with self.stack.frozen(name, child=child) as hit:
            time.sleep(strike.seconds)
        return hit

    def _hit_server(self, verb: str, whom: str, seconds: float) -> None:
        if verb == "flush":
            with suppress(redis.RedisError), redis.Redis.from_url(self.stack.broker) as client:
                client.flushall()
            return
        server = self.stack.redis if whom == "redis" else self.stack.postgresql
        if verb == "kill":
            server.kill()
            time.sleep(seconds)
            server.start()
        else:
            with server.frozen():
                time.sleep(seconds)

    def _note(self, kind: str, *, began: float) -> None:
        line = {"at": began, "ended": time.time(), "kind": kind, "process": True}
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
