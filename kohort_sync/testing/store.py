"""Hold the simulated service's customers: one world per organization and mode, rows never leave it.

The e-mail is the one thing that a constraint keeps unique, deleted rows included. Uniqueness of the
reference is the caller's check and not this module's, because the service checks it apart from the insert
(observed).
"""

import bisect
import copy
import dataclasses
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Hold one row; a change replaces it, so that a reader never sees half of one."""

    id: str
    organization_id: str
    livemode: bool
    email_address: str
    created_at: datetime
    updated_at: datetime
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    address: dict[str, Any] | None = None
    address_id: str | None = None
    shipping_address: dict[str, Any] | None = None
    shipping_address_id: str | None = None
    metadata: dict[str, Any] | None = None
    locale: str = "fr_FR"
    client_reference_id: str | None = None
    is_blocked: bool = False
    created_by: str | None = None
    updated_by: str | None = None
    blocked_at: datetime | None = None
    blocked_by: str | None = None
    deleted_at: datetime | None = None


FIELDS = tuple(field.name for field in dataclasses.fields(Customer))


class EmailTakenError(Exception):
    """Say that the e-mail constraint refused a row; nothing was written."""


class World:
    """Hold the customers of one organization in one mode."""

    def __init__(self, *, organization_id: str, livemode: bool) -> None:
        self.organization_id = organization_id
        self.livemode = livemode
        self._lock = threading.RLock()
        self._rows: dict[str, Customer] = {}
        self._by_email: dict[str, str] = {}
        self._by_reference: dict[str, set[str]] = {}
        self._live_ids: list[str] = []  # sorted: a walk by id must not cost a sort of everything per page

    def get(self, customer_id: str) -> Customer | None:
        """Return the row of that id, deleted or not, or None."""
        with self._lock:
            return self._rows.get(customer_id)

    def as_dict(self, customer_id: str) -> dict[str, Any]:
        """Return the row of that id as a dict that the caller may keep; raise KeyError if there is none."""
        with self._lock:
            return _as_dict(self._rows[customer_id])

    def reference_is_taken(self, reference: str) -> bool:
        """Say whether a row that is not deleted bears the reference."""
        return bool(self.with_reference(reference))

    def with_reference(self, reference: str) -> list[Customer]:
        """Return the rows that bear the reference and are not deleted."""
        with self._lock:
            rows = [self._rows[key] for key in self._by_reference.get(reference, ())]
        return [row for row in rows if row.deleted_at is None]

    def with_email(self, email: str) -> Customer | None:
        """Return the row of that very e-mail, deleted or not, or None."""
        with self._lock:
            key = self._by_email.get(email)
            return None if key is None else self._rows[key]

    def insert(self, row: Customer) -> None:
        """Add a row; raise `EmailTakenError` if its e-mail is there already, in one step with the check."""
        with self._lock:
            if row.email_address in self._by_email:
                raise EmailTakenError
            self._put(row)

    def change(self, customer_id: str, change: Callable[[Customer], Customer]) -> Customer | None:
        """Replace a row by what `change` makes of it; return None if there is none, raise `EmailTakenError`
        on a clash.
        """
        with self._lock:
            old = self._rows.get(customer_id)
            if old is None:
                return None
            new = change(old)
            if self._by_email.get(new.email_address, customer_id) != customer_id:
                raise EmailTakenError
            self._drop(old)
            self._put(new)
            return new

    def rows(self) -> list[Customer]:
        """Return every row, deleted ones included, in the order of insertion."""
        with self._lock:
            return list(self._rows.values())

    def live(self) -> list[Customer]:
        """Return the rows that are not deleted, by id."""
        with self._lock:
            return [self._rows[key] for key in self._live_ids]

    def live_range(
        self,
        *,
        above: tuple[str, bool] | None,
        below: tuple[str, bool] | None,
        skip: int,
        take: int,
        descending: bool,
    ) -> tuple[list[Customer], int]:
        """Return one page of the living rows between two ids, and their count; a bound is (id, inclusive)."""
        with self._lock:
            low, high = 0, len(self._live_ids)
            if above is not None:
                low = (bisect.bisect_left if above[1] else bisect.bisect_right)(self._live_ids, above[0])
            if below is not None:
                high = (bisect.bisect_right if below[1] else bisect.bisect_left)(self._live_ids, below[0])
            high = max(low, high)
            if descending:
                chosen = self._live_ids[max(low, high - skip - take) : max(low, high - skip)][::-1]
            else:
                chosen = self._live_ids[low + skip : min(high, low + skip + take)]
            return [self._rows[key] for key in chosen], high - low

    def _put(self, row: Customer) -> None:
        self._rows[row.id] = row
        self._by_email[row.email_address] = row.id
        if row.client_reference_id is not None:
            self._by_reference.setdefault(row.client_reference_id, set()).add(row.id)
        if row.deleted_at is None:
            bisect.insort(self._live_ids, row.id)

    def _drop(self, row: Customer) -> None:
        # The row itself stays in its place of `_rows`: `_put` writes over it.
        del self._by_email[row.email_address]
        if row.client_reference_id is not None:
            self._by_reference[row.client_reference_id].discard(row.id)
        if row.deleted_at is None:
            del self._live_ids[bisect.bisect_left(self._live_ids, row.id)]


class Store:
    """Hold all worlds; each comes into being when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worlds: dict[tuple[str, bool], World] = {}

    def __iter__(self) -> Iterator[World]:
        with self._lock:
            return iter(list(self._worlds.values()))

    def world(self, *, organization_id: str, livemode: bool) -> World:
        """Return the world of one organization in one mode."""
        with self._lock:
            key = (organization_id, livemode)
            if key not in self._worlds:
                self._worlds[key] = World(organization_id=organization_id, livemode=livemode)
            return self._worlds[key]

    def world_of(self, customer_id: str) -> World:
        """Return the world that holds the id; raise KeyError if none does."""
        for world in self:
            if world.get(customer_id) is not None:
                return world
        raise KeyError(customer_id)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return every row of every world as a dict that the caller may keep and change; times are
        datetimes.
        """
        return [_as_dict(row) for world in self for row in world.rows()]


def _as_dict(row: Customer) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in FIELDS}
    return {
        name: copy.deepcopy(value) if isinstance(value, dict) else value for name, value in values.items()
    }
