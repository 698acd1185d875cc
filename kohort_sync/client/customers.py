"""The customers API: every call, what is sent, and what has to be true before an answer is believed."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from kohort_sync.client import errors, records, refusals
from kohort_sync.client.records import Answer, CustomerData, Page, RemoteCustomer
from kohort_sync.client.transport import Exchange, Transport
from kohort_sync.redaction import Secret

# Documented: `take` goes from 1 to 25. Observed: 0 and 26 are a 400, and a negative `skip` is a 500.
PAGE_SIZE: Final = 25

_REFERENCE = re.compile(r"[A-Za-z0-9._-]{1,50}")
_ORDER = re.compile(r"[A-Za-z]+:(?:asc|desc)")
_ENCODED = re.compile(r"[A-Za-z0-9%._~-]*")
# Observed: a search with an operator or an odd character in its value returns the unfiltered list with 200.
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_SEARCHABLE = re.compile(r"""[\s\x00-\x1f\x7f,"'`<>=!~:;%\\()\[\]]""")


class Customers:
    """Call the customers API for one organization in one mode.

    Each method raises a `KohortError` when it fails and a ValueError for an argument that must not be sent.
    What an answer shows has to agree with the question, the mode and, where known, the organization.
    """

    def __init__(self, transport: Transport, *, livemode: bool, organization_id: str | None = None) -> None:
        self._transport = transport
        self._livemode = livemode
        self._organization_id = organization_id

    def create(self, data: CustomerData, *, reference: str) -> Answer:
        """Create a customer under a reference of ours (documented: 201).

        Any Definitive error may mean that an earlier attempt worked: look up by reference first.
        """
        question = refusals.Question(
            reference=reference, email=data.email_address, writes=True, sent=data, about=data
        )
        exchange = self._transport.exchange(
            "POST",
            "/customers",
            body=data.payload() | {"clientReferenceId": _checked_reference(reference)},
        )
        answer = self._one(exchange, question)
        if answer.customer.email_address is None and answer.customer.client_reference_id is None:
            # Nothing in it shows whose customer this is. It may well be ours: the look-up decides.
            raise errors.Unreadable("neither reference nor e-mail is shown", **records.facts_of(exchange))
        return answer

    def find(self, *, reference: str) -> tuple[RemoteCustomer, ...]:
        """Return every customer that shows exactly this reference, the deleted ones too.

        Observed: the filter may be dropped in silence, so each row is compared and strangers are left out.
        Raises Mismatch, `reference_not_shown`, where rows came and none shows any reference (the documented
        answer), and Mismatch where the reference is shown in another mode or organization only.
        """
        exchange = self._search(Secret(f"clientReferenceId:{_checked_reference(reference)}"))
        listed = records.listed_in(exchange)
        if listed.rows and not listed.shows("client_reference_id"):
            raise errors.Mismatch(what="reference_not_shown", **records.facts_of(exchange))
        return self._own(listed.where("client_reference_id", reference), exchange)

    def find_many(self, *, references: Sequence[str]) -> tuple[RemoteCustomer, ...]:
        """Return every customer that shows one of these references, 1 to 25 of them, in one request.

        Each row is compared as `find` does, which is asked for each where more rows exist than a page holds.
        """
        if not 1 <= len(references) <= PAGE_SIZE:
            raise ValueError("Ask for 1 to 25 references at once.")
        expression = " OR ".join(f"clientReferenceId:{_checked_reference(one)}" for one in references)
        exchange = self._search(Secret(expression))
        listed = records.listed_in(exchange)
        if listed.count is None or listed.count > len(listed.rows):
            return tuple(found for one in references for found in self.find(reference=one))
        if listed.rows and not listed.shows("client_reference_id"):
            raise errors.Mismatch(what="reference_not_shown", **records.facts_of(exchange))
        return tuple(
            found
            for one in references
            for found in self._own(listed.where("client_reference_id", one), exchange)
        )

    def find_by_email(self, *, email: str) -> tuple[RemoteCustomer, ...]:
        """Return every customer with exactly this e-mail address; the address travels in the URL.

        Raises ValueError for an address that the service's search grammar could misread (observed).
        """
        expression, wanted = Secret(_email_expression(email)), Secret(email)
        del email  # here and below: what is about a person stays out of the variables that a traceback shows
        exchange = self._search(expression)
        return self._own(records.listed_in(exchange).where("email_address", wanted.reveal()), exchange)

    def get(self, kohort_id: str, *, reference: str | None = None, email: str | None = None) -> Answer:
        """Return one customer (observed: 404 also for a deleted one and for the other mode)."""
        question = refusals.Question(kohort_id=kohort_id, reference=reference, email=email)
        del email
        return self._one(self._transport.exchange("GET", _path(kohort_id)), question)

    def update(
        self,
        kohort_id: str,
        changes: Mapping[str, object],
        *,
        reference: str | None,
        email: str | None,
        about: CustomerData | None = None,
    ) -> Answer:
        """Change the documented fields in `changes`, null where None (documented: 201, observed: 200).

        `email` is the address that the customer has to show afterwards. `about` is all that is known of the
        person: a refusal is kept without it, and without `about` no word of a refusal is kept. Raises
        ValueError for a null e-mail or locale, which are a 500 (observed).
        """
        for name in ("emailAddress", "locale"):
            if name in changes and changes[name] is None:
                raise ValueError(f"{name} cannot be null at KohortPay: leave it out.")
        question = refusals.Question(
            kohort_id=kohort_id, reference=reference, email=email, writes=True, sent=changes, about=about
        )
        del changes, email, about
        exchange = self._transport.exchange("PATCH", _path(kohort_id), body=question.body())
        return self._one(exchange, question)

    def block(self, kohort_id: str) -> Answer:
        """Block a customer (documented: 201, observed: 200); verify it with `get`."""
        return self._one(
            self._transport.exchange("PATCH", f"{_path(kohort_id)}/block"),
            refusals.Question(kohort_id=kohort_id),
        )

    def unblock(self, kohort_id: str) -> Answer:
        """Unblock a customer (documented: 201, observed: 200); verify it with `get`."""
        return self._one(
            self._transport.exchange("PATCH", f"{_path(kohort_id)}/unblock"),
            refusals.Question(kohort_id=kohort_id),
        )

    def delete(self, kohort_id: str) -> Answer | None:
        """Delete a customer; None where the service answers without one.

        Documented: 201 with the customer. Observed: always refused as already deleted, which is Rejected.
        """
        question = refusals.Question(kohort_id=kohort_id)
        exchange = self._transport.exchange("DELETE", _path(kohort_id))
        refusals.check_status(exchange, question)
        if not exchange.body.strip() or not records.holds_customer(exchange):
            return None
        return self._believed(records.customer_in(exchange), exchange, question)

    def page(
        self, *, take: int = PAGE_SIZE, skip: int = 0, order_by: str = "id:asc", search: str | None = None
    ) -> Page:
        """Return one page of all customers, 1 to 25 of them.

        `search` is an expression of our own making, passed through `encoded_search`. Rows of another mode or
        organization are told apart; raises Mismatch for a page that shows nothing else, and ValueError for
        arguments that the service misreads.
        """
        if not 1 <= take <= PAGE_SIZE or skip < 0 or _ORDER.fullmatch(order_by) is None:
            raise ValueError("A page takes 1 to 25 rows, skips none or more, and is ordered by `field:asc`.")
        if search is not None and _ENCODED.fullmatch(search) is None:
            raise ValueError("A search is passed through `encoded_search` first.")
        query = f"take={take}&skip={skip}&orderBy={order_by}" + (f"&search={search}" if search else "")
        exchange = self._transport.exchange("GET", "/customers", query=query)
        refusals.check_status(exchange, refusals.Question())
        listed = records.listed_in(exchange)
        if listed.count is None:
            raise errors.Unreadable("a list has no count", **records.facts_of(exchange))
        found = records.customers_in(listed, exchange)
        own = tuple(customer for customer in found if self._foreign(customer) is None)
        if found and not own:
            self._check_world(found[0], exchange)
        ids = tuple(customer.kohort_id for customer in found)
        known = {customer.kohort_id for customer in own}
        strangers = tuple(kohort_id for kohort_id in ids if kohort_id not in known)
        return Page(own, listed.count, exchange.milliseconds, ids, strangers)

    def _search(self, expression: Secret) -> Exchange:
        exchange = self._transport.exchange(
            "GET", "/customers", query=f"take={PAGE_SIZE}&search={encoded_search(expression.reveal())}"
        )
        refusals.check_status(exchange, refusals.Question())
        return exchange

    def _own(self, listed: "records.Listed", exchange: Exchange) -> tuple[RemoteCustomer, ...]:
        exact = records.customers_in(listed, exchange)
        own = tuple(customer for customer in exact if self._foreign(customer) is None)
        if exact and not own:
            # To answer "there is none" would invite a second customer beside this one.
            self._check_world(exact[0], exchange)
        return own

    def _one(self, exchange: Exchange, question: refusals.Question) -> Answer:
        refusals.check_status(exchange, question)
        return self._believed(records.customer_in(exchange), exchange, question)

    def _believed(self, customer: RemoteCustomer, exchange: Exchange, question: refusals.Question) -> Answer:
        self._check_world(customer, exchange)
        what = question.disagreement(customer)
        if what is not None:
            raise errors.Mismatch(what=what, **records.facts_of(exchange))
        return Answer(customer, exchange.status, exchange.milliseconds)

    def _check_world(self, customer: RemoteCustomer, exchange: Exchange) -> None:
        what = self._foreign(customer)
        if what is not None:
            raise errors.Mismatch(what=what, **records.facts_of(exchange))

    def _foreign(self, customer: RemoteCustomer) -> str | None:
        """Name what shows that a customer is not of our mode and organization, or None."""
        if customer.livemode is not None and customer.livemode is not self._livemode:
            return "livemode"
        known = self._organization_id
        if known and customer.organization_id is not None and customer.organization_id != known:
            return "organization"
        return None


def encoded_search(expression: str) -> str:
    """Encode a search expression for a URL; values in it are encoded before: the service decodes twice."""
    return quote(expression, safe="")


def _email_expression(email: str) -> str:
    if not email or _NOT_SEARCHABLE.search(email) or _LONE_SURROGATE.search(email):
        raise ValueError("This e-mail address cannot be searched for safely: look for it by hand.")
    value = quote(email, safe="")
    return f'emailAddress>="{value}" AND emailAddress<="{value}"'


def _path(kohort_id: str) -> str:
    if records.ID.fullmatch(kohort_id) is None:
        raise ValueError("This is not the id of a KohortPay customer (cus_…).")
    return f"/customers/{quote(kohort_id, safe='')}"


def _checked_reference(reference: str) -> str:
    if _REFERENCE.fullmatch(reference) is None:
        raise ValueError("A reference is made of 1 to 50 characters A-Z a-z 0-9 . _ - : check REFERENCE.")
    return reference
