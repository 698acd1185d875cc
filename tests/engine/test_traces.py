"""Traces: no log, no history, no address of a request and no row tells the key or about a person."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core import serializers

from kohort_sync.models import Account, CustomerLink, State, SyncAttempt
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, sign_up

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "canary4711"
KEY = "sk_test_canary0815canary"


class Everything(logging.Handler):
    """Keep every record of every logger with all that it carries, tracebacks and their variables too."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(f"{record.name}: {record.getMessage()} {vars(record)}")
        if record.exc_info and record.exc_info[2]:
            self.told.append(f"{record.exc_info[1]!r}")
            frames = traceback.walk_tb(record.exc_info[2])
            self.told += [str(frame.f_locals) for frame, _ in frames]


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    handler, root = Everything(), logging.getLogger()
    loggers = [root, logging.getLogger("kohort_sync"), logging.getLogger("urllib3")]
    levels = [logger.level for logger in loggers]
    root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        # What Django's own test runs log about SQL is the host's choice, and not about us.
        logging.getLogger("django.db.backends").propagate = False
        yield handler.told
    finally:
        logging.getLogger("django.db.backends").propagate = True
        root.removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def failing_for_one(user: Any) -> dict[str, Any]:
    if user.username.endswith("poison"):
        raise ValueError(f"{user.email} is not to my taste")
    return {}


@pytest.mark.failure(78)
def test_no_log_no_address_and_no_history_tells_the_key_or_the_person(settings: Any) -> None:
    service = Service(seed=1)
    service.keys[KEY] = "org_one"
    service.disposable_domains = [f"{CANARY}.org"]
    with SandboxServer(service) as sandbox, everything_logged() as told:
        settings.KOHORT_SYNC = settings.KOHORT_SYNC | {
            "API_KEY": KEY,
            "BASE_URL": sandbox.url,
            "CUSTOMER_DATA": failing_for_one,
        }
        for name in ("plain", "lost", "poison", "taken", "twin"):
            email = f"{CANARY}-taken@example.com" if name == "twin" else f"{CANARY}-{name}@example.com"
            sign_up(f"{CANARY}-{name}", email=email, last_name=CANARY)
        sign_up(f"{CANARY}-disposable", email=f"ada@{CANARY}.org")
        service.faults.add(
            Fault("reset", method="POST", email=f"{CANARY}-lost@example.com", after_commit=True)
        )
        service.faults.add(
            Fault("html", method="POST", email=f"{CANARY}-plain@example.com", after_commit=True)
        )
        for _ in range(4):
            drain()
            let_time_pass(400)

    states = {*CustomerLink.objects.values_list("user__username", "state")}
    history = serializers.serialize("json", [*SyncAttempt.objects.all(), *Account.objects.all()])
    rows = serializers.serialize("json", CustomerLink.objects.all())
    ours = [line for line in told if not line.startswith("asyncio")]
    assert states == {
        (f"{CANARY}-plain", State.LINKED),
        (f"{CANARY}-lost", State.LINKED),
        (f"{CANARY}-poison", State.PENDING),
        (f"{CANARY}-disposable", State.REJECTED),
        *{(f"{CANARY}-{name}", state) for name, state in _one_of_two()},
    }
    assert any("urllib3" in line for line in ours), "the transport itself was heard"
    assert any("CUSTOMER_DATA" in line for line in ours), "the fault of the site was heard"
    for secret in (CANARY, KEY):
        assert [line for line in ours if secret in line] == []
        assert secret not in history
        assert secret not in rows
        assert [each.path for each in service.log if secret in each.path] == []


def _one_of_two() -> set[tuple[str, str]]:
    """Say who of the two with one address was first."""
    taken = CustomerLink.objects.get(user=User.objects.get(username=f"{CANARY}-taken"))
    first, second = ("taken", "twin") if taken.state == State.LINKED else ("twin", "taken")
    return {(first, State.LINKED), (second, State.CONFLICT)}
