"""Remote: what the service had at any time, line by line through its own log."""

from collections import defaultdict

from tests.chaos.checker.histories import Histories, Row
from tests.chaos.checker.people import People


class Remote:
    """Replay the service's log once, and keep what the judge asks for."""

    def __init__(self, run: Histories, people: People) -> None:
        self.customers: dict[str, Row] = {}
        """Each customer that ever was, as it is at the end."""
        self.addresses: dict[str, dict[str, float]] = defaultdict(dict)
        """Every address that each customer ever had, and when the exchange ended that showed it first."""
        self.created: dict[str, float] = {}
        """When the exchange ended that created each customer."""
        self.twins: dict[str, set[str]] = {}
        """Every customer that ever lived at the same time as another one of the same reference or user."""
        self._people = people
        self._living: dict[str, set[str]] = defaultdict(set)
        self._names: dict[str, set[str]] = {}
        for exchange in run.exchanges:
            if exchange.row is None:
                continue
            if exchange.creates and exchange.committed:
                self.created.setdefault(exchange.row.id, exchange.ended)
            self._becomes(exchange.row, at=exchange.ended)

    def lives(self, kohort_id: str | None) -> bool:
        """Say whether a customer lives at the end."""
        row = self.customers.get(kohort_id or "")
        return row is not None and row.lives

    def _becomes(self, row: Row, *, at: float) -> None:
        self.customers[row.id] = row
        known = self.addresses[row.id]
        known[row.email] = min(at, known.get(row.email, at))
        names = self._names_of(row)
        for gone in self._names.get(row.id, set()) - names:
            self._living[gone].discard(row.id)
        self._names[row.id] = names
        for name in names:
            self._living[name].add(row.id)
            if len(self._living[name]) > 1:
                self.twins.setdefault(name, set()).update(self._living[name])

    def _names_of(self, row: Row) -> set[str]:
        """Return all of which there may be one living customer only."""
        if not row.lives:
            return set()
        owner = self._people.owner(row)
        names = {f"reference {row.reference}"} if row.reference is not None else set()
        return names | ({f"user {owner}"} if owner is not None else set())
