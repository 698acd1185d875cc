"""Services that a pace has to learn: how long each takes, and what it refuses, by its own clock."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from kohort_sync.pacing import Outcome

Answer = tuple[float, Outcome]


class Server(Protocol):
    """Say how long a request takes that begins now beside so many others, and what comes of it."""

    def __call__(self, now: float, beside: int, /) -> Answer: ...


@dataclass
class Parallel:
    """Take the same time for each, however many there are."""

    latency: float = 0.1

    def __call__(self, _now: float, _beside: int) -> Answer:
        return self.latency, Outcome.ACCEPTED


@dataclass
class Serial:
    """Do one after the other."""

    each: float = 1 / 1.8
    free_at: float = 0.0

    def __call__(self, now: float, _beside: int) -> Answer:
        self.free_at = max(self.free_at, now) + self.each
        return self.free_at - now, Outcome.ACCEPTED


@dataclass
class Degrading:
    """Take longer the more there are at once: past the best level, more sending brings less."""

    latency: float = 0.1
    best: int = 12

    def __call__(self, _now: float, beside: int) -> Answer:
        return self.latency * (1 + ((beside + 1) / self.best) ** 2), Outcome.ACCEPTED


@dataclass
class Crowded:
    """Have room for so many at once; the others wait."""

    latency: float = 0.1
    room: int = 10
    ends: list[float] = field(default_factory=list)

    def __call__(self, now: float, _beside: int) -> Answer:
        self.ends = sorted(end for end in self.ends if end > now)
        begins = now if len(self.ends) < self.room else self.ends[-self.room]
        self.ends.append(begins + self.latency)
        return begins + self.latency - now, Outcome.ACCEPTED


@dataclass
class TimingOut:
    """Answer so many at once, and the others not at all."""

    latency: float = 0.1
    most: int = 16

    def __call__(self, _now: float, beside: int) -> Answer:
        return (self.latency, Outcome.ACCEPTED) if beside < self.most else (35.0, Outcome.FAILED)


@dataclass
class Refusing:
    """Refuse above a rate: a bucket of tokens."""

    rate: float = 10.0
    burst: float = 10.0
    latency: float = 0.05
    tokens: float = 10.0
    filled_at: float = 0.0

    def __call__(self, now: float, _beside: int) -> Answer:
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1:
            return self.latency, Outcome.REFUSED
        self.tokens -= 1
        return self.latency, Outcome.ACCEPTED


@dataclass
class Noisy:
    """Let another server's answers take a random time around its own."""

    server: Server
    chance: random.Random

    def __call__(self, now: float, beside: int) -> Answer:
        latency, outcome = self.server(now, beside)
        return latency * self.chance.lognormvariate(-0.125, 0.5), outcome


SERVERS: dict[str, Callable[[], Server]] = {
    "fast": Parallel,
    "very fast": lambda: Parallel(latency=0.02),
    "serial, 1.8 a second": Serial,
    "room for ten": Crowded,
    "slower with each": Degrading,
    "slower with each, best at 3": lambda: Degrading(best=3),
    "fast, of random latency": lambda: Noisy(Parallel(), random.Random(1)),
    "room for ten, of random latency": lambda: Noisy(Crowded(), random.Random(2)),
    "slower with each, of random latency": lambda: Noisy(Degrading(), random.Random(3)),
}
