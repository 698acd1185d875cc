"""Hold what one exchange carries along: its waiting, who called, and what it has done so far."""

import dataclasses
from collections.abc import Callable, Collection

from kohort_sync.testing.keys import Caller
from kohort_sync.testing.store import World


@dataclasses.dataclass(slots=True, kw_only=True)
class Visit:
    """Follow one request through the service.

    `gap` is the time in seconds between the check of a reference and the insert; `lag` is how old the list is
    that the visit gets; `seconds` is what the visit has waited so far, in the service's own reckoning (a test
    may have given it a `sleep` that does not sleep).
    """

    sleep: Callable[[float], None]
    gap: float = 0.0
    lag: float = 0.0
    disposable_domains: Collection[str] | None = ()
    seconds: float = 0.0
    reference: str | None = None
    customer_id: str | None = None  # set where something was committed

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            self.seconds += seconds
            self.sleep(seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Admitted:
    """Hold a caller whose key was accepted, and the one world that the key opens."""

    caller: Caller
    world: World
