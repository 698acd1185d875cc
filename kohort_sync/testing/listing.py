"""Answer `GET /customers`: its parameters, its order and its pages.

Pages are numbered and not keyed, so inserts shift them; and rows that tie in the sort field change places
between pages, which makes a walk by `skip` miss and repeat rows (observed). Unlike a small test table, this
one shows that at once.
"""

import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from kohort_sync.testing import answers, search
from kohort_sync.testing.search import Search, Term
from kohort_sync.testing.store import Customer, World

MOST = 25
_DEFAULT_ORDER = ("created_at", True)
_UNIQUE = {"id", "email_address"}


def page(world: World, query: str, *, made_until: datetime | None = None) -> tuple[list[Customer], int]:
    """Return one page and the total count; deleted rows are in neither, nor what was made after a time.

    Raise a 400 for a `take` outside 1-25 or something that is no number, a 500 for a negative `skip`
    (observed).
    """
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    take, skip = _window(parameters)
    column, descending = _order(parameters.get("orderBy") or parameters.get("order_by") or "")
    wanted = search.parse(parameters["search"]) if "search" in parameters else None
    terms = wanted.terms if wanted else ()
    if (
        made_until is None
        and column == "id"
        and (wanted is None or not wanted.any_of)
        and all(map(_is_id_bound, terms))
    ):
        return _walk_by_id(world, terms, skip=skip, take=take, descending=descending)
    rows = [row for row in _candidates(world, wanted) if wanted is None or wanted.matches(row)]
    if made_until is not None:
        rows = [row for row in rows if row.created_at <= made_until]
    if column not in _UNIQUE:
        rows.sort(key=lambda row: zlib.crc32(f"{skip}:{row.id}".encode()))
    rows.sort(key=lambda row: _rank(getattr(row, column)), reverse=descending)
    return rows[skip : skip + take], len(rows)


def _window(parameters: Mapping[str, str]) -> tuple[int, int]:
    take, skip = _number(parameters.get("take", str(MOST))), _number(parameters.get("skip", "0"))
    faults = []
    if take is None:
        faults.append("take must be an integer number")
    elif take > MOST:
        faults.append(f"take must not be greater than {MOST}")
    elif take < 1:
        faults.append("take must not be less than 1")
    if skip is None:
        faults.append("skip must be an integer number")
    if faults:
        raise answers.RefusalError(400, faults)
    if take is None or skip is None or skip < 0:
        raise answers.internal()
    return take, skip


def _number(text: str) -> int | None:
    try:
        return int(text.strip() or "0")
    except ValueError:
        return None


def _order(text: str) -> tuple[str, bool]:
    # Without a direction, or with a field that it does not know, the service sorts by createdAt, newest
    # first, and says nothing.
    field, _, direction = text.partition(":")
    column = search.FIELDS.get(field)
    if column is None or direction not in {"asc", "desc"}:
        return _DEFAULT_ORDER
    return column, direction == "desc"


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


def _is_id_bound(term: Term) -> bool:
    return term.column == "id" and term.operator in {">", ">=", "<", "<="}


def _walk_by_id(
    world: World, terms: tuple[Term, ...], *, skip: int, take: int, descending: bool
) -> tuple[list[Customer], int]:
    # A walk over 100,000 customers asks 4,000 such questions: each must cost a page and not a table.
    lows = [(str(term.value), term.operator == ">=") for term in terms if term.operator in {">", ">="}]
    highs = [(str(term.value), term.operator == "<=") for term in terms if term.operator in {"<", "<="}]
    return world.live_range(
        above=max(lows, key=lambda bound: (bound[0], not bound[1]), default=None),
        below=min(highs, default=None),
        skip=skip,
        take=take,
        descending=descending,
    )


def _candidates(world: World, wanted: Search | None) -> list[Customer]:
    """Return the living rows that can match, from an index where one of the service's own would do."""
    if wanted is None:
        return world.live()
    pins = [term for term in wanted.terms if term.column == "client_reference_id" and term.operator == ":"]
    if len(pins) == len(wanted.terms) if wanted.any_of else pins:
        references = {str(term.value) for term in (pins if wanted.any_of else pins[:1])}
        return [row for reference in references for row in world.with_reference(reference)]
    if not wanted.any_of and (email := _pinned_email(wanted.terms)) is not None:
        row = world.with_email(email)
        return [] if row is None or row.deleted_at is not None else [row]
    return world.live()


def _pinned_email(terms: tuple[Term, ...]) -> str | None:
    asked = {term.operator: str(term.value) for term in terms if term.column == "email_address"}
    if ":" in asked:
        return asked[":"]
    return asked[">="] if ">=" in asked and asked.get("<=") == asked[">="] else None
