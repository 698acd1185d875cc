"""Celery's pools, and the ends that a worker may come to while a call is under way."""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kohort_sync.testing.faults import Fault
from project.demo.processes import Process
from tests.broker.site import Site, everybody_is_linked_once, site, stop, wait_until
from tests.broker.throwaway import RedisServer

pytestmark = pytest.mark.services

CALL = 2.0
"""Seconds that the service keeps a call: time enough to end the process that waits for it."""


@pytest.fixture
def running(tmp_path: Path, migrated: Path, own_redis: RedisServer) -> Iterator[Site]:
    with site(tmp_path, broker=own_redis.url, migrated=migrated, deadline=2 * CALL) as made:
        yield made


@pytest.fixture
def impatient(tmp_path: Path, migrated: Path, own_redis: RedisServer) -> Iterator[Site]:
    """Give a site whose calls and leases end soon: these after 14 seconds."""
    with site(tmp_path, broker=own_redis.url, migrated=migrated, deadline=1.0) as made:
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
    wait_for_the_call(running, worker=worker)


def wait_for_the_call(running: Site, *, worker: Process) -> None:
    """Wait until the service has got the request whose answer it keeps back."""
    wait_until(lambda: not running.service.faults.waiting(), seconds=10, otherwise=worker.tail)
    assert list(running.service.log) == []


@pytest.mark.failure(24)
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_sign_up_is_sent_by_a_worker_with_any_pool(running: Site, pool: str) -> None:
    worker = running.worker(pool=pool)
    running.wait_for(worker)
    door = running.door()

    door.seconds_of("ada")

    running.wait_until_linked(door)
    everybody_is_linked_once(running, door)


@pytest.mark.failure(24, 35)
@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_an_answer_that_drips_holds_no_pool_longer_than_a_call_may_take(impatient: Site, pool: str) -> None:
    # Celery's own limits of time hold in neither of these pools.
    door, worker = impatient.door(), impatient.worker(pool=pool)
    impatient.wait_for(worker)
    impatient.service.faults.add(Fault("drip", method="POST", email="ada@example.com", seconds=120))
    door.seconds_of("ada")

    door.seconds_of("bea")

    wait_until(
        lambda: door.links() == {"ada": "uncertain", "bea": "linked"}, seconds=30, otherwise=door.links
    )
    assert impatient.customers() == Counter(["ada@example.com", "bea@example.com"])


@pytest.mark.failure(13)
def test_a_message_that_comes_again_while_its_call_is_under_way_has_nothing_to_do(
    running: Site, own_redis: RedisServer
) -> None:
    door = running.door()
    door.seconds_of("ada")
    message = own_redis.take()
    worker = running.worker(pool="threads", concurrency=2)
    running.wait_for(worker)
    running.service.faults.add(Fault("delay", method="POST", seconds=1.5 * CALL))
    own_redis.client.lpush("celery", message)
    wait_for_the_call(running, worker=worker)

    own_redis.client.lpush("celery", message)

    running.processes.wait_for(worker, r" succeeded in ", seconds=1.5 * CALL)
    assert list(running.service.log) == []
    running.wait_until_linked(door)
    assert set(running.creates().values()) == {1}
    everybody_is_linked_once(running, door)


@pytest.mark.failure(18)
@pytest.mark.failure(34)
def test_a_pool_child_that_is_killed_in_a_call_costs_nobody_and_no_second_customer(running: Site) -> None:
    worker, _ = running.worker(), running.beat()
    sign_up_into_a_long_call(running, worker=worker)

    os.kill(child_of(worker), signal.SIGKILL)

    (door,) = running.doors
    running.wait_until_linked(door, seconds=60)
    assert set(running.creates().values()) == {1}
    everybody_is_linked_once(running, door)


@pytest.mark.failure(19)
def test_a_worker_that_is_killed_in_a_call_costs_nobody_and_no_second_customer(running: Site) -> None:
    worker, _ = running.worker(), running.beat()
    sign_up_into_a_long_call(running, worker=worker)

    os.killpg(worker.popen.pid, signal.SIGKILL)

    running.has_ended(worker)
    running.worker()
    (door,) = running.doors
    running.wait_until_linked(door, seconds=60)
    assert set(running.creates().values()) == {1}
    everybody_is_linked_once(running, door)


@pytest.mark.failure(16)
def test_a_worker_that_loses_its_broker_in_a_call_is_not_given_the_message_again(
    running: Site, own_redis: RedisServer
) -> None:
    worker = running.worker()
    sign_up_into_a_long_call(running, worker=worker)

    own_redis.hang_up()

    (door,) = running.doors
    running.processes.wait_for(worker, r"Connection to broker lost", seconds=10)
    running.wait_until_linked(door)
    running.wait_until_at_rest()
    assert len(re.findall(r"v1\.drain\S+ received", worker.says())) == 1
    assert set(running.creates().values()) == {1}
    everybody_is_linked_once(running, door)


@pytest.mark.failure(20)
def test_a_worker_that_is_asked_to_end_in_a_call_finishes_it(running: Site) -> None:
    worker = running.worker()
    sign_up_into_a_long_call(running, worker=worker)
    (door,) = running.doors

    worker.popen.terminate()

    running.has_ended(worker)
    running.wait_until_linked(door, seconds=0.5)
    assert set(running.creates().values()) == {1}
    everybody_is_linked_once(running, door)


@pytest.mark.failure(21)
def test_a_worker_that_stands_still_in_a_call_until_others_have_done_its_work_spoils_nothing_of_it(
    impatient: Site,
) -> None:
    worker = impatient.worker()
    sign_up_into_a_long_call(impatient, worker=worker)
    (door,) = impatient.doors

    with stop(worker):
        impatient.worker()
        impatient.beat()
        impatient.wait_until_linked(door, seconds=60)
        door.rename("ada", "Augusta")
        wait_until(lambda: _first_names(impatient) == ["Augusta"], seconds=20, otherwise=door.links)

    impatient.processes.wait_for(worker, r" succeeded in ", seconds=20)
    impatient.wait_until_linked(door)
    assert _first_names(impatient) == ["Augusta"]
    assert set(impatient.creates().values()) == {1}
    everybody_is_linked_once(impatient, door)


def _first_names(running: Site) -> list[str | None]:
    return [row["first_name"] for row in running.service.snapshot()]
