"""Storing: promise users who are in the database already, in one statement that stays inside it."""

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import F, QuerySet, Value
from django.db.models.expressions import Combinable

from kohort_sync import clock, conf, mapping, references
from kohort_sync.bulk import AnyOf
from kohort_sync.links.recording import record
from kohort_sync.links.rows import insert_or_ignore, new_row
from kohort_sync.models import CustomerLink, WorkClass

AT_ONCE = 1000
"""Users per statement of the engine's own: few enough that nobody waits long for one."""

# Of a site's own request. On the others a sign-up waits for the statement.
_ASKED_AT_ONCE = {"postgresql": 10 * AT_ONCE, "mysql": AT_ONCE, "sqlite": AT_ONCE}


def record_stored(users: QuerySet[Any], *, account: str, using: str, work_class: WorkClass) -> int:
    """Promise the users of a query, in its order, without loading them. Returns how many were new.

    Where the database cannot spell their keys or make a reference, they are loaded after all.
    """
    key = mapping.key_in_database(users.model, using=using)
    if key is None or not references.can_be_made_by_database(using=using):
        loaded = list(users.only("pk"))
        record(loaded, accounts=[account], using=using, work_class=work_class)
        return len(loaded)
    columns = _defaults() | {
        "account": Value(account),
        "user": F("pk"),
        "user_pk": key,
        "client_reference_id": references.MadeByDatabase(prefix=conf.reference_prefix()),
        "work_class": Value(work_class.value),
        "next_attempt_at": clock.DatabaseNow(),
    }
    return _insert(users, columns, using=using)


def record_keys(keys: Collection[Any], *, account: str, using: str, work_class: WorkClass) -> int:
    """Promise the stored users who have these keys, some at a time. Returns how many were new."""
    model = get_user_model()
    field = model._meta.pk
    # In one order everywhere, so that two callers cannot wait for each other in a circle.
    ordered = sorted({field.to_python(key) for key in keys})
    connection = connections[using]
    # Half of the parameters that a statement may have: the columns need a few of them.
    most = connection.ops.bulk_batch_size([field, field], ordered)
    size = max(1, min(_ASKED_AT_ONCE[connection.vendor], most))
    recorded = 0
    for start in range(0, len(ordered), size):
        among = AnyOf(F("pk"), ordered[start : start + size])
        users = model._base_manager.using(using).filter(among).order_by("pk")
        recorded += record_stored(users, account=account, using=using, work_class=work_class)
    return recorded


def _defaults() -> dict[str, Combinable]:
    return {
        field.name: value if isinstance(value, clock.DatabaseNow) else Value(value, output_field=field)
        for field, value in new_row().items()
    }


def _insert(users: QuerySet[Any], columns: Mapping[str, Combinable], *, using: str) -> int:
    """Select these columns of the users into the table of links; whoever has a row keeps it."""
    fields = {field.name: field for field in CustomerLink._meta.concrete_fields}
    # Names that no column of a host's user model has.
    selected = users.values(**{f"kohort_sync_{name}": value for name, value in columns.items()})
    try:
        select, values = selected.query.get_compiler(using).as_sql()
    except EmptyResultSet:
        return 0
    with connections[using].cursor() as cursor:
        cursor.execute(insert_or_ignore([fields[name] for name in columns], select, using=using), values)
        return int(cursor.rowcount)
