"""Records: what is sent about a customer, what comes back, and how it is read."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, Self

from kohort_sync.client import errors
from kohort_sync.client.transport import Exchange

ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

# Documented name of each field by ours. `locale` and `clientReferenceId` are missing in documented answers.
FIELDS: Final = {
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
        for name in _SENT:
            value = getattr(self, name)
            if value is not None:
                payload[FIELDS[name]] = _spelled(name, value)
        return payload


_SENT: Final = tuple(field.name for field in fields(CustomerData))


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

    @property
    def blocked(self) -> bool:
        """Say whether it is blocked, by whichever of the two fields the answer shows."""
        return bool(self.is_blocked) or self.blocked_at is not None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read a customer in either spelling; only `id` is needed, unknown fields are left out.

        Raises Unreadable where a field that decides something (id, e-mail, reference, mode, organization,
        block, deletion) is of a wrong type or differs between its two spellings; any other field of a wrong
        type counts as absent.
        """
        if not isinstance(raw, dict):
            raise errors.Unreadable("a customer is not an object")
        values: dict[str, Any] = {}
        for name, camel, kind, decides in _READ:
            shown = _shown(raw, name)
            if not shown:
                continue
            read = _read_as(kind, shown[0])
            if read is None and decides:
                raise errors.Unreadable(f"{camel} of a customer is of a wrong type")
            if decides and shown[0] != shown[-1]:
                raise errors.Unreadable(f"{camel} of a customer is shown twice and differs")
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
        FIELDS[field.name],
        datetime if field.name.endswith("_at") else _KINDS.get(field.name, str),
        field.name in _DECIDING,
    )
    for field in fields(RemoteCustomer)
    if field.name != "kohort_id"
)


# No metadata is nested like this by anybody; what walks through it later would run out of stack.
_DEEPEST: Final = 100


def _shown(raw: Mapping[str, Any], name: str) -> list[Any]:
    """List what a customer shows for a field: in the documented spelling, in the observed one, or in both."""
    return [raw[spelling] for spelling in (FIELDS[name], name) if raw.get(spelling) is not None]


def _read_as(kind: type, value: object) -> object:
    if kind is datetime:
        return _moment(value)
    return value if isinstance(value, kind) and (kind is not dict or _is_shallow(value)) else None


def _is_shallow(value: object) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


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
    if not isinstance(value, str) or ID.fullmatch(value) is None:
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
    """Hold a page of customers, the total that the service counts, and the duration in milliseconds.

    `ids` are those of all rows in their order; the rows of another mode or organization are `strangers`, and
    not among the customers.
    """

    customers: tuple[RemoteCustomer, ...]
    count: int
    milliseconds: int
    ids: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()


# Reading


def customer_in(exchange: Exchange) -> RemoteCustomer:
    return customers_in(Listed([document(exchange)], None), exchange)[0]


def customers_in(listed: "Listed", exchange: Exchange) -> tuple[RemoteCustomer, ...]:
    try:
        return tuple(map(RemoteCustomer.parse, listed.rows))
    except errors.Unreadable as unreadable:
        detail = unreadable.detail
    # Raised anew: the frames that looked into the customer are not part of it.
    raise errors.Unreadable(detail, **facts_of(exchange))


def holds_customer(exchange: Exchange) -> bool:
    raw = document(exchange)
    return isinstance(raw, dict) and "id" in raw


def listed_in(exchange: Exchange) -> "Listed":
    listed = Listed.read(document(exchange))
    if listed is None:
        raise errors.Unreadable("it is not a list of customers", **facts_of(exchange))
    return listed


@dataclass(frozen=True)
class Listed:
    """Hold the rows of a list unread (documented: `data` and `count`); count is None if it is no number."""

    rows: list[Any]
    count: int | None

    def __repr__(self) -> str:
        return f"Listed({len(self.rows)})"

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
        return any(name in row or FIELDS[name] in row for row in self.rows)

    def where(self, name: str, value: str) -> "Listed":
        """Keep the rows with exactly this text, and those where it cannot be read: they may have it.

        The others need not be readable.
        """
        return Listed(
            [
                row
                for row in self.rows
                if any(shown == value or not isinstance(shown, str) for shown in _shown(row, name))
            ],
            None,
        )


def document(exchange: Exchange) -> Any:
    """Read a body as JSON, or raise Unreadable whatever is wrong with it."""
    document = decoded(exchange.body)
    if document is NO_DOCUMENT:
        raise errors.Unreadable(**facts_of(exchange))
    return document


def decoded(body: bytes) -> Any:
    try:
        text = body.decode()
        raw = _DECODER.decode(text)
        return _storable(raw) if _UNSTORABLE.search(text) else raw
    except (ValueError, RecursionError):
        return NO_DOCUMENT


NO_DOCUMENT: Final = object()


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


def facts_of(exchange: Exchange) -> dict[str, Any]:
    return {"status": exchange.status, "milliseconds": exchange.milliseconds}
