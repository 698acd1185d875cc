"""Messages that come too often, too late or never: each customer is created once, and nobody is lost."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kohort_sync.testing.faults import Fault
from project.demo.processes import Process
from tests.acceptance.throwaway import postgresql
from tests.broker.site import Site, everybody_is_linked_once, site, stop, wait_until
from tests.broker.throwaway import RedisServer

pytestmark = pytest.mark.services

COPIES = 50
STALE = 1000


@pytest.fixture
def running(tmp_path: Path, migrated: Path, own_redis: RedisServer) -> Iterator[Site]:
    with site(tmp_path, broker=own_redis.url, migrated=migrated) as made:
        yield made


def aged(message: bytes, *, by: timedelta) -> bytes:
    """Make a message that was published earlier: all that it says about time is the moment when it ends."""
    envelope = json.loads(message)
    ends = datetime.fromisoformat(envelope["headers"]["expires"])
    envelope["headers"]["expires"] = (ends - by).isoformat()
    return json.dumps(envelope).encode()


def endless(message: bytes) -> bytes:
    """Take from a message the moment when it ends, as a host's own publisher may."""
    envelope = json.loads(message)
    envelope["headers"]["expires"] = None
    return json.dumps(envelope).encode()


@pytest.mark.failure(13, 14)
def test_a_message_that_comes_fifty_times_at_once_creates_each_customer_once(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    with postgresql() as database, site(tmp_path, broker=own_redis.url, database=database) as running:
        door = running.door()
        for n in range(12):
            door.seconds_of(f"person-{n}")
        message = own_redis.take()
        # Long enough for every copy to come while somebody is being created.
        running.service.faults.add(Fault("delay", method="POST", seconds=0.2, times=None))
        workers = [running.worker(concurrency=3), running.worker(pool="threads", concurrency=5)]
        running.wait_for(*workers)

        own_redis.client.lpush("celery", *[message] * COPIES)

        running.wait_until_linked(door)
        wait_until(
            lambda: sum(each.says().count(" succeeded in ") for each in workers) == COPIES,
            seconds=20,
            otherwise=lambda: [each.tail() for each in workers],
        )
        assert all(each.says().count(" succeeded in ") > 1 for each in workers)
        assert set(running.creates().values()) == {1}
        everybody_is_linked_once(running, door)


@pytest.mark.failure(17)
def test_messages_that_come_an_hour_late_are_not_run(running: Site, own_redis: RedisServer) -> None:
    door = running.door()
    door.seconds_of("ada")
    late = aged(own_redis.take(), by=timedelta(hours=1))
    worker = running.worker()
    running.wait_for(worker)

    own_redis.client.lpush("celery", *[late] * STALE)

    wait_until(
        lambda: worker.says().count("Discarding revoked task") == STALE, seconds=20, otherwise=worker.tail
    )
    assert list(running.service.log) == []
    assert door.links() == {"ada": "pending"}


@pytest.mark.failure(17)
def test_a_message_without_an_end_that_comes_late_sends_nothing_twice(
    running: Site, own_redis: RedisServer
) -> None:
    door = running.door()
    door.seconds_of("ada")
    late = endless(own_redis.take())
    worker = running.worker()
    running.wait_for(worker)
    own_redis.client.lpush("celery", late)
    running.processes.wait_for(worker, r" succeeded in ", seconds=10)
    running.wait_until_linked(door)
    sent = len(running.service.log)

    own_redis.client.lpush("celery", late)

    running.processes.wait_for(worker, r"(?s) succeeded in .* succeeded in ", seconds=10)
    assert set(running.creates().values()) == {1}
    assert len(running.service.log) == sent


@pytest.mark.failure(11)
def test_people_whose_messages_are_lost_are_found_by_the_sweep(running: Site, own_redis: RedisServer) -> None:
    door = running.door()
    for n in range(2):
        door.seconds_of(f"person-{n}")
        time.sleep(1.1)
    assert own_redis.waiting() == 2
    own_redis.client.flushall()

    running.worker()
    running.beat()

    running.wait_until_linked(door)
    everybody_is_linked_once(running, door)


@pytest.mark.failure(12)
def test_people_whose_message_died_with_the_worker_that_fetched_it_are_found_by_the_sweep(
    running: Site, own_redis: RedisServer
) -> None:
    door, worker = running.door(), running.worker()
    running.wait_for(worker)
    with stop(worker):
        own_redis.hang_up()
        door.seconds_of("ada")
        message = own_redis.take()
    stop_with_a_message(worker, own_redis, message)

    os.killpg(worker.popen.pid, signal.SIGKILL)

    running.has_ended(worker)
    # Only with its next command would it have noted that it has the message.
    assert own_redis.client.exists("celery", "unacked") == 0
    assert door.links() == {"ada": "pending"}
    running.worker()
    running.beat()
    running.wait_until_linked(door)
    everybody_is_linked_once(running, door)


def stop_with_a_message(worker: Process, own_redis: RedisServer, message: bytes) -> None:
    """Stop a worker for which Redis has a message on the line: out of the queue, and not read yet."""

    def has_it() -> bool:
        os.killpg(worker.popen.pid, signal.SIGSTOP)
        own_redis.client.lpush("celery", message)
        if own_redis.waiting() == 0:
            return True
        # It was stopped between two requests for a message.
        own_redis.take()
        os.killpg(worker.popen.pid, signal.SIGCONT)
        return False

    wait_until(has_it, seconds=10, otherwise=worker.tail)
