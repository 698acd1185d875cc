"""Aims: what the benchmarks are held against, and how each is read from what was measured."""

from collections.abc import Iterator
from typing import Any, NamedTuple

Found = dict[str, Any]


class Aim(NamedTuple):
    """Hold one figure beside its bound; `at_most` says on which side of it the figure has to be."""

    what: str
    figure: float
    bound: float
    at_most: bool = True

    @property
    def is_met(self) -> bool:
        """Say whether the figure keeps to its bound."""
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound


def push(found: Found) -> Iterator[Aim]:
    """Compare pushes with threads/latency, with bare requests and with the usual design."""
    seen = found["variants"]
    ours = {name: one for name, one in seen.items() if name.startswith("ours")}
    usual = seen["usual, 4 at once, 100ms"]
    for threads, bound in ((32, 0.92), (64, 0.82)):
        rate = ours[f"ours, {threads} at once, 100ms"]["rate"]
        yield Aim(
            f"rate with {threads} at once, 100 ms, of threads/latency", rate / (threads / 0.1), bound, False
        )
    rate = ours["ours, 64 at once, 100ms"]["rate"]
    yield Aim("rate with 64 at once, times the usual design's", rate / usual["rate"], 12.0, False)
    rate = ours["ours, 32 at once, 0ms"]["rate"]
    yield Aim("rate at 0 ms, of bare requests", rate / seen["bare, 32 at once, 0ms"]["rate"], 0.65, False)
    for name, one in ours.items():
        bare = _cpu(seen[name.replace("ours", "bare")])
        yield Aim(f"CPU with the database, times a bare POST: {name[6:]}", _cpu(one) / bare, 1.8)
    for threads in (32, 64):
        cpu = _cpu(ours[f"ours, {threads} at once, 100ms"])
        yield Aim(f"CPU with {threads} at once, of the usual design's", cpu / _cpu(usual), 1 / 8)
    yield Aim("round trips to PostgreSQL for each customer", found["round_trips"], 0.05)


def _cpu(one: Found) -> float:
    return float(one["cpu"] + one["database"])


def pace(found: Found) -> Iterator[Aim]:
    """Compare what was learned with the best fixed setting."""
    for name, one in found["services"].items():
        refuses = name.startswith("refusing")
        bound, refused = (0.8, 0.02) if refuses else (0.9, 0.01)
        yield Aim(
            f"{name}: rate after a minute, of the best fixed setting's",
            one["rate"] / one["best"],
            bound,
            False,
        )
        yield Aim(f"{name}: refused or without an answer from then on", one["refused"], refused)
        yield Aim(
            f"{name}: rate after a restart, of the rate before",
            one["after_restart"] / one["rate"],
            0.9,
            False,
        )
    capped = found["capped"]
    yield Aim("most at once under MAX_CONCURRENCY 5", capped["most_at_once"], capped["max_concurrency"])
    yield Aim("most in a second under MAX_RATE 20", capped["most_a_second"], capped["max_rate"])


def signup(found: Found) -> Iterator[Aim]:
    """Compare a sign-up with one that nothing hears of, and with publishing a task."""
    each, bulk = found["each"]["median"], found["bulk"]["median"]
    yield Aim("statements added to a sign-up", found["each"]["added_statements"], 1)
    yield Aim("sign-up, times `create_user` alone", each["nudge"] / each["plain"], 1.6)
    yield Aim("sign-up, of one that publishes a task", each["nudge"] / each["publish"], 0.9)
    for rate, waited in found["steady"].items():
        yield Aim(f"seconds from commit to linked, p95, {rate} a second, 100 ms", waited["p95"], 0.4)
    yield Aim(
        "`bulk_create` of 10,000 with `request_sync`, times plain", bulk["request_sync"] / bulk["plain"], 2.0
    )
    yield Aim("statements of that `request_sync`", found["bulk"]["statements"], 1)


def backfill(found: Found) -> Iterator[Aim]:
    """Compare a backfill with one statement."""
    seconds = found["seconds"]
    yield Aim("backfill of a million, times one statement", seconds["app"] / seconds["one statement"], 2.0)
    yield Aim("seconds of a transaction, p99", found["p99"], 0.5)
    yield Aim("MiB of memory over an idle process", found["grown_mib"], 10.0)
    yield Aim("seconds to count the users without a link among a million", found["found"]["count"], 1.0)
    yield Aim("seconds to see that nobody is without", found["found"]["exists"], 1.0)
    for service, bound in (("100ms", 5.0), ("serial", 10.0)):
        waited = found["meanwhile"][service]["longest"]
        yield Aim(f"seconds of a sign-up during a backfill of 100,000, {service}", waited, bound)


def scale(found: Found) -> Iterator[Aim]:
    """Compare pushes into small and large tables, and look at the pages of the large one."""
    cpu = found["cpu"]
    yield Aim(
        "CPU of a push into a million links, times one into a thousand", cpu["1000000"] / cpu["1000"], 1.2
    )
    for name, one in found["looked"].items():
        yield Aim(f"seconds of the slowest query at a million links: {name}", one["slowest"], 1.0)


def reconcile(found: Found) -> Iterator[Aim]:
    """Compare reading by ranges side by side with walkers/latency, and with one range."""
    walkers, fast = found["walkers"], found["side_by_side"]
    pages, one = fast["pages_a_second"], found["one"]["pages_a_second"]
    yield Aim(
        f"pages a second with {walkers} walkers, of walkers/latency", pages / (walkers / 0.1), 0.85, False
    )
    yield Aim(f"pages a second with {walkers} walkers, times one", pages / one, 6.5, False)
    yield Aim("MiB of memory over an idle process, 100,000 customers read", fast["grown_mib"], 20.0)
    yield Aim("seconds of a sign-up while they are read", found["meanwhile"]["longest"], 5.0)


ALL = {
    "push": push,
    "pace": pace,
    "signup": signup,
    "backfill": backfill,
    "scale": scale,
    "reconcile": reconcile,
}
