"""What only a server shows, on PostgreSQL and MariaDB whatever database the other tests run on."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.db import connections
from django.db.utils import load_backend

from kohort_sync import clock, transactions
from tests import services

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

ENGINES = {"postgresql": "django.db.backends.postgresql", "mysql": "django.db.backends.mysql"}
SERVERS = {"postgresql": services.POSTGRESQL, "mysql": services.MARIADB}
KILL = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}
STRICTER = {
    "postgresql": {"options": "-c default_transaction_isolation=serializable"},
    "mysql": {"isolation_level": "repeatable read"},
}

Open = Callable[..., Any]


@pytest.fixture
def open_server() -> Iterator[Open]:
    """Open sessions at a server, as a host does whose settings name it."""
    opened: list[str] = []

    def open_one(vendor: str, *, alias: str = "server", **options: Any) -> Any:
        parts = urlsplit(SERVERS[vendor].url)
        configured = connections["default"].settings_dict | {
            "ENGINE": ENGINES[vendor],
            "HOST": parts.hostname,
            "PORT": str(parts.port or ""),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "NAME": "postgres" if vendor == "postgresql" else "information_schema",
            "OPTIONS": options,
        }
        connections[alias] = load_backend(ENGINES[vendor]).DatabaseWrapper(configured, alias)
        opened.append(alias)
        return connections[alias]

    yield open_one
    for alias in opened:
        connections[alias].close()
        del connections[alias]


def ask(connection: Any, sql: str, *values: object) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchone() if cursor.description else None


@pytest.mark.failure(60)
@pytest.mark.parametrize("offset", ["+09:00", "-05:00"])
def test_a_session_in_another_zone_of_mariadb_moves_no_moment(open_server: Open, offset: str) -> None:
    server = open_server("mysql", init_command=f"SET time_zone = '{offset}'")
    expression, values = clock.DatabaseNow().as_mysql(None, server)  # type: ignore[arg-type]

    (written,) = ask(
        server, f"SELECT UNIX_TIMESTAMP(CONVERT_TZ({expression}, '+00:00', %s))", *values, offset
    )
    asked = clock.now(using="server").timestamp()

    assert float(written) == pytest.approx(time.time(), abs=2)
    assert asked == pytest.approx(time.time(), abs=2)


@pytest.mark.failure(62)
def test_the_engine_reads_what_is_committed_at_a_stricter_level_of_postgresql(open_server: Open) -> None:
    server = open_server("postgresql", **STRICTER["postgresql"])

    with transactions.writing(using="server"):
        inside = ask(server, "SHOW transaction_isolation")
    outside = ask(server, "SHOW transaction_isolation")

    assert (outside, inside) == (("serializable",), ("read committed",))


@pytest.mark.failure(62)
def test_the_engine_reads_what_is_committed_at_a_stricter_level_of_mariadb(open_server: Open) -> None:
    server = open_server("mysql", **STRICTER["mysql"])
    beside = open_server("mysql", alias="beside")

    with transactions.writing(using="server"):
        number = ask(server, "SELECT CONNECTION_ID()")
        # InnoDB begins a transaction with the first of its own tables that is read.
        ask(server, "SELECT COUNT(*) FROM mysql.innodb_table_stats")
        level = ask(
            beside,
            "SELECT trx_isolation_level FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = %s",
            *number,
        )

    assert level == ("READ COMMITTED",)


@pytest.mark.failure(64)
@pytest.mark.parametrize("vendor", SERVERS)
def test_a_session_that_the_server_has_ended_is_opened_anew_before_a_drain(
    open_server: Open, vendor: str
) -> None:
    server, beside = open_server(vendor), open_server(vendor, alias="beside")
    server.ensure_connection()
    number = server.connection.info.backend_pid if vendor == "postgresql" else server.connection.thread_id()
    ask(beside, KILL[vendor], number)

    transactions.reconnect_if_lost(using="server")

    assert ask(server, "SELECT 1") == (1,)
