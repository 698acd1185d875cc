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


def look_up_delay(*, looks: int, until_settled: float) -> float:
    """Return seconds until an unknown outcome is looked up again: soon, later, then when it has settled."""
    if looks < len(_LOOK_UP_DELAYS):
        return min(_LOOK_UP_DELAYS[looks], max(until_settled, 1.0))
    return max(until_settled, 1.0)


def slow_down(*, retry_after: float | None, closures: int) -> float:
    """Return seconds for which an account pauses after a 429: what the service asks, else doubling to 30."""
    if retry_after is not None:
        return retry_after
    return min(_LONGEST_SLOW_DOWN, _SLOW_DOWN * 2.0 ** min(closures, 10))
