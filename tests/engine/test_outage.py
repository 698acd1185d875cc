"""A long outage with many sign-ups: few questions while it lasts, gentle afterwards, nobody given up."""

import threading
from typing import Any

import pytest

from kohort_sync import connection, sweep
from kohort_sync.models import CustomerLink, State
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up

pytestmark = pytest.mark.django_db(transaction=True)

HOURS = 6
STEP = 120.0
MOST_AT_ONCE = 3


class Counting(ServiceAdapter):
    """Count how many requests are under way at once."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._lock = threading.Lock()
        self._under_way = self.peak = 0

    def send(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)
        try:
            return super().send(*args, **kwargs)
        finally:
            with self._lock:
                self._under_way -= 1


@pytest.mark.failure(77)
def test_after_six_hours_of_outage_everybody_is_sent_gently_and_nobody_was_given_up(settings: Any) -> None:
    leased: list[int] = []

    def wanted(_user: Any) -> bool:
        leased.append(CustomerLink.objects.exclude(lease_token="").count())
        return True

    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_CONCURRENCY": MOST_AT_ONCE}
    service = Service(seed=1)
    line = Counting(service)
    rounds = int(HOURS * 3600 / STEP)
    with connection.through(line):
        for number in range(100):
            sign_up(f"before{number}")
        service.faults.add(Fault("status", times=None, status=503))
        drain()
        first = len(service.log)
        for number in range(rounds):
            sign_up(f"during{number}")
            let_time_pass(STEP)
            drain()
        asked = list(service.log)[first:]
        worst = max(CustomerLink.objects.values_list("attempts", flat=True))
        states = {*CustomerLink.objects.values_list("state", flat=True)}
        service.faults.clear()
        settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": wanted}
        for _ in range(3):
            let_time_pass(400)
            drain()

    assert first <= 5 + MOST_AT_ONCE
    # One harmless question each time, and never the data of anybody.
    assert {(each.method, each.customer_id) for each in asked} == {("GET", None)}
    assert len(asked) <= rounds
    assert worst <= 1
    assert states == {State.PENDING, State.UNCERTAIN}
    assert leased[:15] == [1] + [2] * 2 + [4] * 4 + [8] * 8
    assert line.peak <= MOST_AT_ONCE
    assert not CustomerLink.objects.exclude(state=State.LINKED).exists()
    assert len(service.snapshot()) == 100 + rounds


@pytest.mark.failure(7)
def test_who_waits_for_longer_than_anything_is_kept_is_sent_all_the_same(
    service: Service, settings: Any
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"RETENTION_DAYS": 30}
    users = [sign_up(), sign_up("bea")]
    service.faults.add(Fault("status", times=None, status=503))
    for _ in range(40):
        sweep.sweep("default")
        drain()
        let_time_pass(24 * 3600)
    service.faults.clear()

    for _ in range(3):
        drain()
        let_time_pass(400)

    assert {link_of(user).state for user in users} == {State.LINKED}
    assert len(service.snapshot()) == 2
