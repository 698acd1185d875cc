"""Send through a pace to a server, on a clock that jumps from one event to the next."""

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from kohort_sync.pacing import Outcome, Pace, Ticket
from tests.pace.services import Server

CLOSED_FOR = 1.1
"""Seconds for which a 429 closes the gate, in the middle."""


@dataclass
class Run:
    """Keep what a simulated minute has shown."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    accepted_at: list[float] = field(default_factory=list)
    began_at: list[float] = field(default_factory=list)
    most_under_way: int = 0

    def accepted_between(self, start: float, end: float) -> float:
        """Return how many were accepted in a second."""
        return sum(start <= at < end for at in self.accepted_at) / (end - start)


class Sending:
    """Send without end: there is always more to do than the pace lets through."""

    def __init__(self, pace: Any, server: Server, *, asks: float | None = None) -> None:
        self.pace, self.server, self.asks = pace, server, asks
        self.now = 0.0
        self._ends: list[tuple[float, int, Any, float, Outcome]] = []
        self._order = count()
        self._closed_until = 0.0

    def run(self, seconds: float) -> Run:
        """Go on for so many seconds."""
        seen = Run()
        until = self.now + seconds
        while self.now < until:
            pause = self._begin_all(seen)
            following = [self._ends[0][0]] if self._ends else []
            if pause is not None:
                following.append(self.now + max(pause, 1e-6))
            self.now = min(following)
            while self._ends and self._ends[0][0] <= self.now:
                self._end(seen)
        return seen

    def _begin_all(self, seen: Run) -> float | None:
        while True:
            if self.now < self._closed_until:
                return self._closed_until - self.now
            pause = self.pace.pause(self.now)
            if pause != 0:
                return pause  # type: ignore[no-any-return]
            ticket = self.pace.begin(self.now)
            latency, outcome = self.server(self.now, len(self._ends))
            heapq.heappush(self._ends, (self.now + latency, next(self._order), ticket, latency, outcome))
            seen.began_at.append(self.now)
            seen.most_under_way = max(seen.most_under_way, len(self._ends))

    def _end(self, seen: Run) -> None:
        _, _, ticket, latency, outcome = heapq.heappop(self._ends)
        self.pace.end(ticket, outcome, latency=latency, now=self.now)
        seen.outcomes[outcome] += 1
        if outcome is Outcome.ACCEPTED:
            seen.accepted_at.append(self.now)
        elif outcome is Outcome.REFUSED:
            self._closed_until = max(self._closed_until, self.now + max(CLOSED_FOR, self.asks or 0.0))


class Importing:
    """Send an import as the drainer does: a second of the pace in each batch, and two under way at once."""

    def __init__(self, pace: Pace, server: Server) -> None:
        self.pace, self.server = pace, server

    def run(self, seconds: float) -> list[float]:
        """Return how long each batch took: so long waits whoever signs up when it has just begun."""
        now, took = 0.0, []
        ends: list[tuple[float, int, _Request]] = []
        batches: deque[_Batch] = deque()
        order = count()
        while now < seconds:
            while batches and not batches[0].unanswered:
                took.append(now - batches.popleft().began)
            while len(batches) < 2:
                rows = self.pace.rows
                batches.append(_Batch(began=now, unsent=rows, unanswered=rows))
            pause: float | None = None
            while batch := next((batch for batch in batches if batch.unsent), None):
                pause = self.pace.pause(now)
                if pause != 0:
                    break
                batch.unsent -= 1
                latency, outcome = self.server(now, len(ends))
                request = _Request(batch, self.pace.begin(now), latency, outcome)
                heapq.heappush(ends, (now + latency, next(order), request))
            now = min([end for end, _, _ in ends[:1]] + ([now + pause] if pause else []))
            while ends and ends[0][0] <= now:
                _, _, request = heapq.heappop(ends)
                self.pace.end(request.ticket, request.outcome, latency=request.latency, now=now)
                request.batch.unanswered -= 1
        return took


@dataclass
class _Batch:
    began: float
    unsent: int
    unanswered: int


@dataclass
class _Request:
    batch: _Batch
    ticket: Ticket
    latency: float
    outcome: Outcome


class Fixed(Pace):
    """Learn nothing."""

    def end(self, ticket: Any, outcome: Outcome | None, *, latency: float, now: float) -> None:
        del ticket, outcome, latency, now
        self._under_way -= 1


def best_fixed(make: Any, *, most: int, seconds: float = 20.0) -> float:
    """Return the throughput of the best concurrency of all, found by trying each."""
    best = 0.0
    for concurrency in sorted({*range(1, 13), 16, 20, 24, 32, 40, 48, 56, 64} & {*range(1, most + 1)}):
        pace = Fixed({"concurrency": concurrency}, most=most)
        best = max(best, Sending(pace, make()).run(seconds).accepted_between(0, seconds))
    return best
