"""Bulk: many rows of ours in one statement.

PostgreSQL is given them as one JSON document, which costs us and it a fraction of what a value in the
statement for each column does. The others are given what Django and their drivers have for many rows.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Field, Lookup, Model
from django.db.models.sql.compiler import SQLCompiler

_AT_ONCE = 1000

_Fields = Sequence["Field[Any, Any]"]


class AnyOf(Lookup):
    """Be one of many values: `AnyOf(F("pk"), keys)` filters as `pk__in=keys` does.

    PostgreSQL is given one array: a parameter for each costs us more than all the rest of a query.
    """

    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:  # type: ignore[override]
        """Write it."""
        values = [self.lhs.output_field.get_db_prep_value(value, connection) for value in self.rhs]
        if not values:
            raise EmptyResultSet
        left, parameters = self.process_lhs(compiler, connection)
        if connection.vendor == "postgresql":
            return f"{left} = ANY(%s)", [*parameters, values]
        return f"{left} IN ({', '.join(['%s'] * len(values))})", [*parameters, *values]


def update(rows: Sequence[Model], names: Collection[str], *, fence: tuple[str, str], using: str) -> None:
    """Write the named fields of rows, of each only where the column of the fence still has its value."""
    if not rows:
        return
    connection, meta = connections[using], rows[0]._meta
    quote = connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if field.name in names]
    table, key, guard = quote(meta.db_table), quote("id"), quote(fence[0])
    if connection.vendor == "postgresql":
        # The fence is part of the document: PostgreSQL would look for it first, in all rows of the table.
        given, document = _given(rows, [*fields, *_keys(rows[0])], connection, fence=fence[1])
        assignments = ", ".join(f"{column} = given.{column}" for column in _columns(fields, connection))
        fenced = f"{table}.{key} = given.{key} AND {table}.{guard} = given.fence"
        sql = f"UPDATE {table} SET {assignments} FROM {given} WHERE {fenced}"  # noqa: S608 — our names
        with connection.cursor() as cursor:
            cursor.execute(sql, [document])
        return
    assignments = ", ".join(f"{column} = %s" for column in _columns(fields, connection))
    sql = f"UPDATE {table} SET {assignments} WHERE {key} = %s AND {guard} = %s"  # noqa: S608 — our names
    values = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
        + [row.pk, fence[1]]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(sql, values)


def insert(rows: Sequence[Model], *, using: str) -> None:
    """Insert rows; what the database makes of them is not read back."""
    if rows and connections[using].vendor == "postgresql":
        _insert_given(rows, using=using)
    elif rows:
        type(rows[0])._base_manager.using(using).bulk_create(rows)


def upsert(rows: Sequence[Model], *, identity: tuple[str, str], using: str) -> dict[Any, int]:
    """Insert rows, and write over those that are there; return their keys by what they are called.

    A constraint of two fields says that nothing in a group is called as another: `identity` names these
    fields. The rows are of one group, and no two of them are called the same.
    """
    if not rows:
        return {}
    connection, (group, name) = connections[using], identity
    fields = [field for field in _inserted(rows[0]) if field.name not in identity]
    if connection.vendor == "postgresql":
        written = ", ".join(f"{column} = EXCLUDED.{column}" for column in _columns(fields, connection))
        quote = connection.ops.quote_name
        conflict = ", ".join(map(quote, identity))
        suffix = f" ON CONFLICT ({conflict}) DO UPDATE SET {written} RETURNING {quote(name)}, id"
        return dict(_insert_given(rows, suffix=suffix, using=using))
    names_target = connection.features.supports_update_conflicts_with_target
    manager = type(rows[0])._base_manager.using(using)
    manager.bulk_create(
        rows,
        batch_size=_AT_ONCE,
        update_conflicts=True,
        update_fields=[field.name for field in fields],
        unique_fields=identity if names_target else None,
    )
    there = manager.filter(
        AnyOf(F(name), [getattr(row, name) for row in rows]), **{group: getattr(rows[0], group)}
    )
    return dict(there.values_list(name, "pk"))


def _insert_given(rows: Sequence[Model], *, using: str, suffix: str = "") -> list[tuple[Any, ...]]:
    """Insert rows; return what the suffix gives back."""
    connection, fields = connections[using], _inserted(rows[0])
    for field in fields:
        if type(field).pre_save is not Field.pre_save:
            for row in rows:
                field.pre_save(row, add=True)
    table, columns = (
        connection.ops.quote_name(rows[0]._meta.db_table),
        ", ".join(_columns(fields, connection)),
    )
    told: list[tuple[Any, ...]] = []
    for start in range(0, len(rows), _AT_ONCE):
        given, document = _given(rows[start : start + _AT_ONCE], fields, connection)
        sql = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {given}{suffix}"  # noqa: S608 — our names
        with connection.cursor() as cursor:
            cursor.execute(sql, [document])
            told += cursor.fetchall() if suffix else []
    return told


def _keys(row: Model) -> _Fields:
    return [field for field in row._meta.concrete_fields if field.primary_key]


def _inserted(row: Model) -> _Fields:
    return [field for field in row._meta.concrete_fields if not field.primary_key]


def _columns(fields: _Fields, connection: BaseDatabaseWrapper) -> list[str]:
    return [connection.ops.quote_name(str(field.column)) for field in fields]


def _given(
    rows: Sequence[Model], fields: _Fields, connection: BaseDatabaseWrapper, *, fence: str = ""
) -> tuple[str, str]:
    """Return rows, each with the fence, as a table named `given`, and the document that it is made of."""
    types = (
        field.rel_db_type(connection) if field.primary_key else field.db_type(connection) for field in fields
    )
    columns = ", ".join(map(" ".join, zip(_columns(fields, connection), map(str, types), strict=True)))
    names = [(str(field.column), field.attname) for field in fields]
    values = [{"fence": fence} | {column: getattr(row, name) for column, name in names} for row in rows]
    document = json.dumps(values, default=datetime.isoformat, separators=(",", ":"))
    return f"json_to_recordset(%s) AS given(fence text, {columns})", document
