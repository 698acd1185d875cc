"""The plan of a run: what people do and what breaks, when, all out of one seed."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# How often each process fault happens in a full run; a shorter one has its share, and one of the first
# kinds at least.
_STRIKES: Mapping[str, int] = {
    "kill_child": 21,
    "kill_worker": 14,
    "kill_web": 14,
    "kill_beat": 4,
    "kill_redis": 4,
    "kill_postgresql": 4,
    "stop_child": 3,
    "stop_worker": 3,
    "stop_redis": 2,
    "flush_redis": 2,
    "stop_postgresql": 1,
    "stop_web": 1,
    "stop_beat": 1,
}
_ALWAYS = 6
FULL_SECONDS = 600.0
_PHASE = 15.0


@dataclass(frozen=True, kw_only=True)
class Act:
    """Describe what people do at one moment: `rank` in [0, 1) chooses whom it is about."""

    at: float
    kind: str
    size: int = 1
    rank: float = 0.0
    other: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Strike:
    """Describe one process fault, how long it lasts, and which of several it hits."""

    at: float
    kind: str
    seconds: float
    rank: float


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Describe what goes wrong on the wire from one moment on, as the sandbox's faults."""

    at: float
    faults: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Hold one run. Times in seconds from its start; `deadline` and `sweep` are the app's settings."""

    seed: int
    users: int
    seconds: float
    deadline: float
    sweep: float
    acts: tuple[Act, ...]
    strikes: tuple[Strike, ...]
    phases: tuple[Phase, ...]

    @property
    def lease(self) -> float:
        """Return how long a row is a worker's, as the app derives it from its deadline."""
        return _lease(self.deadline)

    @property
    def settle(self) -> float:
        """Return how long no second create follows a lost answer."""
        return 2 * self.lease


def make(seed: int, *, users: int, seconds: float, deadline: float = 2.0, sweep: float = 2.0) -> Plan:
    """Make the plan of a seed: the same for the same arguments, on every machine."""
    dice = random.Random(seed)
    return Plan(
        seed=seed,
        users=users,
        seconds=seconds,
        deadline=deadline,
        sweep=sweep,
        acts=tuple(sorted(_acts(dice, users=users, seconds=seconds), key=lambda act: act.at)),
        strikes=tuple(_strikes(dice, seconds=seconds, lease=_lease(deadline))),
        phases=tuple(_phases(dice, seconds=seconds, deadline=deadline)),
    )


def _lease(deadline: float) -> float:
    return 4 * deadline + 10


def _acts(dice: random.Random, *, users: int, seconds: float) -> Iterator[Act]:
    def act(kind: str, **how: Any) -> Act:
        return Act(at=dice.uniform(0, seconds), kind=kind, rank=dice.random(), other=dice.random(), **how)

    batches = max(users // 170, 2)
    size = users * 2 // 5 // batches
    singles = users - batches * size
    for number in range(batches):
        yield act("bulk_announced" if number % 2 else "bulk", size=size)
    for _ in range(singles):
        yield act("sign_up")
    for kind, share in _BESIDE.items():
        for _ in range(max(int(users * share), 1)):
            yield act(kind)
    for _ in range(4):
        yield act("resync", size=max(users // 20, 10))


# For each user who signs up, so many of these.
_BESIDE: Mapping[str, float] = {
    "rename": 0.10,
    "change_email": 0.08,
    "swap": 0.008,
    "delete": 0.02,
    "roll_back": 0.015,
    "share_email": 0.003,
}


def _strikes(dice: random.Random, *, seconds: float, lease: float) -> Iterator[Strike]:
    share = min(seconds / FULL_SECONDS, 1.0)
    kinds = [
        kind
        for place, (kind, often) in enumerate(_STRIKES.items())
        for _ in range(max(round(often * share), int(place < _ALWAYS)))
    ]
    dice.shuffle(kinds)
    apart = (seconds - 4) / len(kinds)
    for number, kind in enumerate(kinds):
        yield Strike(
            at=4 + (number + dice.uniform(0, 0.9)) * apart,
            kind=kind,
            seconds=_lasts(dice, kind, lease=lease),
            rank=dice.random(),
        )


def _lasts(dice: random.Random, kind: str, *, lease: float) -> float:
    if kind in {"stop_child", "stop_worker"}:
        return lease + dice.uniform(2, 12)  # beyond what a row waits for a worker
    if kind.startswith("stop_"):
        return dice.uniform(3, 8)
    return dice.uniform(0.5, 4)  # until it is started again


def _phases(dice: random.Random, *, seconds: float, deadline: float) -> Iterator[Phase]:
    starts = [number * _PHASE for number in range(max(int(seconds / _PHASE), 1))]
    # A refused key closes the account for a minute, so a short run has no time for one.
    refused = set(dice.sample(starts[2:], 3)) if seconds >= FULL_SECONDS / 2 else set()
    for start in starts:
        if start in refused:
            yield Phase(at=start, faults=({"kind": "status", "status": 401, "times": None},))
            yield Phase(at=start + 3, faults=tuple(_faults(dice, deadline=deadline)))
        else:
            yield Phase(at=start, faults=tuple(_faults(dice, deadline=deadline)))


def _faults(dice: random.Random, *, deadline: float) -> Iterator[Mapping[str, Any]]:
    def fault(kind: str, probability: float, **how: Any) -> Mapping[str, Any]:
        return {"kind": kind, "probability": probability * dice.uniform(0.7, 2.1), "times": None, **how}

    if dice.random() < 0.5:
        asked = dice.choice(["seconds", "date"])
        yield {"kind": "rate_limit", "times": 1, "seconds": RETRY_AFTER, "retry_after": asked}
    yield fault("stall", 0.002, seconds=deadline * dice.uniform(0.3, 0.8))
    yield fault("delay", 0.001, seconds=deadline * 1.5)
    yield fault("delay", 0.001, seconds=deadline * 1.5, after_commit=True)
    yield fault("drip", 0.001, seconds=deadline * 2)
    # Late, and in time all the same.
    yield fault("delay", 0.06, seconds=deadline * 0.05)
    yield fault("delay", 0.06, seconds=deadline * 0.05, after_commit=True)
    yield fault("drip", 0.05, seconds=deadline * 0.05)
    # A service that fails more often is sent so little that little can go wrong.
    yield fault("truncated", 0.012)
    yield fault("html", 0.005, status=502)
    yield fault("html", 0.01, status=200)
    yield fault("reset", 0.012)
    yield fault("reset", 0.03, after_commit=True)
    yield fault("status", 0.01, status=dice.choice([500, 502, 503, 504]))
    yield fault("status", 0.02, status=dice.choice([500, 502, 503, 504]), after_commit=True)
    # Last, because it stands for nearly every list: what comes first strikes first.
    yield fault("old_list", 0.5, seconds=dice.uniform(5, 25))


RETRY_AFTER = 2.0
