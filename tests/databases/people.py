"""What the tests of the databases share: threads with connections of their own, and hosts' own settings."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from kohort_sync import links, services
from kohort_sync.models import CustomerLink, State
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass

VENDOR = connections["default"].vendor
KEY = "default/test"

STRICTER_LEVELS = {
    # The number is psycopg's IsolationLevel.
    "postgresql": [
        pytest.param({"isolation_level": 3}, id="repeatable read"),
        pytest.param({"isolation_level": 4}, id="serializable"),
    ],
    "mysql": [
        pytest.param({"isolation_level": "repeatable read"}, id="repeatable read"),
        pytest.param({"isolation_level": "serializable"}, id="serializable"),
    ],
    # It knows one level. Django's default begins a transaction without the lock that a write needs later.
    "sqlite": [pytest.param({"transaction_mode": "DEFERRED"}, id="deferred")],
}[VENDOR]


class Thread:
    """Run something in a thread with a connection of its own; `end` returns what it raised, if anything."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.failure: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as failure:  # noqa: BLE001 — the test looks at it
            self.failure = failure
        finally:
            connections.close_all()

    @property
    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return self._thread.is_alive()

    def end(self, *, within: float = 30.0) -> BaseException | None:
        """Wait for the end."""
        self._thread.join(within)
        assert not self._thread.is_alive(), "a thread waits for ever"
        return self.failure


@contextmanager
def sessions(**options: Any) -> Iterator[None]:
    """Open every session of this process with these OPTIONS, as a host that configures them."""
    with database_settings({"OPTIONS": connections.settings["default"]["OPTIONS"] | options}):
        yield


@contextmanager
def database_settings(values: dict[str, Any]) -> Iterator[None]:
    """Give the host's database other settings, and open it anew."""
    configured = connections.settings["default"]
    before = {name: configured[name] for name in values}
    configured.update(values)
    _forget()
    try:
        yield
    finally:
        configured.update(before)
        _forget()


def _forget() -> None:
    """Let Django look at the settings of the database again."""
    connection = connections["default"]
    connection.close()
    for name in ("timezone", "timezone_name"):
        connection.__dict__.pop(name, None)


def older(number: int, *, prefix: str = "old") -> list[Any]:
    """Make users whom no signal announced."""
    return User.objects.bulk_create(
        [User(username=f"{prefix}{n}", email=f"{prefix}{n}@example.com") for n in range(number)]
    )


def linked(number: int, *, prefix: str = "linked") -> list[Any]:
    """Make users and link them."""
    users = older(number, prefix=prefix)
    services.request_sync(users)
    drain()
    assert CustomerLink.objects.exclude(state=State.LINKED).count() == 0
    return users


def finish() -> None:
    """Send what is left, as soon as every lease and every pause that an accident left behind is over."""
    for _ in range(5):
        drain()
        if not links.any_due(account=KEY, using=links.database()) and not unfinished().exists():
            return
        let_time_pass(1000)


def unfinished() -> Any:
    """Return the links that are not settled."""
    return CustomerLink.objects.exclude(state=State.LINKED, next_attempt_at=None, lease_token="")


def differences(service: Service) -> list[tuple[Any, Any]]:
    """Compare every user with their customer; return the pairs that differ, and whoever is missing."""
    theirs = {
        row["client_reference_id"]: (row["email_address"], row["first_name"]) for row in service.snapshot()
    }
    ours = {
        link.client_reference_id: (link.user.email, link.user.first_name or None)
        for link in CustomerLink.objects.select_related("user")
        if link.user is not None
    }
    assert len(service.snapshot()) == len(theirs), "one reference has two customers"
    assert User.objects.count() == len(ours), "a user has no link"
    return [
        (ours.get(key), theirs.get(key))
        for key in ours.keys() | theirs.keys()
        if ours.get(key) != theirs.get(key)
    ]
