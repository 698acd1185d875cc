"""The throttle: lets the threads of a drain begin their requests at the account's pace."""

import time
from collections.abc import Callable
from threading import Condition, Lock

from kohort_sync.client import errors
from kohort_sync.pacing import Outcome, Pace, Ticket

# How long a sender waits before it asks again whether it is to give up.
_AT_MOST = 0.2


class Throttle:
    """Share one pace between threads."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        # One waits for room, and the others for it: nobody is woken for nothing. Whoever has entered does not
        # wait for those that want to: they wait for it.
        self._turnstile = Lock()
        self._room = Condition()
        self._lane = Lock()

    def enter(self, *, may_go: Callable[[], bool]) -> Ticket | None:
        """Wait until the next request may begin; None as soon as `may_go` says that none may any more."""
        with self._turnstile:
            while may_go():
                with self._room:
                    now = time.monotonic()
                    pause = self.pace.pause(now)
                    if pause == 0:
                        return self.pace.begin(now)
                    if pause is None:
                        self._room.wait(_AT_MOST)
                        continue
                time.sleep(min(pause, _AT_MOST))
        return None

    def follow(self, *, may_go: Callable[[], bool]) -> bool:
        """Wait until a sender that has entered may begin one more; False where none may any more."""
        with self._lane:
            while may_go():
                with self._room:
                    now = time.monotonic()
                    pause = self.pace.rest(now)
                    if pause == 0:
                        self.pace.spend(now)
                        return True
                time.sleep(min(pause, _AT_MOST))
        return False

    def leave(self, ticket: Ticket, outcome: Outcome | None, *, latency: float | None = None) -> None:
        """Let the next one begin, and the pace learn. `latency` in seconds; else since it has entered."""
        now = time.monotonic()
        with self._room:
            took = now - ticket.began if latency is None else latency
            self.pace.end(ticket, outcome, latency=took, now=now)
            self._room.notify()


def outcome_of(error: errors.KohortError | None) -> Outcome | None:
    """Say what the end of a request means for the pace; None where it never left."""
    if isinstance(error, errors.OutOfTime):
        return None
    if isinstance(error, errors.RateLimited):
        return Outcome.REFUSED
    return Outcome.FAILED if isinstance(error, errors.UNWELL) else Outcome.ACCEPTED
