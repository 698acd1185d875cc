"""Rows: how many of them are locked and written at once."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import F, Field, QuerySet
from django.db.models.constants import OnConflict
from django.db.models.expressions import DatabaseDefault

from kohort_sync import bulk, clock, conf
from kohort_sync.bulk import AnyOf
from kohort_sync.models import CustomerLink


def locked(rows: QuerySet[CustomerLink], *, using: str) -> QuerySet[CustomerLink]:
    """Lock what is free and pass over the rest: the engine never waits for a lock while it holds another."""
    if connections[using].features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True)
    return rows


class Asked(NamedTuple):
    """Hold what the site or a person may have asked for while a row was being sent."""

    desired_version: int
    verify: bool
    look_again_at: Any
    erase_asked_at: Any
    wants_block: bool | None
    wants_restore: bool
    wants_customer: str


def hold(rows: QuerySet[CustomerLink], keys: Collection[int], *, using: str) -> dict[int, Asked]:
    """Lock those of `keys` that are free and among `rows`; return what was asked for meanwhile."""
    free = locked(rows.filter(AnyOf(F("pk"), keys)), using=using)
    names = Asked.__annotations__
    return {pk: Asked(*asked) for pk, *asked in free.values_list("pk", *names)}


def new_row() -> dict["Field[Any, Any]", Any]:
    """Return what a new row holds where nothing else is said; the database itself fills in nothing at all."""
    values: dict[Field[Any, Any], Any] = {}
    for field in CustomerLink._meta.concrete_fields:
        default = field.get_default()
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
            values[field] = clock.DatabaseNow()
        elif default is not None and not isinstance(default, DatabaseDefault):
            values[field] = default
    return values


def insert_or_ignore(fields: Iterable["Field[Any, Any]"], source: str, *, using: str) -> str:
    """Write the statement that inserts what a source gives for these fields; whoever has a row keeps it."""
    ops, ignore = connections[using].ops, OnConflict.IGNORE
    columns = ", ".join(ops.quote_name(str(field.column)) for field in fields)
    return (
        f"{ops.insert_statement(on_conflict=ignore)}"
        f" {ops.quote_name(CustomerLink._meta.db_table)} ({columns})"
        f" {source} {ops.on_conflict_suffix_sql((), ignore, (), ())}"
    )


def update_each(keys: Collection[int], *, using: str, **columns: Any) -> int:
    """Update rows that are locked already, by their keys alone; return how many.

    InnoDB looks at other rows too on its way to several, and waits for them: there each is a statement of
    its own.
    """
    rows = CustomerLink.objects.using(using)
    if _one_by_one(using):
        return sum(rows.filter(pk=key).update(**columns) for key in keys)
    return rows.filter(AnyOf(F("pk"), keys)).update(**columns)


def in_turns(keys: Collection[int], *, using: str) -> Iterator[list[int]]:
    """Give out keys a few at a time: a save of the site's that meets one of them waits for a moment only."""
    ordered = sorted(keys)
    at_once = _FEW if _one_by_one(using) else _MANY
    for start in range(0, len(ordered), at_once):
        yield ordered[start : start + at_once]


# Rows of one transaction: of one statement, and of a statement each.
_MANY = 100
_FEW = 20


def _one_by_one(using: str) -> bool:
    return connections[using].vendor == "mysql"


def second_look(link: CustomerLink) -> dict[str, Any]:
    """Return when a linked row is compared again whose lease was lost after something was intended.

    What was sent under that lease may still arrive until then.
    """
    if not (link.intent and link.lease_until is not None and link.customer_id is not None):
        return {}
    over = link.lease_until + timedelta(seconds=conf.settle_window())
    return {"look_again_at": max(over, link.look_again_at or over)}


def write(rows: Sequence[CustomerLink], columns: Sequence[str], *, token: str, using: str) -> None:
    """Write the columns of those rows that this token holds still."""
    bulk.update(rows, columns, fence=("lease_token", token), using=using)
