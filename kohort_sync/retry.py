"""Retries: when a row is tried again. The row is their one owner; nothing below or above it repeats."""

import random

_FIRST_DELAY = 15.0
_LONGEST_DELAY = 6 * 3600.0
_LOOK_UP_DELAYS = (15.0, 60.0)
_SLOW_DOWN = 1.0
_LONGEST_SLOW_DOWN = 30.0


def backoff(*, attempts: int, chance: random.Random) -> float:
    """Return seconds to wait after so many charged attempts: doubling, capped, half of it random."""
    ceiling = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(attempts, 20))
    return ceiling * chance.uniform(0.5, 1.0)


def look_up_delay(*, looks: int, until_settled: float, chance: random.Random) -> float:
    """Return seconds until an unknown outcome is looked up again: soon, later, when it has settled.

    After that only a look-up that fails itself brings it here again, so it backs off like any other failure.
    """
    if until_settled <= 0:
        return backoff(attempts=looks, chance=chance)
    soon = _LOOK_UP_DELAYS[looks] if looks < len(_LOOK_UP_DELAYS) else until_settled
    return min(soon, until_settled)


def slow_down(*, retry_after: float | None, closures: int) -> float:
    """Return seconds for which an account pauses after a 429: as asked, and at least 1 doubling to 30."""
    least = min(_LONGEST_SLOW_DOWN, _SLOW_DOWN * 2.0 ** min(closures, 10))
    return max(retry_after or 0.0, least)
