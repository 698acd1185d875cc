"""Parts: what is left to read of KohortPay's list, and which question comes next. No database, no clock.

A part is written down between two questions, so that another process goes on where a killed one stopped.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, ClassVar, Protocol

from kohort_sync.client.customers import PAGE_SIZE, Customers, encoded_search
from kohort_sync.client.records import Page, RemoteCustomer


class Misplaced(Exception):
    """Say that a row does not lie where it was asked for: the filter, or the order, was not kept."""


class Part(Protocol):
    """Read one part of the list, page by page."""

    kind: ClassVar[str]
    done: bool

    def ask(self, customers: Customers) -> Page:
        """Ask for the next page. Raises `KohortError`."""

    def take(self, page: Page) -> list[RemoteCustomer]:
        """Step on, and return the customers of this part. Raises Misplaced."""

    def as_json(self) -> dict[str, Any]:
        """Return what another process needs to go on."""


@dataclass
class _Part:
    kind: ClassVar[str]

    done: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what another process needs to go on."""
        return {"kind": self.kind, **asdict(self)}


@dataclass
class KeyRange(_Part):
    """Read the customers whose id is above one and up to another, in the order of their ids.

    Ids are compared as they are written. Where the service sorts them in another way, that is seen as a row
    out of place.
    """

    kind = "keys"

    after: str = ""
    until: str = ""

    def ask(self, customers: Customers) -> Page:
        """Ask for what comes after the last id."""
        above = encoded_search(f'id>"{self.after}"') if self.after else None
        return customers.page(order_by="id:asc", search=above)

    def take(self, page: Page) -> list[RemoteCustomer]:
        """Step on to the last id. Only an empty page, or a row beyond the range, is the end."""
        if any(low >= high for low, high in pairwise([self.after, *page.ids])):
            raise Misplaced
        self.after = page.ids[-1] if page.ids else self.after
        self.done = not page.ids or bool(self.until and self.after >= self.until)
        return [one for one in page.customers if not self.until or one.kohort_id <= self.until]


@dataclass
class Changes(_Part):
    """Read the customers that were changed since a moment of the service's own clock."""

    kind = "changes"

    since: str = ""
    last: list[str] = field(default_factory=list)

    def ask(self, customers: Customers) -> Page:
        """Ask for what was changed then or later."""
        later = encoded_search(f'updatedAt>="{self.since}"')
        return customers.page(order_by="updatedAt:asc", search=later)

    def take(self, page: Page) -> list[RemoteCustomer]:
        """Step on to the last change; whoever was changed in that very moment is shown once more."""
        moments = [one.updated_at for one in page.customers]
        since = datetime.fromisoformat(self.since)
        if any(moment is None or moment < since for moment in moments):
            raise Misplaced
        known = [moment for moment in moments if moment is not None]
        if any(low > high for low, high in pairwise(known)):
            raise Misplaced
        if len(page.ids) == PAGE_SIZE and known and known[-1] == since:
            raise Misplaced  # more than a page in one moment: nothing orders them
        self.done = set(page.ids) <= set(self.last)
        self.last = list(page.ids)
        self.since = spelled(known[-1]) if known else self.since
        return list(page.customers)


@dataclass
class Pages(_Part):
    """Read the list by page numbers, where it cannot be read by ids. Inserts shift what comes after them."""

    kind = "pages"

    skip: int = 0

    def ask(self, customers: Customers) -> Page:
        """Ask for the page after the last one."""
        return customers.page(order_by="id:asc", skip=self.skip)

    def take(self, page: Page) -> list[RemoteCustomer]:
        """Step on by as many rows as there were."""
        self.skip += len(page.ids)
        self.done = not page.ids
        return list(page.customers)


_KINDS: dict[str, type[Any]] = {part.kind: part for part in (KeyRange, Changes, Pages)}


def from_json(value: dict[str, Any]) -> Part:
    """Return a part that was written down."""
    part: Part = _KINDS[value["kind"]](**{name: kept for name, kept in value.items() if name != "kind"})
    return part


def ranges(boundaries: Sequence[str]) -> list[Part]:
    """Return ranges that end at these ids; the last one has no end. One range where they are out of order."""
    if any(low >= high for low, high in pairwise(boundaries)):
        boundaries = []
    return [KeyRange(after=low, until=high) for low, high in pairwise(["", *boundaries, ""])]


def spelled(moment: datetime) -> str:
    """Write a moment as the service does: UTC, with milliseconds (observed)."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
