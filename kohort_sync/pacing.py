"""The pace: how many requests are under way at once, and how many rows are claimed for them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Hold a fixed modest pace: quick enough for sign-ups, gentle to a key that is slow."""

    concurrency: int = 4
    batch: int = 20

    def capped(self, *, concurrency: int) -> "Pace":
        """Return the same pace under the host's cap."""
        return Pace(concurrency=max(1, min(self.concurrency, concurrency)), batch=self.batch)
