"""Brokers that fail under a running site: sign-ups hardly notice, and everybody is linked in the end."""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from project.demo.processes import Process
from tests.acceptance.throwaway import BROKERS
from tests.broker.proxy import Proxy
from tests.broker.site import Door, everybody_is_linked_once, site
from tests.broker.throwaway import RedisServer

pytestmark = pytest.mark.services

FOLLOWING = 5


def sign_ups_hardly_notice(door: Door, fault: AbstractContextManager[None]) -> None:
    """Sign people up before, during and after a fault, and judge the seconds that it took."""
    door.seconds_of("warm-up")
    before = [door.seconds_of(f"before-{n}") for n in range(FOLLOWING)]
    # What was published counts for a second; the next sign-up must be one that publishes.
    time.sleep(1.1)

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
def stopped(redis: RedisServer, door: Door, worker: Process) -> Iterator[None]:
    redis.stop()
    yield
    redis.start()


@contextmanager
def frozen(redis: RedisServer, door: Door, worker: Process) -> Iterator[None]:
    with redis.frozen():
        yield


@contextmanager
def flushed(redis: RedisServer, door: Door, worker: Process) -> Iterator[None]:
    with queued(redis, door, worker):
        redis.client.flushall()
    yield


@contextmanager
def killed(redis: RedisServer, door: Door, worker: Process) -> Iterator[None]:
    with queued(redis, door, worker):
        redis.kill()
    yield
    redis.start()
    assert redis.waiting() == 0


@contextmanager
def queued(redis: RedisServer, door: Door, worker: Process) -> Iterator[None]:
    """Keep the worker from fetching, until messages wait for it."""
    os.killpg(worker.popen.pid, signal.SIGSTOP)
    try:
        # The first one may go to the worker that was already waiting for it.
        for n in range(2):
            door.seconds_of(f"queued-{n}")
            time.sleep(1.1)
        assert redis.waiting() > 0
        yield
    finally:
        os.killpg(worker.popen.pid, signal.SIGCONT)


@pytest.mark.parametrize("fault", [stopped, frozen, flushed, killed])
def test_a_redis_that_fails_delays_no_sign_up_and_loses_nobody(
    tmp_path: Path,
    migrated: Path,
    own_redis: RedisServer,
    fault: Callable[[RedisServer, Door, Process], AbstractContextManager[None]],
) -> None:
    with site(tmp_path, broker=own_redis.url, migrated=migrated) as running:
        worker, _ = running.worker(), running.beat()
        door = running.door()
        running.wait_for(worker)

        sign_ups_hardly_notice(door, fault(own_redis, door, worker))

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

        sign_ups_hardly_notice(door, proxy.slow(0.3))

        running.wait_until_linked(door)
        everybody_is_linked_once(running, door)


RABBITMQ_FAULTS: dict[str, Callable[[Proxy, int], AbstractContextManager[None]]] = {
    "refuses": lambda proxy, _: proxy.refusing(),
    "freezes": lambda proxy, _: proxy.frozen(),
    "is slow": lambda proxy, _: proxy.slow(0.3),
    "cuts in the middle": lambda proxy, whole: proxy.cutting(after=int(whole * 0.9)),
}


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

        sign_ups_hardly_notice(door, RABBITMQ_FAULTS[fault](proxy, whole))

        running.wait_until_linked(door)
        everybody_is_linked_once(running, door)
