"""The nudge: at most one a second, none for a while after a failure, and never an exception."""

import logging
import os
import threading
import time
import uuid
from functools import partial
from typing import Any

import pytest
from celery import current_app
from django.db import transaction

from kohort_sync import drainer, tasks
from project.accounts.models import User
from tests.broker.conftest import Configure, PointTo


@pytest.fixture
def queue(settings: Any) -> str:
    """Give each test its own queue of the broker in memory."""
    name = f"nudge-{uuid.uuid4()}"
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"QUEUE": name}
    return name


def waiting(queue: str) -> list[Any]:
    """Take every message out of the queue."""
    with current_app.connection_for_read() as connection, connection.SimpleQueue(queue) as found:
        messages = [found.get(block=False) for _ in range(found.qsize())]
        for message in messages:
            message.ack()
        return messages


def let_pass(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock that the windows are measured by."""
    present = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: present() + seconds)


@pytest.mark.failure(78)
@pytest.mark.security(10)
@pytest.mark.failure(15, 17, 78)
def test_a_message_names_the_account_and_nothing_else(queue: str) -> None:
    tasks.nudge(["default"])

    (message,) = waiting(queue)
    assert message.payload[:2] == [["default"], {}]
    assert message.headers["task"] == "kohort_sync.v1.drain"
    assert message.headers["expires"] is not None
    assert message.properties["expiration"] == "600000" or message.headers["expires"]
    assert message.headers["eta"] is None
    assert message.headers["ignore_result"] is True
    assert message.headers["timelimit"] == [90, 75]
    assert message.content_type == "application/json"


@pytest.mark.security(36)
def test_an_account_is_announced_once_a_second(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(10):
        tasks.nudge(["default"])
    within = len(waiting(queue))
    let_pass(1.1, monkeypatch)

    tasks.nudge(["default"])

    assert within == 1
    assert len(waiting(queue)) == 1


def test_each_account_has_its_own_second(queue: str) -> None:
    tasks.nudge(["one", "two", "one"])

    assert [message.payload[0] for message in waiting(queue)] == [["one"], ["two"]]


def test_threads_that_sign_up_at_once_share_a_message(queue: str) -> None:
    gate = threading.Barrier(8)

    def sign_up() -> None:
        gate.wait()
        tasks.nudge(["default"])

    threads = [threading.Thread(target=sign_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(waiting(queue)) == 1


def test_a_child_process_has_seconds_of_its_own(queue: str) -> None:
    tasks.nudge(["default"])
    # Held as by another thread at the moment of the fork; in the child nobody is left to give it back.
    with tasks._wakeups._lock:
        child = os.fork()
        if not child:
            free = tasks._wakeups.reserve("default")
            os._exit(0 if free else 1)

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.failure(4)
def test_after_a_failure_nothing_is_published_for_a_while_and_then_again(
    queue: str,
    point_to: PointTo,
    refusing: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    point_to(f"redis://{refusing}/0")
    with caplog.at_level(logging.WARNING, logger="kohort_sync"):
        tasks.nudge(["default"])
        tasks.nudge(["default", "other"])
    point_to("memory://")
    let_pass(29, monkeypatch)
    tasks.nudge(["default"])
    too_early = len(waiting(queue))
    let_pass(2, monkeypatch)

    tasks.nudge(["default"])

    assert too_early == 0
    assert len(waiting(queue)) == 1
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None
    assert refusing not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_gets_a_message_knows_that_the_broker_is_back(
    queue: str, point_to: PointTo, refusing: str
) -> None:
    point_to(f"redis://{refusing}/0")
    User.objects.create_user("ada", email="ada@example.com")
    point_to("memory://")
    tasks.nudge(["default"])
    before = len(waiting(queue))

    tasks.sweep_accounts()

    assert before == 0
    assert [message.payload[0] for message in waiting(queue)] == [["default"]]


def test_nothing_is_published_nor_run_where_tasks_run_at_once(
    queue: str, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained: list[str] = []
    monkeypatch.setattr(drainer, "drain", drained.append)
    configure("task_always_eager", True)

    tasks.nudge(["default"])

    configure("task_always_eager", False)
    assert (waiting(queue), drained) == ([], [])


def test_nothing_is_published_where_the_site_wants_no_nudge(queue: str, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"NUDGE": False}

    tasks.nudge(["default"])

    assert waiting(queue) == []


def test_a_failed_publish_opens_no_window(queue: str, point_to: PointTo, refusing: str) -> None:
    point_to(f"redis://{refusing}/0")
    tasks.nudge(["default"])
    point_to("memory://")
    # A worker was brought a message meanwhile, so the broker is back.
    tasks._wakeups.heard()

    tasks.nudge(["default"])

    assert len(waiting(queue)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_drain_that_leaves_work_wakes_another(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_user("ada", email="ada@example.com")
    waiting(queue)
    tasks.forget()
    # No time for anybody.
    monkeypatch.setattr(drainer, "drain", partial(drainer.drain, budget=0.0))

    tasks.drain("default")

    assert [message.payload[0] for message in waiting(queue)] == [["default"]]


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_after_the_commit_fails_no_sign_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its twin is off: what is called after the commit raises.
    monkeypatch.setattr(tasks, "nudge", _failing)
    called: list[str] = []

    with transaction.atomic():
        User.objects.create_user("ada")
        transaction.on_commit(lambda: called.append("the site's own"))

    assert called == ["the site's own"]
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "url", ["no-such-transport://x", "amqp://[", "http://127.0.0.1:9/", "redis://x:y:z/0"]
)
def test_a_broker_address_that_makes_no_sense_raises_nothing(
    point_to: PointTo, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    point_to(url)

    tasks.nudge(["default"])

    assert len(caplog.records) >= 1


def test_a_celery_that_cannot_be_configured_raises_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        @property
        def conf(self) -> Any:
            raise ImportError("no such module")

    monkeypatch.setattr(tasks, "current_app", Broken())

    tasks.nudge(["default"])

    assert "No worker could be woken" in caplog.text


def _failing(_aliases: object) -> None:
    raise ZeroDivisionError
