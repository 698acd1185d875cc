"""Say how long the service takes to answer, from what was measured on it.

A profile is the sandbox's own switch and has nothing to do with the mode of the key that calls.
"""

import dataclasses
import random
import threading
from typing import Literal

Kind = Literal["post", "get", "list"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Hold mean seconds per kind of request.

    `serial` of them pass one request at a time, whatever the concurrency; the rest passes side by side and
    varies by `spread` (a fraction of itself, both ways).
    """

    name: str
    post: float = 0.0
    get: float = 0.0
    list: float = 0.0
    serial: float = 0.0
    spread: float = 1.0

    def mean(self, kind: Kind) -> float:
        return {"post": self.post, "get": self.get, "list": self.list}[kind]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(name="none"),
        # A test key: 18, 15 and 17 ms on the mean, and some 85 requests a second however many come at once.
        Profile(name="test", post=0.018, get=0.015, list=0.017, serial=0.0117),
        # A live key: 0.55-0.70 s each, 1.8 a second in all.
        Profile(name="live", post=0.625, get=0.625, list=0.625, serial=0.55),
    )
}


class Latency:
    """Hand out waits: each request books its serial part behind those already booked."""

    def __init__(self, profile: str | Profile = "none", *, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._free_at = 0.0
        self._profile = _named(profile)

    @property
    def profile(self) -> Profile:
        return self._profile

    def switch(self, profile: str | Profile) -> None:
        """Take another profile from now on; raise ValueError for a name that is not in `PROFILES`."""
        chosen = _named(profile)
        with self._lock:
            self._profile, self._free_at = chosen, 0.0

    def book(self, kind: Kind, *, now: float) -> float:
        """Return the seconds that a request arriving at `now` (monotonic) waits for its answer."""
        with self._lock:
            mean = self._profile.mean(kind)
            serial = min(mean, self._profile.serial)
            beside = (mean - serial) * (1 + self._profile.spread * self._random.uniform(-1, 1))
            self._free_at = max(self._free_at, now) + serial
            return self._free_at + beside - now


def _named(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise ValueError(f"No latency profile {profile!r}; there are: {', '.join(PROFILES)}.")
    return PROFILES[profile]
