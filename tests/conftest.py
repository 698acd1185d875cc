"""What every test gets: a simulated service behind the app, and no memory of the test before."""

from collections.abc import Iterator

import pytest

from kohort_sync import connection, receivers, tasks
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.service import Service


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
