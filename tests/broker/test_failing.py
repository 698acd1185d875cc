"""Brokers that fail: the first sign-up waits a moment, the next ones do not wait at all."""

import socket
import threading
import time
from typing import Any

import pytest

from kohort_sync import tasks
from project.accounts.models import User
from tests.broker.conftest import Configure, PointTo

pytestmark = pytest.mark.django_db(transaction=True)


def seconds_of_a_sign_up(name: str) -> float:
    started = time.monotonic()
    User.objects.create_user(name)
    return time.monotonic() - started


@pytest.mark.failure(3, 4)
@pytest.mark.parametrize("scheme", ["redis://", "amqp://guest:guest@", "pyamqp://guest:guest@"])
@pytest.mark.parametrize("kind", ["refusing", "silent", "nowhere"])
def test_a_broker_that_fails_costs_one_short_wait(
    request: pytest.FixtureRequest, point_to: PointTo, scheme: str, kind: str
) -> None:
    address = "no-such-host.invalid:1" if kind == "nowhere" else request.getfixturevalue(kind)
    point_to(f"{scheme}{address}//")

    first = seconds_of_a_sign_up("ada")
    second = seconds_of_a_sign_up("bea")
    started = time.monotonic()
    tasks.nudge(["default"])
    added = time.monotonic() - started

    assert first < 2.5
    assert second < 0.5
    assert added < 0.05
    assert User.objects.count() == 2


def test_what_the_site_has_told_celery_makes_no_wait_longer(
    point_to: PointTo, silent: str, configure: Configure
) -> None:
    impatient: dict[str, Any] = {
        "max_retries": 100,
        "interval_start": 5,
        "socket_timeout": 60,
        "socket_connect_timeout": 60,
        "retry_on_timeout": True,
    }
    configure("broker_transport_options", impatient)
    configure("broker_connection_timeout", 60)
    configure("task_publish_retry_policy", {"max_retries": 100, "interval_start": 5})
    point_to(f"redis://{silent}/0")

    first = seconds_of_a_sign_up("ada")

    assert first < 2.5


@pytest.mark.failure(3, 4)
def test_a_name_server_that_does_not_answer_costs_one_short_wait(
    point_to: PointTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def no_answer(*_: Any, **__: Any) -> Any:
        answered.wait(20)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", no_answer)
    point_to("redis://broker.invalid:6379/0")

    first = seconds_of_a_sign_up("ada")
    second = seconds_of_a_sign_up("bea")
    answered.set()

    assert first < 2.5
    assert second < 0.5


def test_the_second_of_two_brokers_gets_the_message(point_to: PointTo, refusing: str, silent: str) -> None:
    point_to(f"amqp://guest:guest@{refusing}//;amqp://guest:guest@{silent}//")

    first = seconds_of_a_sign_up("ada")

    # It waited for the second, so it was asked.
    assert 0.9 < first < 2.5


def test_the_default_timeout_of_the_process_is_left_alone(point_to: PointTo, refusing: str) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(17.0)
    try:
        point_to(f"redis://{refusing}/0")
        seconds_of_a_sign_up("ada")
        after = socket.getdefaulttimeout()
    finally:
        socket.setdefaulttimeout(before)

    assert after == 17.0
