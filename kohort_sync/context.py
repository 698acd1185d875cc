"""The pause: a switch that is off for the current context alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_paused: ContextVar[bool] = ContextVar("kohort_sync_paused", default=False)


@contextmanager
def paused() -> Iterator[None]:
    """Keep receivers silent inside the block, in this thread or task alone.

    Users saved meanwhile get no row; the sweep finds those of a covered account later.
    """
    token = _paused.set(True)
    try:
        yield
    finally:
        _paused.reset(token)


def is_paused() -> bool:
    """Say whether the current context is inside `paused()`."""
    return _paused.get()
