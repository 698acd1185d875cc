"""Real brokers: the message arrives, and one that falls silent in the middle holds up nobody for long."""

import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty
from typing import Any
from urllib.parse import urlsplit

import kombu
import pytest
import redis

from kohort_sync import tasks
from tests import services
from tests.broker.conftest import FallingSilent, PointTo
from tests.broker.proxy import Proxy

pytestmark = pytest.mark.services

BROKERS = {"Redis": services.REDIS, "RabbitMQ": services.RABBITMQ}


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, queue: str, settings: Any) -> Iterator[services.Service]:
    """Use a queue of our own at a real broker, and leave nothing behind."""
    service = BROKERS[request.param]
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"QUEUE": queue}
    yield service
    if request.param == "Redis":
        client = redis.Redis.from_url(service.url)
        for key in client.scan_iter(f"*{queue}*"):
            client.delete(key)
        client.close()
        return
    with kombu.Connection(service.url) as connection:
        channel: Any = connection.channel()
        with suppress(Exception):
            channel.queue_delete(queue)
        with suppress(Exception):
            channel.exchange_delete(queue)


def taken(url: str, queue: str, *, within: float = 5.0) -> Any:
    with kombu.Connection(url) as connection, connection.SimpleQueue(queue) as waiting:
        message = waiting.get(timeout=within)
        message.ack()
        return message


@pytest.mark.failure(15, 17)
def test_a_message_arrives_with_an_end_and_without_a_date(
    broker: services.Service, queue: str, point_to: PointTo
) -> None:
    point_to(broker.url)

    tasks.nudge(["default"])

    message = taken(broker.url, queue)
    assert message.payload[:2] == [["default"], {}]
    assert message.headers["task"] == "kohort_sync.v1.drain"
    assert message.headers["eta"] is None
    assert message.headers["expires"] is not None
    assert message.headers["argsrepr"] == "('default',)"


def test_a_publish_is_quick_and_leaves_no_connection(
    broker: services.Service, queue: str, point_to: PointTo
) -> None:
    point_to(broker.url)
    tasks.nudge(["warm-up"])

    started = time.monotonic()
    tasks.nudge(["default"])
    seconds = time.monotonic() - started

    assert seconds < 0.5


def test_a_broker_that_is_a_little_slow_gets_one_message_and_then_none_for_a_while(
    broker: services.Service, queue: str, point_to: PointTo
) -> None:
    point_to(broker.url)
    tasks.nudge(["warm-up"])
    taken(broker.url, queue)
    with Proxy(broker.url) as proxy, proxy.slow(0.08):
        point_to(proxy.url)

        tasks.nudge(["default"])
        tasks.nudge(["other"])

        assert taken(broker.url, queue).payload[0] == ["default"]
    with pytest.raises(Empty):
        taken(broker.url, queue, within=0.2)


@pytest.mark.failure(4)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.99])
def test_a_broker_that_falls_silent_in_the_middle_costs_one_short_wait(
    broker: services.Service, queue: str, point_to: PointTo, share: float
) -> None:
    parts = urlsplit(broker.url)
    proxy = FallingSilent(parts.hostname or "127.0.0.1", parts.port or 0)
    try:
        point_to(
            parts._replace(
                netloc=parts.netloc.rpartition("@")[0] + "@" * ("@" in parts.netloc) + proxy.address
            ).geturl()
        )
        tasks.nudge(["rehearsal"])
        whole = proxy.said
        proxy.limit = int(whole * share)

        started = time.monotonic()
        tasks.nudge(["default"])
        seconds = time.monotonic() - started
        tasks.nudge(["other"])
        afterwards = time.monotonic() - started - seconds
    finally:
        proxy.close()

    assert whole > 0
    assert seconds < 2.5
    assert afterwards < 0.05
