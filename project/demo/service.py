"""What KohortPay itself says: the sandbox through its switches, a real service through its documented API."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import requests

from kohort_sync import conf, connection
from kohort_sync.client import errors
from kohort_sync.client.customers import Customers
from kohort_sync.client.records import RemoteCustomer
from project.demo.standings import Standing

_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Customer:
    """Describe one living customer at KohortPay."""

    kohort_id: str
    email: str
    reference: str


class Sandbox:
    """Use the sandbox's own switches and records, which a real service does not have."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.session.close()

    def fail_once(self, fault: Mapping[str, Any], *, email: str) -> None:
        """Let the next request that creates this address go wrong."""
        wanted = {**fault, "method": "POST", "path_prefix": "/customers", "email": email, "times": 1}
        answer = self.session.post(f"{self.url}/_sandbox/faults", json=wanted, timeout=_SECONDS)
        answer.raise_for_status()

    def faults_left(self) -> int:
        """Count the faults that have not struck."""
        return len(self._records("faults"))

    def customers(self) -> list[Customer]:
        """Return every living customer."""
        return [
            Customer(
                kohort_id=row["id"], email=row["email_address"], reference=row["client_reference_id"] or ""
            )
            for row in self._records("customers")
            if row["deleted_at"] is None
        ]

    def creates(self) -> Counter[str]:
        """Count, by reference, the requests to create a customer that the service worked on."""
        creates = [row for row in self._records("log") if row["method"] == "POST" and row["reference"]]
        # A fault that left nothing behind came before the work.
        return Counter(row["reference"] for row in creates if row["customer_id"] or not row["fault"])

    def _records(self, name: str) -> list[dict[str, Any]]:
        answer = self.session.get(f"{self.url}/_sandbox/{name}", timeout=_SECONDS)
        answer.raise_for_status()
        records: list[dict[str, Any]] = answer.json()["data"]
        return records


class NoReferences(Exception):
    """Say that a service answers without references, as its documentation shows."""


def by_reference(standings: Iterable[Standing]) -> list[Customer]:
    """Search a service, as documented, for the customers of these links.

    Raises NoReferences, or a `KohortError` where the service does not answer. Needs Django's settings.
    """
    customers = _api()
    try:
        return [
            _customer(found, standing.reference)
            for standing in standings
            for found in customers.find(reference=standing.reference)
            if found.deleted_at is None
        ]
    except errors.Mismatch as mismatch:
        if mismatch.what == "reference_not_shown":
            raise NoReferences from None
        raise


def by_id(standings: Iterable[Standing]) -> list[Customer]:
    """Read the customer that each link points to. Raises like `by_reference`, but never NoReferences."""
    customers = _api()
    answers = [(customers.get(one.kohort_id).customer, one) for one in standings if one.kohort_id]
    return [_customer(found, one.reference) for found, one in answers if found.deleted_at is None]


def _api() -> Customers:
    return connection.customers(conf.accounts()["default"], organization_id="", threads=1)


def _customer(found: RemoteCustomer, reference: str) -> Customer:
    return Customer(kohort_id=found.kohort_id, email=found.email_address or "", reference=reference)
