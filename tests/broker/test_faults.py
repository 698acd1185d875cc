"""Brokers that fail under a running site: sign-ups hardly notice, and everybody is linked in the end."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.throwaway import BROKERS
from tests.broker.proxy import Proxy
from tests.broker.site import Site, everybody_is_linked_once, site, stop
from tests.broker.throwaway import RedisServer

pytestmark = pytest.mark.services

FOLLOWING = 5


Fault = Callable[[Site, RedisServer], AbstractContextManager[None]]


def sign_ups_hardly_notice(running: Site, fault: AbstractContextManager[None]) -> None:
    """Sign people up before, during and after a fault, and judge the seconds that it took."""
    (door,) = running.doors
    door.seconds_of("warm-up")
    before = [door.seconds_of(f"before-{n}") for n in range(FOLLOWING)]
    # Whoever drains looks on for a while and would find the next ones without any message. It does so for
    # longer than wake-ups are coalesced, so the next sign-up is one that publishes, too.
    running.wait_until_at_rest()

    with fault:
        first = door.seconds_of("first")
        following = [door.seconds_of(f"following-{n}") for n in range(FOLLOWING)]
        # Longer than a wake-up is coalesced for: without the window the next one would wait again.
        time.sleep(1.1)
        later = door.seconds_of("later")
    after = door.seconds_of("after")

    usual = statistics.median(before)
    assert first < 2.5
    assert statistics.median(following) - usual < 0.05
    assert later - usual < 0.05
    assert after - usual < 0.05


@contextmanager
def stopped(running: Site, redis: RedisServer) -> Iterator[None]:
    redis.stop()
    yield
    redis.start()


@contextmanager
def frozen(running: Site, redis: RedisServer) -> Iterator[None]:
    with redis.frozen():
        yield


@contextmanager
def flushed(running: Site, redis: RedisServer) -> Iterator[None]:
    with queued(running, redis):
        redis.client.flushall()
    # By the sweep alone: nobody has signed up since.
    running.wait_until_linked(running.doors[0])
    yield


@contextmanager
def killed(running: Site, redis: RedisServer) -> Iterator[None]:
    with queued(running, redis):
        lost = redis.messages()
        redis.kill()
    yield
    redis.start()
    # Beat may have published another one already.
    assert lost.isdisjoint(redis.messages())


@contextmanager
def queued(running: Site, redis: RedisServer) -> Iterator[None]:
    """Keep the worker from fetching; give a block in which messages wait for it."""
    with stop(running.workers[0]):
        # A worker that waits for a message would be given the first one although it is stopped.
        redis.hang_up()
        running.doors[0].seconds_of("queued")
        assert redis.waiting() > 0, "Nothing was published."
        yield


@pytest.mark.failure(3, 4, 11)
@pytest.mark.parametrize("fault", [stopped, frozen, flushed, killed])
def test_a_redis_that_fails_delays_no_sign_up_and_loses_nobody(
    tmp_path: Path,
    migrated: Path,
    own_redis: RedisServer,
    fault: Fault,
) -> None:
    with site(tmp_path, broker=own_redis.url, migrated=migrated) as running:
        worker, _ = running.worker(), running.beat()
        door = running.door()
        running.wait_for(worker)

        sign_ups_hardly_notice(running, fault(running, own_redis))

        running.wait_until_linked(door)
        everybody_is_linked_once(running, door)


def test_a_slow_redis_delays_no_sign_up_and_loses_nobody(
    tmp_path: Path, migrated: Path, own_redis: RedisServer
) -> None:
    with (
        Proxy(own_redis.url) as proxy,
        site(tmp_path, broker=proxy.url, migrated=migrated) as running,
    ):
        worker, _ = running.worker(), running.beat()
        door = running.door()
        running.wait_for(worker)

        sign_ups_hardly_notice(running, proxy.slow(0.3))

        running.wait_until_linked(door)
        everybody_is_linked_once(running, door)


RABBITMQ_FAULTS: dict[str, Callable[[Proxy, int], AbstractContextManager[None]]] = {
    "refuses": lambda proxy, _: proxy.refusing(),
    "freezes": lambda proxy, _: proxy.frozen(),
    "is slow": lambda proxy, _: proxy.slow(0.3),
    "cuts in the middle": lambda proxy, whole: proxy.cutting(after=int(whole * 0.9)),
}


@pytest.mark.failure(3, 4)
@pytest.mark.parametrize("fault", RABBITMQ_FAULTS)
def test_a_rabbitmq_that_fails_delays_no_sign_up_and_loses_nobody(
    tmp_path: Path, migrated: Path, fault: str
) -> None:
    rabbitmq = BROKERS["rabbitmq"]
    with (
        rabbitmq.queue() as queue,
        Proxy(rabbitmq.service.url) as proxy,
        site(tmp_path, broker=proxy.url, queue=queue, migrated=migrated) as running,
    ):
        door = running.door()
        door.seconds_of("rehearsal")
        # What the broker says while one message is published; nobody else is connected yet.
        whole = proxy.said
        worker, _ = running.worker(), running.beat()
        running.wait_for(worker)

        sign_ups_hardly_notice(running, RABBITMQ_FAULTS[fault](proxy, whole))

        running.wait_until_linked(door)
        everybody_is_linked_once(running, door)
