"""Figures: how many, how often and how long. All times are in seconds."""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tests.chaos.checker.findings import Case
from tests.chaos.checker.histories import Exchange, Fault, Histories, Signup

ALL = "all"
"""The kind of fault under which every fault is counted, beside its own."""
_HEARD = 0.5
"""How long a site may take to hear of a pause: what it had sent by then is nobody's fault."""
# Without these no site answers, whatever it has installed.
_SITE = ("_web", "_postgresql")
# What a broker is while it is broken so, the worst first.
_BROKER = {"frozen": "stop_redis", "down": "kill_redis"}


@dataclass(frozen=True)
class Spread:
    """Hold how values are spread: a percentile is the smallest value that so many do not exceed."""

    p50: float
    p99: float
    max: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """Return the spread of the values; None where there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        return cls(_rank(ordered, 50), _rank(ordered, 99), ordered[-1], len(ordered))

    def __str__(self) -> str:
        return f"p50 {self.p50:.3g}, p99 {self.p99:.3g}, max {self.max:.3g} ({self.count:,} in all)"


def _rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[math.ceil(percent * len(ordered) / 100) - 1]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Hold what was measured about one run."""

    users: int
    faults: Mapping[str, int]
    process_faults: int
    posts_per_user: Spread | None
    posts_at_once: int
    signup_seconds: Mapping[str, Spread]
    signups_failed: int
    signups_failed_by_nemesis: int
    recovery_seconds: Mapping[str, Spread]
    recovered_after_heal: float
    sent_before_retry_after: int
    requests: int
    requests_at_peak: int
    unauthorized: int

    def lines(self) -> Iterator[str]:
        """Yield what a person reads on a terminal."""
        yield f"  creates for each user: {self.posts_per_user}; at once at most {self.posts_at_once}"
        for broker, spread in self.signup_seconds.items():
            yield f"  sign-ups with the broker {broker} in seconds: {spread}"
        yield f"  sign-ups failed: {self.signups_failed}, and {self.signups_failed_by_nemesis} by the nemesis"
        for kind, spread in self.recovery_seconds.items():
            yield f"  recovery from {kind} in seconds: {spread}"
        yield f"  last change {self.recovered_after_heal:.1f} s after all was healed"
        yield f"  requests: {self.requests:,}, at most {self.requests_at_peak} in a second"
        yield f"  before a Retry-After had ended: {self.sent_before_retry_after}"
        yield f"  unauthorised: {self.unauthorized}"


def of(case: Case) -> Figures:
    """Measure a run."""
    run = case.run
    failed = [signup for signup in run.signups if not signup.ok]
    broken = _without_a_site(run)
    explained = sum(signup.web_killed or _is_beside(signup, broken) for signup in failed)
    return Figures(
        users=sum(change.op == "created" for change in run.committed),
        faults=dict(sorted(Counter(fault.kind for fault in run.faults).items())),
        process_faults=sum(fault.process for fault in run.faults),
        posts_per_user=Spread.of(map(len, _creates(run).values())),
        posts_at_once=max(map(most_at_once, _creates(run).values()), default=0),
        signup_seconds=signup_seconds(run),
        signups_failed=len(failed) - explained,
        signups_failed_by_nemesis=explained,
        recovery_seconds=recovery_seconds(case),
        recovered_after_heal=_recovered_after_heal(run),
        sent_before_retry_after=sent_before_retry_after(run),
        requests=len(run.exchanges),
        requests_at_peak=most_in_a_second(exchange.at for exchange in run.exchanges),
        unauthorized=sum(not exchange.authorized for exchange in run.exchanges),
    )


def _creates(run: Histories) -> Mapping[str, list[Exchange]]:
    """Return the creates that reached the service, whatever came of them, by reference."""
    found: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in run.exchanges:
        if exchange.creates and exchange.reference is not None:
            found[exchange.reference].append(exchange)
    return found


def most_at_once(exchanges: Iterable[Exchange]) -> int:
    """Return how many exchanges were worked on at one moment, at most."""
    # At the same moment an end comes before a beginning.
    steps = sorted(step for each in exchanges for step in ((each.at, 1), (each.ended, -1)))
    return max(accumulate(step for _, step in steps), default=0)


def signup_seconds(run: Histories) -> Mapping[str, Spread]:
    """Return how long a sign-up took that went well, by the worst that the broker was meanwhile.

    Those are left out that a broken web or database delayed: they say nothing about the broker.
    """
    by_broker: dict[str, list[float]] = defaultdict(list)
    broken = _without_a_site(run)
    bad = {how: [fault for fault in run.faults if fault.kind == kind] for how, kind in _BROKER.items()}
    for signup in run.signups:
        if signup.ok and not signup.web_killed and not _is_beside(signup, broken):
            how = next((how for how, faults in bad.items() if _is_beside(signup, faults)), "up")
            by_broker[how].append(signup.seconds)
    return _spreads(by_broker)


def _without_a_site(run: Histories) -> list[Fault]:
    return [fault for fault in run.faults if fault.process and fault.kind.endswith(_SITE)]


def _is_beside(signup: Signup, faults: Iterable[Fault]) -> bool:
    """Say whether one of the faults was there while somebody signed up."""
    return any(fault.at <= signup.at + signup.seconds and signup.at <= fault.ended for fault in faults)


def recovery_seconds(case: Case) -> Mapping[str, Spread]:
    """Return, by kind of fault, how long after its end everybody had a customer who was waiting then.

    Who was committed by then and had no customer was waiting; a user got one when the exchange ended in
    which the service created it, and waits no more when deleted or listed for a person. One who never got
    any waits until the run ends. It is an upper bound: what broke meanwhile is in it too.
    """
    waits = sorted(_waits(case))
    begun = [begin for begin, _ in waits]
    # Of all who had come by a moment, the last to get a customer; who got it before no longer counts.
    latest = [*accumulate((end for _, end in waits), max)]
    by_kind: dict[str, list[float]] = defaultdict(list)
    for fault in case.run.faults:
        come = bisect_right(begun, fault.ended)
        took = max(latest[come - 1] - fault.ended, 0.0) if come else 0.0
        by_kind[fault.kind].append(took)
        by_kind[ALL].append(took)
    return _spreads(by_kind)


def _waits(case: Case) -> Iterator[tuple[float, float]]:
    """Yield from when to when each user waited for a first customer."""
    first: dict[str, float] = {}
    for customer, at in case.remote.created.items():
        user = case.people.owner(case.remote.customers[customer])
        if user is not None:
            first[user] = min(at, first.get(user, math.inf))
    # What the first line about a user says is when the user was committed first.
    began = {change.user: change.at for change in reversed(case.run.committed)}
    for user, change in case.people.last.items():
        if user in first:
            yield began[user], first[user]
        elif change.op == "deleted":
            yield began[user], change.at
        elif change.active and not any(map(case.waits_for_a_person, case.people.links[user])):
            yield began[user], float(case.run.about["ended"])


def _recovered_after_heal(run: Histories) -> float:
    last = max((exchange.ended for exchange in run.exchanges if exchange.committed), default=0.0)
    return max(last - float(run.about["healed"]), 0.0)


def sent_before_retry_after(run: Histories) -> int:
    """Count the requests that began inside a pause that the service had asked for."""
    pauses = sorted(
        (fault.ended + _HEARD, fault.ended + fault.retry_after)
        for fault in run.faults
        if fault.retry_after is not None
    )
    begun = [begin for begin, _ in pauses]
    latest = [*accumulate((end for _, end in pauses), max)]
    places = ((bisect_right(begun, exchange.at), exchange.at) for exchange in run.exchanges)
    return sum(place > 0 and at < latest[place - 1] for place, at in places)


def most_in_a_second(moments: Iterable[float]) -> int:
    """Return how many moments lie within one second, at most, wherever that second begins."""
    ordered = sorted(moments)
    return max(
        (place + 1 - bisect_right(ordered, moment - 1.0) for place, moment in enumerate(ordered)), default=0
    )


def _spreads(values: Mapping[str, Sequence[float]]) -> Mapping[str, Spread]:
    found = ((kind, Spread.of(values[kind])) for kind in sorted(values))
    return {kind: spread for kind, spread in found if spread is not None}
