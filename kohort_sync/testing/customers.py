"""Do what the documented calls do to customers: create, list, read, update, block, unblock, delete.

Each method answers with a `Response` or raises the service's refusal. Where the reference and the service's
own code differ, the dialect decides.
"""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from kohort_sync.testing import answers, listing, validation
from kohort_sync.testing.answers import Dialect, RefusalError
from kohort_sync.testing.store import Customer, EmailTakenError, World
from kohort_sync.testing.visit import Admitted, Visit
from kohort_sync.testing.wire import Response

_TICK = timedelta(milliseconds=1)


class Customers:
    """Answer the calls under `/customers`."""

    def __init__(
        self, *, dialect: Dialect, clock: Callable[[], datetime], new_id: Callable[[str], str]
    ) -> None:
        self._dialect = dialect
        self._clock = clock
        self._new_id = new_id

    def create(self, visit: Visit, admitted: Admitted, fields: dict[str, Any]) -> Response:
        """Create a customer: 201, or 400 for fields and for a reference that is taken, or 409 for the e-mail.

        When both are taken the reference comes first. Between its check and the insert lies a gap, so two
        POSTs of one reference may both succeed (observed).
        """
        columns = validation.columns(fields, dialect=self._dialect, partial=False)
        validation.refuse_disposable(columns["email_address"], domains=visit.disposable_domains)
        reference = columns.get("client_reference_id")
        if reference is not None and admitted.world.reference_is_taken(reference):
            raise RefusalError(400, f"Customer with client reference id {reference} already exists.")
        visit.wait(visit.gap)
        row = self.new_row(admitted.world, created_by=admitted.caller.user_id, **columns)
        with _email_conflict():
            admitted.world.insert(row)
        visit.customer_id = row.id
        return self._tell(201, row)

    def list(self, visit: Visit, admitted: Admitted, query: str) -> Response:
        """List customers: 200 with `data` and the total `count`."""
        until = self.now() - timedelta(seconds=visit.lag) if visit.lag else None
        rows, count = listing.page(admitted.world, query, made_until=until)
        data = [answers.customer(row, dialect=self._dialect) for row in rows]
        return answers.ok(200, {"data": data, "count": count})

    def read(self, admitted: Admitted, customer_id: str) -> Response:
        """Return one customer: 200, or 404 if it is missing, deleted or of another mode."""
        row = admitted.world.get(customer_id)
        if row is None or row.deleted_at is not None:
            raise RefusalError(404, f"Customer with id {customer_id} not found")
        return self._tell(200, row)

    def update(self, visit: Visit, admitted: Admitted, customer_id: str, fields: dict[str, Any]) -> Response:
        """Change what was sent and nothing else, deleted customers too; the reference is not checked
        (observed).
        """
        columns = validation.columns(fields, dialect=self._dialect, partial=True)
        if "email_address" in columns:
            validation.refuse_disposable(columns["email_address"], domains=visit.disposable_domains)
        columns |= self._address_ids(columns)
        return self._alter(visit, admitted, customer_id, **columns)

    def block(self, visit: Visit, admitted: Admitted, customer_id: str) -> Response:
        """Block a customer; to block again moves `blockedAt` (observed)."""
        old = admitted.world.get(customer_id)
        at = self._later(old.blocked_at if old else None)
        return self._alter(
            visit, admitted, customer_id, is_blocked=True, blocked_at=at, blocked_by=admitted.caller.user_id
        )

    def unblock(self, visit: Visit, admitted: Admitted, customer_id: str) -> Response:
        """Unblock a customer."""
        return self._alter(visit, admitted, customer_id, is_blocked=False, blocked_at=None, blocked_by=None)

    def delete(self, visit: Visit, admitted: Admitted, customer_id: str) -> Response:
        """Soft-delete a customer where the reference is followed; refuse every id with 400 as observed
        otherwise.
        """
        if self._dialect == "seen":
            if admitted.world.get(customer_id) is None:
                raise RefusalError(404, "Object not found")
            raise RefusalError(400, f"Customer with id {customer_id} is already deleted.")
        return self._alter(visit, admitted, customer_id, deleted_at=self.now())

    def new_row(self, world: World, *, created_by: str | None, **columns: Any) -> Customer:
        """Make a row that is not in the world yet."""
        now = self.now()
        return Customer(
            id=self._new_id("cus"),
            organization_id=world.organization_id,
            livemode=world.livemode,
            created_at=now,
            updated_at=now,
            created_by=created_by,
            **(columns | self._address_ids(columns)),
        )

    def changed(self, row: Customer, columns: dict[str, Any]) -> Customer:
        """Return the row with other columns and a later `updated_at`, even if nothing else differs
        (observed).
        """
        return dataclasses.replace(row, **({"updated_at": self._later(row.updated_at)} | columns))

    def now(self) -> datetime:
        """Return the time in the service's precision of a millisecond."""
        now = self._clock().astimezone(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _alter(self, visit: Visit, admitted: Admitted, customer_id: str, **columns: Any) -> Response:
        columns["updated_by"] = admitted.caller.user_id
        with _email_conflict():
            row = admitted.world.change(customer_id, lambda old: self.changed(old, columns))
        if row is None:
            raise RefusalError(404, "Object not found")
        visit.customer_id, visit.reference = row.id, row.client_reference_id
        return self._tell(200 if self._dialect == "seen" else 201, row)

    def _tell(self, status: int, row: Customer) -> Response:
        return answers.ok(status, answers.customer(row, dialect=self._dialect))

    def _later(self, before: datetime | None) -> datetime:
        # The real service never answers twice within a millisecond; this one does, and a time that stands
        # still would be unlike it.
        now = self.now()
        return now if before is None else max(now, before + _TICK)

    def _address_ids(self, columns: dict[str, Any]) -> dict[str, Any]:
        return {
            f"{name}_id": None if columns[name] is None else self._new_id("adr")
            for name in ("address", "shipping_address")
            if name in columns
        }


class _email_conflict:  # noqa: N801 - used as a function
    """Turn the constraint's refusal into the service's 409."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, EmailTakenError):
            raise RefusalError(409, "Unique constraint failed on the fields: (`email_address`)") from None
