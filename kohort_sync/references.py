"""References: the `clientReferenceId` of a link, made once and never changed."""

import re
import secrets
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Expression
from django.db.models.sql.compiler import SQLCompiler

MAX_LENGTH = 50
_RANDOM_BYTES = 16
LONGEST_PREFIX = MAX_LENGTH - 2 * _RANDOM_BYTES
# Observed: the service's search decodes its parameter twice and ignores a filter with an odd character.
_SAFE = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_LENGTH}}}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def new(*, prefix: str) -> str:
    """Make an unguessable reference: the prefix and 32 hex characters.

    Random, not the primary key: a restored backup gives an old key to a new person. What would make it
    unsafe or too long is left out of the prefix: a sign-up must not fail because of a setting.
    """
    return f"{_cleaned(prefix)}{secrets.token_hex(_RANDOM_BYTES)}"


class MadeByDatabase(Expression):
    """Stand for a new reference in each row, with 32 hex characters of the database's own random source."""

    output_field = CharField()

    def __init__(self, *, prefix: str) -> None:
        super().__init__()
        self.prefix = _cleaned(prefix)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str]]:
        """Write it for PostgreSQL: 122 of the bits are random."""
        del compiler, connection
        return "(%s || REPLACE(GEN_RANDOM_UUID()::text, '-', ''))", (self.prefix,)

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str]]:
        """Write it for MariaDB."""
        del compiler, connection
        return f"CONCAT(%s, LOWER(HEX(RANDOM_BYTES({_RANDOM_BYTES}))))", (self.prefix,)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str]]:
        """Write it for SQLite."""
        del compiler, connection
        return f"(%s || LOWER(HEX(RANDOMBLOB({_RANDOM_BYTES}))))", (self.prefix,)


def can_be_made_by_database(*, using: str) -> bool:
    """Say whether the database has such a source: MariaDB before 10.10 has none."""
    connection: Any = connections[using]
    is_mariadb = connection.vendor == "mysql" and connection.mysql_is_mariadb
    return not is_mariadb or connection.mysql_version >= (10, 10)


def _cleaned(prefix: str) -> str:
    return _UNSAFE.sub("", prefix)[:LONGEST_PREFIX]


def is_safe(reference: str) -> bool:
    """Say whether a reference can be searched for at the service."""
    return _SAFE.fullmatch(reference) is not None
