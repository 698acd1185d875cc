"""Celery's pools, and the ends that a worker may come to while a call is under way."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kohort_sync.testing.faults import Fault
from project.demo.processes import Process
from tests.broker.site import Site, everybody_is_linked_once, site, wait_until
from tests.broker.throwaway import RedisServer

pytestmark = pytest.mark.services

CALL = 2.0
"""Seconds that the service keeps a call: time enough to end the process that waits for it."""


@pytest.fixture
def running(tmp_path: Path, migrated: Path, own_redis: RedisServer) -> Iterator[Site]:
    with site(tmp_path, broker=own_redis.url, migrated=migrated, deadline=2 * CALL) as made:
        yield made


def child_of(worker: Process) -> int:
    """Return the process id of a worker's only pool child."""
    children = Path(f"/proc/{worker.popen.pid}/task/{worker.popen.pid}/children").read_text()
    (child,) = children.split()
    return int(child)


def sign_up_into_a_long_call(running: Site, *, worker: Process) -> None:
    """Sign ada up, and return while the request that creates her is under way."""
    running.wait_for(worker)
    running.service.faults.add(Fault("delay", method="POST", seconds=CALL))
    running.door().seconds_of("ada")
    wait_until(lambda: not running.service.faults.waiting(), seconds=10, otherwise=worker.tail)
    assert list(running.service.log) == []


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_sign_up_is_sent_by_a_worker_with_any_pool(running: Site, pool: str) -> None:
    worker = running.worker(pool=pool)
    running.wait_for(worker)
    door = running.door()

    door.seconds_of("ada")

    running.wait_until_linked(door)
    everybody_is_linked_once(running, door)


def test_a_pool_child_that_is_killed_in_a_call_costs_nobody_and_no_second_customer(running: Site) -> None:
    worker, _ = running.worker(), running.beat()
    sign_up_into_a_long_call(running, worker=worker)

    os.kill(child_of(worker), signal.SIGKILL)

    (door,) = running.doors
    running.wait_until_linked(door, seconds=60)
    assert set(running.creates().values()) == {1}
    everybody_is_linked_once(running, door)


def test_a_worker_that_is_asked_to_end_in_a_call_finishes_it(running: Site) -> None:
    worker = running.worker()
    sign_up_into_a_long_call(running, worker=worker)
    (door,) = running.doors

    worker.popen.terminate()

    worker.popen.wait(timeout=20)
    running.processes.running.remove(worker)
    running.wait_until_linked(door, seconds=0.5)
    assert set(running.creates().values()) == {1}
    everybody_is_linked_once(running, door)
