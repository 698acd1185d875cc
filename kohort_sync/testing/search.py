"""Read the `search` parameter the way the service does, oddities included.

All of it was observed: the parameter is decoded twice; ` AND `, ` OR ` and `,` part the terms, quotes or
not; a term is cut at the first kind of operator that it holds and what follows a second one is lost, so
that `clientReferenceId:user:42` asks for `user`; and whatever is not understood (an unknown field, no
operator, an odd character) drops the whole filter without a word.
"""

import dataclasses
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from kohort_sync.testing.store import Customer

# organizationId, livemode and deletedAt are left out on purpose: nothing good can rest on a search by them.
TEXTS = {
    "id": "id",
    "emailAddress": "email_address",
    "firstName": "first_name",
    "lastName": "last_name",
    "phoneNumber": "phone_number",
    "locale": "locale",
    "clientReferenceId": "client_reference_id",
    "createdBy": "created_by",
    "updatedBy": "updated_by",
    "blockedBy": "blocked_by",
}
TIMES = {"createdAt": "created_at", "updatedAt": "updated_at", "blockedAt": "blocked_at"}
FLAGS = {"isBlocked": "is_blocked"}
FIELDS = {**TEXTS, **TIMES, **FLAGS}
FIELDS |= {column: column for column in FIELDS.values()}

_OPERATORS = (">=", "<=", ">", "<", ":", "~", "!")  # tried in this order
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq,
    "!": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "~": lambda held, asked: isinstance(held, str) and asked in held,
}
_SEPARATORS = re.compile(r" AND | OR |,")
_BARE = re.compile(r"[A-Za-z0-9._+@-]+")  # anything else is odd, unless quoted
_QUOTED = re.compile(r'"([^"]*)"')
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[0-9T:.Z+-]*")  # a time may stand without quotes for its colons
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """Compare one column with one value; a null column never agrees, as in SQL."""

    column: str
    operator: str
    value: str | bool | datetime

    def matches(self, row: Customer) -> bool:
        held = getattr(row, self.column)
        return held is not None and _COMPARE[self.operator](held, self.value)


@dataclasses.dataclass(frozen=True, slots=True)
class Search:
    """Hold the terms of a filter that was understood; one ` OR ` anywhere makes all of them alternatives."""

    terms: tuple[Term, ...]
    any_of: bool

    def matches(self, row: Customer) -> bool:
        agree = (term.matches(row) for term in self.terms)
        return any(agree) if self.any_of else all(agree)


def parse(parameter: str) -> Search | None:
    """Return the filter in a parameter that the web framework has decoded once; None means: no filter at
    all.
    """
    text = _decode_again(parameter)
    if text is None:
        return None
    terms = [_term(part) for part in _SEPARATORS.split(text)]
    understood = tuple(term for term in terms if term is not None)
    return Search(understood, " OR " in text) if len(understood) == len(terms) else None


def _decode_again(text: str) -> str | None:
    if _BAD_ESCAPE.search(text):
        return None
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        return None


def _term(text: str) -> Term | None:
    sign = next((sign for sign in _OPERATORS if sign in text), None)
    if sign is None:
        return None
    field, asked, *_lost = text.split(sign)
    column = FIELDS.get(field.strip())
    value = None if column is None else _value(column, asked.strip())
    return None if column is None or value is None else Term(column, sign, value)


def _value(column: str, asked: str) -> str | bool | datetime | None:
    quoted = _QUOTED.fullmatch(asked)
    text = quoted[1] if quoted else asked
    if column in TIMES.values():
        return _time(text)
    if not quoted and not _BARE.fullmatch(text):
        return None
    if column in FLAGS.values():
        return {"true": True, "false": False}.get(text)
    return text


def _time(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
