"""What every test gets: a simulated service behind the app, and no memory of the test before."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.db import connection as django_connection

from kohort_sync import connection, receivers, tasks
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.service import Service

# What Django fills after each flush, at a cost that a test of a few milliseconds does not have.
_KEPT_OVER_A_FLUSH = frozenset({"django_content_type", "auth_permission"})


@pytest.fixture(scope="session", autouse=True)
def _quick_flush() -> Iterator[None]:
    """Empty the tables after a test with DELETE: to TRUNCATE a few rows takes a second on a real server."""
    operations = type(django_connection.ops)

    def sql_flush(self: Any, _style: object, tables: Iterable[str], **_: object) -> list[str]:
        deletions = [f"DELETE FROM {self.quote_name(name)}" for name in {*tables} - _KEPT_OVER_A_FLUSH]
        if django_connection.vendor == "mysql":  # it checks foreign keys row by row
            return ["SET FOREIGN_KEY_CHECKS = 0", *deletions, "SET FOREIGN_KEY_CHECKS = 1"]
        return deletions

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush)
        yield


@pytest.fixture(autouse=True)
def _no_memory() -> None:
    """Forget what this process has learned."""
    receivers.forget()
    tasks.forget()


@pytest.fixture
def service() -> Iterator[Service]:
    """Put a simulated service behind the app."""
    simulated = Service(seed=1)
    with connection.through(ServiceAdapter(simulated)):
        yield simulated


@pytest.fixture(params=["seen", "documented"])
def either_dialect(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Put a simulated service behind the app, once in each dialect."""
    simulated = Service(seed=1, dialect=request.param)
    with connection.through(ServiceAdapter(simulated)):
        yield simulated
