import pytest

from kohort_sync.testing.latency import PROFILES, Kind, Latency
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service
from kohort_sync.testing.wire import Request


class Clock:
    """Let time pass only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def ask(service: Service, method: str, path: str) -> float:
    headers = {"Authorization": f"Bearer {DEFAULT_TEST_KEY}"}
    return service.handle(Request(method, path, headers)).seconds


def test_without_a_profile_nothing_waits() -> None:
    clock = Clock()
    service = Service(sleep=clock.sleep, monotonic=lambda: clock.now)

    assert ask(service, "GET", "/customers") == 0
    assert clock.slept == []
    assert not service.may_take_time


@pytest.mark.parametrize(
    ("method", "path", "mean"),
    [("POST", "/customers", 0.018), ("GET", "/customers/x", 0.015), ("GET", "/customers?take=1", 0.017)],
)
def test_a_test_key_answers_in_15_to_18_milliseconds(method: str, path: str, mean: float) -> None:
    clock = Clock()
    service = Service(latency="test", seed=1, sleep=clock.sleep, monotonic=lambda: clock.now)

    taken = [ask(service, method, path) for _ in range(500)]

    assert sum(taken) / len(taken) == pytest.approx(mean, rel=0.05)
    assert taken == clock.slept


@pytest.mark.parametrize(("profile", "per_second"), [("test", 85), ("live", 1.8)])
def test_many_at_once_get_no_more_than_the_service_does(profile: str, per_second: float) -> None:
    latency = Latency(profile, seed=1)

    last = max(latency.book("post", now=0.0) for _ in range(1000))

    assert 1000 / last == pytest.approx(per_second, rel=0.02)


@pytest.mark.parametrize("kind", ["post", "get", "list"])
def test_a_live_key_answers_in_550_to_700_milliseconds(kind: Kind) -> None:
    latency = Latency("live", seed=1)

    taken = [latency.book(kind, now=10.0 * turn) for turn in range(200)]

    assert 0.55 <= min(taken) < 0.57
    assert 0.68 < max(taken) <= 0.70


def test_a_switch_forgets_the_queue_and_an_unknown_profile_is_refused() -> None:
    latency = Latency("live")
    for _ in range(10):
        latency.book("post", now=0.0)

    latency.switch("none")

    assert latency.book("post", now=0.0) == 0
    with pytest.raises(ValueError, match="none, test, live"):
        latency.switch("slow")
    assert set(PROFILES) == {"none", "test", "live"}
