"""The customers API: every call, what is sent, and what has to be true before an answer is believed."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, NoReturn, Self
from urllib.parse import quote

from kohort_sync import redaction
from kohort_sync.client import errors
from kohort_sync.client.transport import Exchange, Transport
from kohort_sync.redaction import Secret

# Documented: `take` goes from 1 to 25. Observed: 0 and 26 are a 400, and a negative `skip` is a 500.
PAGE_SIZE: Final = 25

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REFERENCE = re.compile(r"[A-Za-z0-9._-]{1,50}")
_ORDER = re.compile(r"[A-Za-z]+:(?:asc|desc)")
_ENCODED = re.compile(r"[A-Za-z0-9%._~-]*")
# Observed: a search with an operator or an odd character in its value returns the unfiltered list with 200.
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_SEARCHABLE = re.compile(r"""[\s\x00-\x1f\x7f,"'`<>=!~:;%\\()\[\]]""")

# Documented name of each field by ours. `locale` and `clientReferenceId` are missing in documented answers.
_FIELDS: Final = {
    "email_address": "emailAddress",
    "first_name": "firstName",
    "last_name": "lastName",
    "phone_number": "phoneNumber",
    "address": "address",
    "shipping_address": "shippingAddress",
    "metadata": "metadata",
    "locale": "locale",
    "client_reference_id": "clientReferenceId",
    "livemode": "livemode",
    "is_blocked": "isBlocked",
    "organization_id": "organizationId",
    "address_id": "addressId",
    "shipping_address_id": "shippingAddressId",
    "created_at": "createdAt",
    "created_by": "createdBy",
    "updated_at": "updatedAt",
    "updated_by": "updatedBy",
    "blocked_at": "blockedAt",
    "blocked_by": "blockedBy",
    "deleted_at": "deletedAt",
}
# Documented keys inside the two addresses; the others (street, city, state, country) are spelled alike.
_ADDRESS_KEYS: Final = {
    "postal_code": "postalCode",
    "address_line1": "addressLine1",
    "address_line_1": "addressLine1",
    "address_line2": "addressLine2",
    "address_line_2": "addressLine2",
    "company_name": "companyName",
    "vat_number": "vatNumber",
    "registration_number": "registrationNumber",
}


@dataclass(frozen=True, kw_only=True)
class CustomerData:
    """Hold what KohortPay shall know about one person (documented request fields); None is not sent."""

    email_address: str
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    address: Mapping[str, str] | None = None
    shipping_address: Mapping[str, str] | None = None
    metadata: Mapping[str, object] | None = None
    locale: str | None = None

    def __repr__(self) -> str:
        # Tracebacks and error reports print local variables; these are a person's.
        return "CustomerData(***)"

    def payload(self) -> dict[str, object]:
        """Spell the data as documented, without what is None (observed: a null locale or e-mail is a 500)."""
        payload: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                payload[_FIELDS[field.name]] = _spelled(field.name, value)
        return payload


def _spelled(name: str, value: Any) -> object:
    if name in ("address", "shipping_address"):
        return {_ADDRESS_KEYS.get(key, key): part for key, part in value.items() if part is not None}
    if name == "metadata":
        return dict(value)  # the keys are the host's own and never renamed
    return value


@dataclass(frozen=True, kw_only=True)
class RemoteCustomer:
    """Hold one customer as KohortPay shows it (documented and observed); None is absent, times are UTC."""

    kohort_id: str
    email_address: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    livemode: bool | None = None
    is_blocked: bool | None = None
    organization_id: str | None = None
    address_id: str | None = None
    shipping_address_id: str | None = None
    metadata: Mapping[str, object] | None = None
    locale: str | None = None
    client_reference_id: str | None = None
    created_at: datetime | None = None
    created_by: str | None = None
    updated_at: datetime | None = None
    updated_by: str | None = None
    blocked_at: datetime | None = None
    blocked_by: str | None = None
    deleted_at: datetime | None = None

    def __repr__(self) -> str:
        return f"RemoteCustomer(kohort_id={self.kohort_id!r})"

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read a customer in either spelling; only `id` is needed, unknown fields are left out.

        Raises Unreadable where a field that decides something (id, e-mail, reference, mode, organization,
        block, deletion) is of a wrong type; any other field of a wrong type counts as absent.
        """
        if not isinstance(raw, dict):
            raise errors.Unreadable("a customer is not an object")
        values: dict[str, Any] = {}
        for name, camel, kind, decides in _READ:
            value = raw[camel] if camel in raw else raw.get(name)
            if value is None:
                continue
            read = _read_as(kind, value)
            if read is None and decides:
                raise errors.Unreadable(f"{camel} of a customer is of a wrong type")
            values[name] = read
        return cls(kohort_id=_readable_id(raw.get("id")), **values)


_DECIDING: Final = {
    "email_address",
    "client_reference_id",
    "livemode",
    "is_blocked",
    "organization_id",
    "blocked_at",
    "deleted_at",
}
_KINDS: Final[dict[str, type]] = {"livemode": bool, "is_blocked": bool, "metadata": dict}
# (our name, documented name, type, whether a wrong type may be passed over)
_READ: Final = tuple(
    (
        field.name,
        _FIELDS[field.name],
        datetime if field.name.endswith("_at") else _KINDS.get(field.name, str),
        field.name in _DECIDING,
    )
    for field in fields(RemoteCustomer)
    if field.name != "kohort_id"
)


def _read_as(kind: type, value: object) -> object:
    if kind is datetime:
        return _moment(value)
    return value if isinstance(value, kind) else None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        # Observed: all times are UTC and say so with Z; one that says nothing is taken to be as well.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _readable_id(value: object) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise errors.Unreadable("a customer has no usable id")
    return value


@dataclass(frozen=True)
class Answer:
    """Hold a customer that was believed, the HTTP status and the duration in milliseconds."""

    customer: RemoteCustomer
    status: int
    milliseconds: int


@dataclass(frozen=True)
class Page:
    """Hold a page of customers, the total that the service counts, and the duration in milliseconds."""

    customers: tuple[RemoteCustomer, ...]
    count: int
    milliseconds: int


@dataclass(frozen=True)
class _Question:
    """What a call asked about, for its answer to be compared with and its refusal to be understood by."""

    kohort_id: str | None = None
    reference: str | None = None
    email: str | None = None
    writes: bool = False
    # What was sent, so that a refusal that repeats it can be stripped of it.
    sent: CustomerData | Mapping[str, object] | None = None

    def __repr__(self) -> str:
        return f"_Question(kohort_id={self.kohort_id!r})"

    def body(self) -> Mapping[str, object]:
        return self.sent.payload() if isinstance(self.sent, CustomerData) else self.sent or {}

    def disagreement(self, customer: RemoteCustomer) -> str | None:
        """Name what a customer shows differently from what was asked; what is not shown does not disagree."""
        for what, asked, shown in (
            ("id", self.kohort_id, customer.kohort_id),
            ("reference", self.reference, customer.client_reference_id),
            ("email", self.email, customer.email_address),
        ):
            if asked is not None and shown is not None and asked != shown:
                return what
        return None


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
        question = _Question(reference=reference, email=data.email_address, writes=True, sent=data)
        exchange = self._transport.exchange(
            "POST",
            "/customers",
            body=data.payload() | {"clientReferenceId": _checked_reference(reference)},
        )
        answer = self._one(exchange, question)
        if answer.customer.email_address is None and answer.customer.client_reference_id is None:
            # Nothing in it shows whose customer this is. It may well be ours: the look-up decides.
            raise errors.Unreadable("neither reference nor e-mail is shown", **_facts(exchange))
        return answer

    def find(self, *, reference: str) -> tuple[RemoteCustomer, ...]:
        """Return every customer that shows exactly this reference, the deleted ones too.

        Observed: the filter may be dropped in silence, so each row is compared and strangers are left out.
        Raises Mismatch, `reference_not_shown`, where rows came and none shows any reference (the documented
        answer), and Mismatch where the reference is shown in another mode or organization only.
        """
        exchange = self._search(Secret(f"clientReferenceId:{_checked_reference(reference)}"))
        listed = _listed(exchange)
        if listed.rows and not listed.shows("client_reference_id"):
            raise errors.Mismatch(what="reference_not_shown", **_facts(exchange))
        return self._own(listed.where("client_reference_id", reference), exchange)

    def find_by_email(self, *, email: str) -> tuple[RemoteCustomer, ...]:
        """Return every customer with exactly this e-mail address; the address travels in the URL.

        Raises ValueError for an address that the service's search grammar could misread (observed).
        """
        expression, wanted = Secret(_email_expression(email)), Secret(email)
        del email  # here and below: what is about a person stays out of the variables that a traceback shows
        exchange = self._search(expression)
        return self._own(_listed(exchange).where("email_address", wanted.reveal()), exchange)

    def get(self, kohort_id: str, *, reference: str | None = None, email: str | None = None) -> Answer:
        """Return one customer (observed: 404 also for a deleted one and for the other mode)."""
        question = _Question(kohort_id=kohort_id, reference=reference, email=email)
        return self._one(self._transport.exchange("GET", _path(kohort_id)), question)

    def update(
        self,
        kohort_id: str,
        changes: Mapping[str, object],
        *,
        reference: str | None,
        email: str | None,
    ) -> Answer:
        """Change the documented fields in `changes`, null where None (documented: 201, observed: 200).

        `email` is the address that the customer has to show afterwards. Raises ValueError for a null e-mail
        or locale, which are a 500 (observed).
        """
        for name in ("emailAddress", "locale"):
            if name in changes and changes[name] is None:
                raise ValueError(f"{name} cannot be null at KohortPay: leave it out.")
        question = _Question(kohort_id=kohort_id, reference=reference, email=email, writes=True, sent=changes)
        del changes, email
        exchange = self._transport.exchange("PATCH", _path(kohort_id), body=question.body())
        return self._one(exchange, question)

    def block(self, kohort_id: str) -> Answer:
        """Block a customer (documented: 201, observed: 200); verify it with `get`."""
        return self._one(
            self._transport.exchange("PATCH", f"{_path(kohort_id)}/block"), _Question(kohort_id=kohort_id)
        )

    def unblock(self, kohort_id: str) -> Answer:
        """Unblock a customer (documented: 201, observed: 200); verify it with `get`."""
        return self._one(
            self._transport.exchange("PATCH", f"{_path(kohort_id)}/unblock"), _Question(kohort_id=kohort_id)
        )

    def delete(self, kohort_id: str) -> Answer | None:
        """Delete a customer; None where the service answers without one.

        Documented: 201 with the customer. Observed: always refused as already deleted, which is Rejected.
        """
        question = _Question(kohort_id=kohort_id)
        exchange = self._transport.exchange("DELETE", _path(kohort_id))
        _check_status(exchange, question)
        if not exchange.body.strip() or not _holds_customer(exchange):
            return None
        return self._believed(_customer(exchange), exchange, question)

    def page(
        self, *, take: int = PAGE_SIZE, skip: int = 0, order_by: str = "id:asc", search: str | None = None
    ) -> Page:
        """Return one page of all customers, 1 to 25 of them.

        `search` is an expression of our own making, passed through `encoded_search`. Raises Mismatch for a
        page that shows another mode or organization, ValueError for arguments that the service misreads.
        """
        if not 1 <= take <= PAGE_SIZE or skip < 0 or _ORDER.fullmatch(order_by) is None:
            raise ValueError("A page takes 1 to 25 rows, skips none or more, and is ordered by `field:asc`.")
        if search is not None and _ENCODED.fullmatch(search) is None:
            raise ValueError("A search is passed through `encoded_search` first.")
        query = f"take={take}&skip={skip}&orderBy={order_by}" + (f"&search={search}" if search else "")
        exchange = self._transport.exchange("GET", "/customers", query=query)
        _check_status(exchange, _Question())
        listed = _listed(exchange)
        if listed.count is None:
            raise errors.Unreadable("a list has no count", **_facts(exchange))
        found = _customers(listed, exchange)
        for customer in found:
            self._check_world(customer, exchange)
        return Page(found, listed.count, exchange.milliseconds)

    def _search(self, expression: Secret) -> Exchange:
        exchange = self._transport.exchange(
            "GET", "/customers", query=f"take={PAGE_SIZE}&search={encoded_search(expression.reveal())}"
        )
        _check_status(exchange, _Question())
        return exchange

    def _own(self, listed: "_Listed", exchange: Exchange) -> tuple[RemoteCustomer, ...]:
        exact = _customers(listed, exchange)
        own = tuple(customer for customer in exact if self._foreign(customer) is None)
        if exact and not own:
            # To answer "there is none" would invite a second customer beside this one.
            self._check_world(exact[0], exchange)
        return own

    def _one(self, exchange: Exchange, question: _Question) -> Answer:
        _check_status(exchange, question)
        return self._believed(_customer(exchange), exchange, question)

    def _believed(self, customer: RemoteCustomer, exchange: Exchange, question: _Question) -> Answer:
        self._check_world(customer, exchange)
        what = question.disagreement(customer)
        if what is not None:
            raise errors.Mismatch(what=what, **_facts(exchange))
        return Answer(customer, exchange.status, exchange.milliseconds)

    def _check_world(self, customer: RemoteCustomer, exchange: Exchange) -> None:
        what = self._foreign(customer)
        if what is not None:
            raise errors.Mismatch(what=what, **_facts(exchange))

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
    if _ID.fullmatch(kohort_id) is None:
        raise ValueError("This is not the id of a KohortPay customer (cus_…).")
    return f"/customers/{quote(kohort_id, safe='')}"


def _checked_reference(reference: str) -> str:
    if _REFERENCE.fullmatch(reference) is None:
        raise ValueError("A reference is made of 1 to 50 characters A-Z a-z 0-9 . _ - : check REFERENCE.")
    return reference


def _facts(exchange: Exchange) -> dict[str, Any]:
    return {"status": exchange.status, "milliseconds": exchange.milliseconds}


# Reading a success


def _customer(exchange: Exchange) -> RemoteCustomer:
    return _customers(_Listed([_document(exchange)], None), exchange)[0]


def _customers(listed: "_Listed", exchange: Exchange) -> tuple[RemoteCustomer, ...]:
    try:
        return tuple(map(RemoteCustomer.parse, listed.rows))
    except errors.Unreadable as unreadable:
        detail = unreadable.detail
    # Raised anew: the frames that looked into the customer are not part of it.
    raise errors.Unreadable(detail, **_facts(exchange))


def _holds_customer(exchange: Exchange) -> bool:
    raw = _document(exchange)
    return isinstance(raw, dict) and "id" in raw


def _listed(exchange: Exchange) -> "_Listed":
    listed = _Listed.read(_document(exchange))
    if listed is None:
        raise errors.Unreadable("it is not a list of customers", **_facts(exchange))
    return listed


@dataclass(frozen=True)
class _Listed:
    """Hold the rows of a list unread (documented: `data` and `count`); count is None if it is no number."""

    rows: list[Any]
    count: int | None

    def __repr__(self) -> str:
        return f"_Listed({len(self.rows)})"

    @classmethod
    def read(cls, raw: object) -> Self | None:
        rows = raw.get("data") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(rows, list):
            return None
        if not all(isinstance(row, dict) for row in rows):
            return None
        count = raw.get("count")
        return cls(rows, count if type(count) is int and count >= 0 else None)

    def shows(self, name: str) -> bool:
        return any(name in row or _FIELDS[name] in row for row in self.rows)

    def where(self, name: str, value: str) -> "_Listed":
        """Keep the rows with exactly this value; the others need not even be readable."""
        camel = _FIELDS[name]
        return _Listed([r for r in self.rows if (r[camel] if camel in r else r.get(name)) == value], None)


def _document(exchange: Exchange) -> Any:
    """Read a body as JSON, or raise Unreadable whatever is wrong with it."""
    document = _decoded(exchange.body)
    if document is _NO_DOCUMENT:
        raise errors.Unreadable(**_facts(exchange))
    return document


def _decoded(body: bytes) -> Any:
    try:
        text = body.decode()
        raw = _DECODER.decode(text)
        return _storable(raw) if _UNSTORABLE.search(text) else raw
    except (ValueError, RecursionError):
        return _NO_DOCUMENT


_NO_DOCUMENT: Final = object()


def _refused_number(text: str) -> NoReturn:
    raise ValueError(text[:8])


def _integer(text: str) -> int:
    # A limit of our own: Python's may be switched off by the host, and a database has one too.
    return int(text) if len(text) <= _LONGEST_NUMBER else _refused_number(text)


def _float(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refused_number(text)


_LONGEST_NUMBER: Final = 300
_DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_refused_number)
_UNSTORABLE: Final = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)


def _storable(value: Any) -> Any:
    """Replace what no database stores as text: NUL characters and lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


# Understanding a refusal

_KEY_TALK = re.compile(
    r"\b(?:authori[sz]ation|authentication|bearer|api[ _-]?key|(?:secret|access) (?:key|token))\b",
    re.IGNORECASE,
)
_KEY_SHOWN = re.compile(r"[sp]k_(?:test|live)_")
_NO_ORGANIZATION = re.compile(r"organi[sz]ation not found", re.IGNORECASE)
_REFERENCE_TAKEN = re.compile(r"client reference id .*already exists", re.IGNORECASE | re.DOTALL)
_BY_EITHER_NAME: Final = {**{camel: camel for camel in _FIELDS.values()}, **_FIELDS}
_PERSONAL: Final = ("emailAddress", "firstName", "lastName", "phoneNumber", "address", "shippingAddress")
_MESSAGES_READ: Final = 20
_ABOUT_DATA: Final = (413, 422)  # their names in http.HTTPStatus change with the version of Python


def _check_status(exchange: Exchange, question: _Question) -> None:
    """Raise what an unsuccessful status means; the message decides where one status means several things."""
    status, facts = exchange.status, _facts(exchange)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise errors.RateLimited(retry_after=errors.retry_after(exchange.headers), **facts)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        waits = status == HTTPStatus.SERVICE_UNAVAILABLE
        raise errors.ServerError(retry_after=errors.retry_after(exchange.headers) if waits else None, **facts)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise errors.KeyRefused(**facts)
    if status < HTTPStatus.BAD_REQUEST:  # 1xx: the transport has dealt with 3xx
        raise errors.Unreadable("it is not a final answer", **facts)
    raise _refusal(status, _Messages.read(exchange), facts, question)


def _refusal(
    status: int, messages: "_Messages", facts: dict[str, Any], question: _Question
) -> errors.KohortError:
    said = redaction.redact(messages.text, known=_personal_texts(question.body()))
    bad_request = status == HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.CONFLICT and question.writes:
        return errors.EmailTaken(**facts)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return _missing(messages, facts, question)
    if bad_request and _REFERENCE_TAKEN.search(messages.text):
        return errors.ReferenceTaken(**facts)
    if status in _ABOUT_DATA or (bad_request and messages.is_list):
        return errors.Invalid(said, fields=messages.fields(), **facts)
    # Of the talk only what is not a person's own words: somebody's address may begin with "bearer".
    if bad_request and (_KEY_TALK.search(said) or _KEY_SHOWN.search(messages.text)):
        return errors.KeyRefused(**facts)
    return errors.Rejected(said, **facts)


def _missing(messages: "_Messages", facts: dict[str, Any], question: _Question) -> errors.KohortError:
    # Observed: a key whose organization is gone is a 404 on every call.
    if _NO_ORGANIZATION.search(messages.text):
        return errors.KeyRefused(**facts)
    if question.kohort_id is not None:
        return errors.NotFound(**facts)
    # The list of customers itself cannot be missing: whoever answers is not KohortPay's API.
    return errors.Mismatch(what="address", **facts)


@dataclass(frozen=True)
class _Messages:
    """What a refusal says (observed: `error.message`, one text or a list of them)."""

    texts: tuple[str, ...]
    is_list: bool

    def __repr__(self) -> str:
        return f"_Messages({len(self.texts)})"

    @classmethod
    def read(cls, exchange: Exchange) -> Self:
        raw = _decoded(exchange.body)
        error = raw.get("error", raw) if isinstance(raw, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, list):
            texts = tuple(text for text in message[:_MESSAGES_READ] if isinstance(text, str))
            return cls(texts, is_list=True)
        return cls((message,) if isinstance(message, str) else (), is_list=False)

    @property
    def text(self) -> str:
        return "; ".join(self.texts)

    def fields(self) -> tuple[str, ...]:
        """Name the documented fields that the messages speak of, each once."""
        named = [name for text in self.texts for name in _fields_in(text)]
        return tuple(dict.fromkeys(named))


def _fields_in(text: str) -> Iterable[str]:
    # Observed: a message begins with its field ("emailAddress must be …"), a nested one with its path. Only
    # where it does not are other words looked at: "address" is an ordinary word too.
    words = re.findall(r"[A-Za-z_]+", text[:1000])
    names = [_BY_EITHER_NAME[word] for word in words if word in _BY_EITHER_NAME]
    return names[:1] if words and words[0] in _BY_EITHER_NAME else names


def _personal_texts(payload: Mapping[str, object]) -> tuple[str, ...]:
    """List the texts about a person in what was sent."""
    found: list[str] = []
    for name in _PERSONAL:
        value = payload.get(name)
        parts = value.values() if isinstance(value, Mapping) else (value,)
        found += [part for part in parts if isinstance(part, str)]
    return tuple(found)
