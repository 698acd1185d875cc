"""The calls of the API: how each asks, and what its answer has to agree with before it is believed."""

from collections.abc import Callable
from dataclasses import dataclass

from kohort_sync.client import errors, records
from kohort_sync.client.customers import Customers
from kohort_sync.client.records import RemoteCustomer
from tests.client.conftest import DATA, EMAIL, REFERENCE


@dataclass(frozen=True)
class Call:
    """One call: `agrees_on` is what it asked about and its answer may not show differently."""

    ask: Callable[[Customers], object]
    agrees_on: tuple[str, ...] = ()
    # Rows of a look-up have to show it; a single customer may keep it to itself (documented answers do).
    has_to_show: tuple[str, ...] = ()
    on_one: bool = False  # it names a customer by id
    writes_data: bool = False  # it sends a person's data, and may meet an address that is taken
    changes: bool = False  # a POST, PATCH or DELETE

    def outcome(self, client: Customers) -> object:
        """Ask, and return the answer or our error; any other exception is the test's failure."""
        try:
            return self.ask(client)
        except errors.KohortError as error:
            return error

    def in_a_word(self, outcome: object) -> str:
        """Name an outcome: `believed`, `nothing`, an error with what it speaks of, or what must not be."""
        if isinstance(outcome, errors.Mismatch):
            return f"Mismatch {outcome.what}"
        if isinstance(outcome, errors.KohortError):
            return type(outcome).__name__
        rows = customers_of(outcome)
        if rows is None:
            return f"something else: {type(outcome).__name__}"
        if not all(map(self.agrees_with, rows)):
            return "believed although it disagrees"
        return "believed" if rows else "nothing"

    def agrees_with(self, shown: RemoteCustomer) -> bool:
        asked: dict[str, tuple[object, object]] = {
            "kohort_id": ("cus_1", shown.kohort_id),
            "client_reference_id": (REFERENCE, shown.client_reference_id),
            "email_address": (EMAIL, shown.email_address),
            "livemode": (False, shown.livemode),
            "organization_id": ("org_1", shown.organization_id),
        }
        strict = all(asked[name][0] == asked[name][1] for name in self.has_to_show)
        compared = ("livemode", "organization_id", *self.agrees_on)
        return strict and all(asked[name][1] in (None, asked[name][0]) for name in compared)


def customers_of(outcome: object) -> tuple[RemoteCustomer, ...] | None:
    """List the customers that an answer hands out; None where it is no answer of ours."""
    if outcome is None:
        return ()
    if isinstance(outcome, records.Answer):
        return (outcome.customer,)
    rows = outcome.customers if isinstance(outcome, records.Page) else outcome
    if isinstance(rows, tuple) and all(isinstance(row, RemoteCustomer) for row in rows):
        return rows
    return None


_PERSON = ("client_reference_id", "email_address")
CALLS: dict[str, Call] = {
    "create": Call(
        lambda c: c.create(DATA, reference=REFERENCE), agrees_on=_PERSON, writes_data=True, changes=True
    ),
    "get": Call(
        lambda c: c.get("cus_1", reference=REFERENCE, email=EMAIL),
        agrees_on=("kohort_id", *_PERSON),
        on_one=True,
    ),
    "update": Call(
        lambda c: c.update("cus_1", DATA.payload(), reference=REFERENCE, email=EMAIL),
        agrees_on=("kohort_id", *_PERSON),
        on_one=True,
        writes_data=True,
        changes=True,
    ),
    "block": Call(lambda c: c.block("cus_1"), agrees_on=("kohort_id",), on_one=True, changes=True),
    "unblock": Call(lambda c: c.unblock("cus_1"), agrees_on=("kohort_id",), on_one=True, changes=True),
    "delete": Call(lambda c: c.delete("cus_1"), agrees_on=("kohort_id",), on_one=True, changes=True),
    "find": Call(lambda c: c.find(reference=REFERENCE), has_to_show=("client_reference_id",)),
    "find_many": Call(lambda c: c.find_many(references=[REFERENCE]), has_to_show=("client_reference_id",)),
    "find_by_email": Call(lambda c: c.find_by_email(email=EMAIL), has_to_show=("email_address",)),
    "page": Call(lambda c: c.page()),
}
