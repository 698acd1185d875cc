"""Transactions: where the rows are, and how a transaction of the engine's own begins."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from kohort_sync.models import CustomerLink

# SQLite takes its write lock at once: a read that becomes a write later fails there without waiting. The
# others see what is committed, whatever the host has set: a stricter level fails instead, or locks rows that
# nobody asked for.
_BEGINS = {
    "sqlite": f"UPDATE {CustomerLink._meta.db_table} SET crashes = crashes WHERE 0 = 1",  # noqa: S608 — our name
    "postgresql": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "mysql": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
}


def database() -> str:
    """Name the database that holds the rows, for writing: the engine reads there too, never a replica."""
    return router.db_for_write(CustomerLink)


@contextmanager
def writing(*, using: str) -> Iterator[None]:
    """Open a transaction of the engine's own. Raises RuntimeError inside another one."""
    connection = connections[using]
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise RuntimeError("Autocommit is off: what is written here would not be there after a crash.")
    connection.ensure_connection()
    with _begun_at_its_level(connection) as is_set, transaction.atomic(using=using, durable=True):
        if not is_set:
            with connection.cursor() as cursor:
                cursor.execute(_BEGINS[connection.vendor])
        yield


@contextmanager
def _begun_at_its_level(connection: BaseDatabaseWrapper) -> Iterator[bool]:
    """Let psycopg 3 name the level as it begins, which saves a question; say whether it does."""
    driver = connection.connection
    if connection.in_atomic_block or not hasattr(driver, "pgconn"):
        yield False
        return
    from psycopg import IsolationLevel  # noqa: PLC0415 — only a site that uses it has it

    usual = driver.isolation_level
    with connection.wrap_database_errors:  # the session may be lost already
        driver.isolation_level = IsolationLevel.READ_COMMITTED
    try:
        yield True
    finally:
        if not driver.closed:
            driver.isolation_level = usual


def reconnect_if_lost(*, using: str) -> None:
    """Give up a connection that was closed from the other end while it was idle; the next use opens one."""
    connection = connections[using]
    if connection.connection is not None and not connection.in_atomic_block and not connection.is_usable():
        connection.close()
