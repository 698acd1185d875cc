"""Retries: when a row is tried again. The row is their one owner; nothing below or above it repeats."""

import random

DAY = 24 * 3600.0
MOST_CRASHES = 5
"""Leases that a row may lose alone and in a row before it is given up."""
MOST_PARKINGS = 14
"""Days in a row after which a row that was given up is taken up again by itself."""

LONGEST_DELAY = 6 * 3600.0
"""Seconds between two tries of a row that fails alone, at most."""

_FIRST_DELAY = 15.0
_LONGEST_DELAY_OF_ALL = 300.0
_MOST_ATTEMPTS = 12
_LOOK_UP_DELAYS = (15.0, 60.0)
_SLOW_DOWN = 1.0
_LONGEST_SLOW_DOWN = 30.0


def backoff(*, attempts: int, chance: random.Random, alone: bool = True) -> float:
    """Return seconds to wait after so many charged attempts: doubling, capped, half of it random.

    A row that is not `alone`, because the whole account has failed meanwhile, waits five minutes at most:
    the gate protects the service, and after an outage nobody should wait for hours.
    """
    longest = LONGEST_DELAY if alone else _LONGEST_DELAY_OF_ALL
    ceiling = min(longest, _FIRST_DELAY * 2.0 ** min(attempts, 20))
    return ceiling * chance.uniform(0.5, 1.0)


def after_crash(*, crashes: int) -> float:
    """Return seconds that a row waits after its lease if it is lost again: longer each time."""
    return min(LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(crashes, 20))


def is_hopeless(*, attempts: int, failing_for: float) -> bool:
    """Say whether a row is given up for now: after twelve charged attempts and a day, not before both."""
    return attempts >= _MOST_ATTEMPTS and failing_for >= DAY


def look_up_delay(*, looks: int, until_settled: float, chance: random.Random, alone: bool = True) -> float:
    """Return seconds until an unknown outcome is looked up again: soon, later, when it has settled.

    After that only a look-up that fails itself brings it here again, so it backs off like any other failure.
    """
    if until_settled <= 0:
        return backoff(attempts=looks, chance=chance, alone=alone)
    soon = _LOOK_UP_DELAYS[looks] if looks < len(_LOOK_UP_DELAYS) else until_settled
    return min(soon, until_settled)


def spread(seconds: float, *, chance: random.Random) -> float:
    """Return up to a fifth more, so that the sites of one service do not come back together."""
    return seconds * chance.uniform(1.0, 1.2)


def slow_down(*, retry_after: float | None, closures: int) -> float:
    """Return seconds for which an account pauses after a 429: as asked, and at least 1 doubling to 30."""
    least = min(_LONGEST_SLOW_DOWN, _SLOW_DOWN * 2.0 ** min(closures, 10))
    return max(retry_after or 0.0, least)
