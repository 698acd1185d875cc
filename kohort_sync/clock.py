"""The clock: the database's time for rows, because web servers and workers disagree about theirs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Expression
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

Sql = tuple[str, tuple[str | int, ...]]


class DatabaseNow(Expression):
    """Stand for the present moment as the database sees it, in the convention of a `DateTimeField`.

    Django's own `Now()` follows the session's time zone on MariaDB and would shift a lease by hours.
    """

    output_field = DateTimeField()

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Sql:
        """Write it for PostgreSQL."""
        del compiler, connection
        return "STATEMENT_TIMESTAMP()", ()

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Sql:
        """Write it for MariaDB."""
        del compiler
        return "(UTC_TIMESTAMP(6) + INTERVAL %s SECOND)", (_stored_offset(connection),)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Sql:
        """Write it for SQLite: it compares texts, so a whole second is spelled as Django spells it."""
        del compiler
        spelled = "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s)"
        return f"RTRIM(RTRIM({spelled}, '0'), '.')", (f"{_stored_offset(connection):+d} seconds",)


def written(connection: BaseDatabaseWrapper) -> Sql:
    """Write `DatabaseNow` for a statement that is not Django's."""
    present: Any = DatabaseNow()
    write = getattr(present, f"as_{connection.vendor}", present.as_sql)
    sql: Sql = write(None, connection)
    return sql


def now(*, using: str) -> datetime:
    """Ask the database for the time, as a value that may be compared with a `DateTimeField`."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(_MICROSECONDS[connection.vendor])
        (microseconds,) = cursor.fetchone()
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds))
    return moment if settings.USE_TZ else timezone.make_naive(moment, timezone.get_default_timezone())


# Since 1970. In whole numbers, and as fine as DatabaseNow: a row that is due now must not be due in a moment.
_MICROSECONDS = {
    "postgresql": "SELECT (EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000000)::bigint",
    "mysql": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
    "sqlite": "SELECT STRFTIME('%s', 'now') * 1000000 + SUBSTR(STRFTIME('%f', 'now'), 4) * 1000",
}


def _stored_offset(connection: BaseDatabaseWrapper) -> int:
    """Seconds from UTC to what a `DateTimeField` stores where the database has no time zones.

    None, unless the host runs with USE_TZ off or gives the database a TIME_ZONE of its own. By the site's
    own time zone: one that a request has activated is not what Django stores.
    """
    zone = connection.timezone if settings.USE_TZ else timezone.get_default_timezone()
    offset = datetime.now(tz=zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0
