"""The pace: how many requests are under way at once and begin in a second, learned from the answers.

Pure: it is told what happened and when, and asks no clock. Seconds and requests throughout.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

MOST_ROWS = 500
"""Rows of a batch at most."""

# For an unknown service: as many rows as are soon sent even if it is slow.
_FIRST_ROWS = 5

# A level is judged by this many requests at least, and by so many for each that is under way.
_LEAST_SAMPLES = 16
_SAMPLES_EACH = 3
# Of what more sending could bring at best a seventh has to come of it; what brings a sixteenth is let go.
_WORTH = 0.15
_WORTHLESS = 0.06
_STEP = 1.25
_RESTS = 10.0
_RESTS_AFTER_FAILURES = 60.0

# After a refusal the rate grows by a few per cent in ten seconds of waiting for it. After half a minute of
# that the refusal was no limit that lasts, so it grows ever faster.
_ACCEPTED_FOR = 10
_AFTER_REFUSAL = 0.9
_CREEPS = 1.04
_CREEPS_FOR = 30.0
_FASTER_EVERY = 5.0
_AT_MOST_FASTER = 64.0
_MOST_HELD_BACK = _CREEPS_FOR + _FASTER_EVERY * math.log2(_AT_MOST_FASTER)
_FIRST_RATE = 5.0
_LEAST_RATE = 0.1

_NONSENSE = 1e9

_LATELY = 20
_FAILURES_OF_THEM = 5


class Outcome(Enum):
    """Say what an answer means for the pace."""

    ACCEPTED = auto()
    """Dealt with, whatever it says: the service keeps up."""
    REFUSED = auto()
    """Too many at once, the service says (429)."""
    FAILED = auto()
    """No answer in time, or one that says that the service is not well (5xx)."""


@dataclass(frozen=True)
class Ticket:
    """Remember when a request began, and how many might be under way then."""

    began: float
    level: int


class Pace:
    """Learn the concurrency and the rate that suit a service.

    The concurrency grows while more sending brings more throughput, and shrinks again where less would bring
    as much. There is no limit to the rate until the service sets one.
    """

    def __init__(self, learned: object = None, *, most: int, most_rate: float | None = None) -> None:
        known = learned if isinstance(learned, Mapping) else {}
        self._most = max(1, most)
        self._most_rate = _positive(most_rate)
        self.concurrency = min(max(1, int(_positive(known.get("concurrency")) or 1)), self._most)
        rate = _positive(known.get("rate"))
        self.rate = None if rate is None else max(_LEAST_RATE, rate)
        self._latency = _positive(known.get("latency"))
        self._under_way = 0
        self._full_at = -math.inf
        self._next: float | None = None
        self._cut_at = -math.inf
        self._is_held_back = False
        # A drain ends long before what was refused once is worth another try.
        self._held_back = min(_positive(known.get("held_back")) or 0.0, _MOST_HELD_BACK)
        # What failures took away was not refused: it comes back in seconds.
        self._regains = _positive(known.get("regains"))
        self._began: float | None = None
        self._lately: deque[Outcome] = deque(maxlen=_LATELY)
        self._accepted: deque[list[int]] = deque(maxlen=_ACCEPTED_FOR)
        self._accepted_before = _positive(known.get("accepted"))
        # At first in doubles; a level that was learned before is only tried out step by step.
        self._factor = _STEP if _positive(known.get("concurrency")) else 2.0
        self._tries_less = False
        self._rests_until = -math.inf
        self._now = 0.0
        self._rests_for = 0.0
        self._origin: tuple[int, float] | None = None
        self._measure_anew()
        self._go_on_trying(known.get("trial"), level=known.get("concurrency"))

    def as_json(self) -> dict[str, Any]:
        """Return what was learned, for the next process."""
        return {
            "concurrency": self.concurrency,
            "rate": None if self.rate is None else round(self.rate, 3),
            "latency": None if self._latency is None else round(self._latency, 4),
            "accepted": None if (accepted := self._accepted_rate()) is None else round(accepted, 1),
            "held_back": round(self._held_back, 1),
            "regains": None if self._regains is None else round(self._regains, 3),
            "trial": {
                "origin": self._origin and self._origin[0],
                "throughput": self._origin and round(self._origin[1], 3),
                "doubles": self._factor > _STEP,
                "less": self._tries_less,
                "rests": round(max(0.0, self._rests_until - self._now), 1),
                "skipped": self._skipped,
                "samples": self._samples,
                "sum": round(self._sum, 4),
            },
        }

    def _go_on_trying(self, trial: object, *, level: object) -> None:
        """Go on with a level that was on trial: a drain is too short to judge one where answers take long."""
        if not isinstance(trial, Mapping) or level != self.concurrency:
            return
        origin, throughput = _positive(trial.get("origin")), _positive(trial.get("throughput"))
        if origin is not None and throughput is not None and int(origin) != self.concurrency:
            self._origin = (int(origin), throughput)
        self._factor = 2.0 if trial.get("doubles") is True else _STEP
        self._tries_less = trial.get("less") is True
        self._rests_for = _positive(trial.get("rests")) or 0.0
        self._skipped = int(_positive(trial.get("skipped")) or 0)
        samples, seconds = _positive(trial.get("samples")), _positive(trial.get("sum"))
        if samples is not None and seconds is not None:
            self._samples, self._sum = int(samples), seconds

    @property
    def latency(self) -> float | None:
        """Return how many seconds an answer takes lately; None where nothing is known."""
        return self._latency

    @property
    def rows(self) -> int:
        """Return how many rows keep this pace busy for a second."""
        per_second = [rate for rate in (self.rate, self._most_rate) if rate is not None]
        if self._latency is not None:
            per_second.append(self.concurrency / max(self._latency, 0.001))
        return max(1, min(MOST_ROWS, round(min(per_second, default=_FIRST_ROWS))))

    # What a sender asks and tells

    def pause(self, now: float) -> float | None:
        """Return how long the next request has to wait: 0 where it may begin, None until one has ended."""
        return None if self._under_way >= self.concurrency else self.rest(now)

    def rest(self, now: float) -> float:
        """Return how long the rate makes the next request wait, also one of a sender that has begun."""
        if self._next is None:  # another process may have begun one just now
            self._next = now + self._interval()
        pause = max(0.0, self._next - now)
        self._is_held_back = self._is_held_back or pause > 0
        return pause

    def begin(self, now: float) -> Ticket:
        """Count a request that begins."""
        if self._rests_for:  # of which the process before had this much left
            self._rests_until, self._rests_for = now + self._rests_for, 0.0
        self._spend(now)
        self._under_way += 1
        if self._under_way >= self.concurrency:
            self._full_at = now
        return Ticket(began=now, level=self.concurrency)

    def spend(self, now: float) -> None:
        """Count one more request of a sender that has begun."""
        self._spend(now)

    def end(self, ticket: Ticket, outcome: Outcome | None, *, latency: float, now: float) -> None:
        """Learn from the end of a request; None where it never left."""
        self._under_way -= 1
        self._now = now
        if outcome is None:
            return
        if outcome is Outcome.REFUSED:
            self._refused(ticket, now=now)
            return
        self._lately.append(outcome)
        self._count_accepted(now)  # what failed was not refused either
        if outcome is Outcome.FAILED:
            self._failed(ticket, now=now)
            return
        self._latency = latency if self._latency is None else 0.9 * self._latency + 0.1 * latency
        # One that had company to the full: with fewer beside it, it says nothing about the level.
        if ticket.level == self.concurrency and self._full_at >= ticket.began:
            self._measure(latency, now=now)

    # The rate

    def _spend(self, now: float) -> None:
        if self._is_held_back and self.rate is not None and self._began is not None:
            waited = max(0.0, min(now - self._began, 1 / self.rate))
            self._held_back = min(self._held_back + waited, _MOST_HELD_BACK)
            faster = 2 ** max(0.0, (self._held_back - _CREEPS_FOR) / _FASTER_EVERY)
            if self._regains is not None:
                faster = _AT_MOST_FASTER
            self.rate *= _CREEPS ** (faster * waited / 10)
            if self._regains is not None and self.rate >= self._regains:
                self.rate, self._regains = self._regains, None
        self._is_held_back = False
        self._began = now
        self._next = max(now, self._next or now) + self._interval()

    def _interval(self) -> float:
        """Return the seconds from one beginning to the next."""
        return max((1 / rate for rate in (self.rate, self._most_rate) if rate is not None), default=0.0)

    def _refused(self, ticket: Ticket, *, now: float) -> None:
        if ticket.began <= self._cut_at:
            return  # it began before the service was spared
        accepted = self._accepted_rate() or 0.0
        if self.rate is None:
            # Where little was sent, little was accepted; that says nothing about a lower limit.
            self._cut(max(_FIRST_RATE, _AFTER_REFUSAL * accepted), now=now)
        else:
            # Where answers fail, less is sent than could be: that says nothing about what is refused.
            is_well = Outcome.FAILED not in self._lately
            allowed = min(accepted or self.rate, self.rate) if is_well else self.rate
            self._cut(_AFTER_REFUSAL * allowed, now=now)
        if self._regains is not None:  # less was sent than what was refused last
            self._regains *= _AFTER_REFUSAL

    def _failed(self, ticket: Ticket, *, now: float) -> None:
        if ticket.began <= self._cut_at or self._lately.count(Outcome.FAILED) < _FAILURES_OF_THEM:
            return
        rate = None
        if self.rate is not None:
            rate = max(self.rate / 2, min(self.rate, _FIRST_RATE))
            self._regains = max(self._regains or 0.0, self.rate)
        # A trial is taken back; whoever was not on trial is halved.
        before = None if self._origin is None else self._origin[0]
        is_trial = before is not None and before < self.concurrency
        self.concurrency = before if is_trial and before else max(1, self.concurrency // 2)
        self._lately.clear()
        self._origin = None
        self._factor, self._tries_less = _STEP, False
        self._rests_until = now + _RESTS_AFTER_FAILURES
        self._measure_anew()
        self._cut(rate, now=now)

    def _cut(self, rate: float | None, *, now: float) -> None:
        self._cut_at, self._held_back = now, 0.0
        self.rate = None if rate is None else max(_LEAST_RATE, rate)

    def _count_accepted(self, now: float) -> None:
        second = int(now)
        if not self._accepted or self._accepted[-1][0] != second:
            self._accepted.append([second, 0])
        self._accepted[-1][1] += 1

    def _accepted_rate(self) -> float | None:
        """Return how many were accepted in a second lately, of the seconds in which anything was.

        The first and the present one are parts of a second: where there is nothing else, what was accepted
        before this process counts.
        """
        counts = [count for _, count in self._accepted]
        whole = counts[1:-1]
        if not whole and self._accepted_before is not None:
            return self._accepted_before
        seen = whole or counts
        return sum(seen) / len(seen) if seen else None

    # The concurrency

    def _measure_anew(self) -> None:
        # The first answers of a level still tell of the one before.
        self._skipped, self._samples, self._sum = 0, 0, 0.0

    def _measure(self, latency: float, *, now: float) -> None:
        if self._skipped < self.concurrency:
            self._skipped += 1
            return
        self._samples += 1
        self._sum += latency
        if self._samples >= max(_LEAST_SAMPLES, _SAMPLES_EACH * self.concurrency):
            throughput = self.concurrency * self._samples / max(self._sum, 1e-6)
            self._samples, self._sum = 0, 0.0
            self._judge(throughput, now=now)

    def _judge(self, throughput: float, *, now: float) -> None:
        """Decide about the level that was tried, or try another one."""
        if self._origin is None:
            if now >= self._rests_until:
                self._try_another(throughput)
            return
        origin, known = self._origin
        self._origin = None
        # 1 where twice as many at once bring twice the throughput, 0 where they bring nothing.
        gain = math.log(throughput / known) / math.log(self.concurrency / origin)
        is_more = self.concurrency > origin
        if (is_more and gain >= _WORTH) or (not is_more and gain <= _WORTHLESS):
            self._try_another(throughput)
            return
        self._go_to(origin)
        if is_more and self._factor > _STEP:
            self._factor = _STEP  # too far: once more from here, in small steps
            return
        self._tries_less = is_more
        self._rests_until = now + _RESTS

    def _try_another(self, throughput: float) -> None:
        self._origin = (self.concurrency, throughput)
        at_the_end = self.concurrency == (1 if self._tries_less else self._most)
        if at_the_end:
            self._tries_less = not self._tries_less
        if self._tries_less:
            self._factor = _STEP
            tried = min(self.concurrency - 1, round(self.concurrency / _STEP))
        else:
            tried = max(self.concurrency + 1, round(self.concurrency * self._factor))
        tried = min(max(1, tried), self._most)
        if tried == self.concurrency:
            self._origin = None
            return
        self._go_to(tried)

    def _go_to(self, level: int) -> None:
        self.concurrency = level
        self._measure_anew()


def _positive(value: Any) -> float | None:
    """Return a number above 0; None for anything else, as a row or a setting may hold it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _NONSENSE else None
