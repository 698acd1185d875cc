"""The throttle lets nobody wait for what will not come."""

import time
from threading import Event, Thread

from kohort_sync.drainer.throttle import Throttle
from kohort_sync.pacing import Pace


def test_a_second_request_is_not_waited_for_once_nothing_may_be_sent_any_more() -> None:
    pace = Pace({"rate": 0.1, "concurrency": 8}, most=8)
    throttle = Throttle(pace)
    pace.begin(time.monotonic())
    halted = Event()
    followers = [
        Thread(target=throttle.follow, kwargs={"may_go": lambda: not halted.is_set()}) for _ in range(8)
    ]
    for follower in followers:
        follower.start()

    halted.set()
    for follower in followers:
        follower.join(2)

    assert not any(follower.is_alive() for follower in followers)
    # Who has given up takes nobody's turn.
    assert pace.rest(time.monotonic()) <= 10.0


def test_whoever_waits_for_room_is_not_in_the_way_of_who_has_entered() -> None:
    throttle = Throttle(Pace(most=1))
    ticket = throttle.enter(may_go=lambda: True)
    halted = Event()
    other = Thread(target=throttle.enter, kwargs={"may_go": lambda: not halted.is_set()})
    other.start()

    assert throttle.follow(may_go=lambda: True)

    halted.set()
    other.join(2)
    assert ticket is not None
    assert not other.is_alive()
