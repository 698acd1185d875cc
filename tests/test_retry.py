"""Retries: when a row is tried again, by tables."""

import random

import pytest

from kohort_sync import retry


@pytest.mark.parametrize(
    ("attempts", "shortest", "longest"),
    [(0, 7.5, 15), (1, 15, 30), (2, 30, 60), (5, 240, 480), (11, 10_800, 21_600), (1000, 10_800, 21_600)],
)
def test_a_wait_doubles_up_to_six_hours_and_half_of_it_is_chance(
    attempts: int, shortest: float, longest: float
) -> None:
    chance = random.Random(1)

    waits = [retry.backoff(attempts=attempts, chance=chance) for _ in range(200)]

    assert shortest <= min(waits) < max(waits) <= longest
    assert len(set(waits)) > 100


@pytest.mark.parametrize(("attempts", "longest"), [(0, 15), (4, 240), (5, 300), (1000, 300)])
def test_a_wait_with_all_others_ends_at_five_minutes(attempts: int, longest: float) -> None:
    chance = random.Random(1)

    waits = [retry.backoff(attempts=attempts, chance=chance, alone=False) for _ in range(200)]

    assert longest / 2 <= min(waits) < max(waits) <= longest


@pytest.mark.parametrize(("crashes", "wait"), [(0, 15), (1, 30), (4, 240), (11, 21_600), (1000, 21_600)])
def test_a_row_that_may_kill_waits_longer_each_time(crashes: int, wait: float) -> None:
    assert retry.after_crash(crashes=crashes) == wait


@pytest.mark.parametrize(
    ("attempts", "failing_for", "hopeless"),
    [
        (12, 24 * 3600.0, True), (1000, 1e9, True),
        (11, 1e9, False), (1000, 24 * 3600.0 - 1, False), (0, 0.0, False),
    ],
)  # fmt: skip
def test_a_row_is_given_up_after_twelve_attempts_and_a_day(
    attempts: int, failing_for: float, *, hopeless: bool
) -> None:
    assert retry.is_hopeless(attempts=attempts, failing_for=failing_for) is hopeless


@pytest.mark.parametrize(
    ("looks", "until_settled", "expected"),
    [
        (0, 300, 15), (1, 300, 60), (2, 300, 300), (9, 120, 120),
        (0, 5, 5), (1, 5, 5),
    ],
)  # fmt: skip
def test_a_lost_answer_is_looked_up_soon_then_later_then_when_it_has_settled(
    looks: int, until_settled: float, expected: float
) -> None:
    assert retry.look_up_delay(looks=looks, until_settled=until_settled, chance=random.Random(1)) == expected


@pytest.mark.parametrize(
    ("looks", "shortest", "longest"), [(0, 7.5, 15), (5, 240, 480), (50, 10_800, 21_600)]
)
def test_a_look_up_that_fails_after_the_window_backs_off(looks: int, shortest: float, longest: float) -> None:
    delay = retry.look_up_delay(looks=looks, until_settled=-50, chance=random.Random(1))

    assert shortest <= delay <= longest


def test_a_look_up_that_fails_with_all_others_waits_five_minutes_at_most() -> None:
    chance = random.Random(1)

    waits = [retry.look_up_delay(looks=50, until_settled=-50, chance=chance, alone=False) for _ in range(200)]

    assert 150 <= min(waits) < max(waits) <= 300


def test_a_closure_lasts_up_to_a_fifth_longer_than_asked() -> None:
    chance = random.Random(1)

    spread = [retry.spread(100.0, chance=chance) for _ in range(200)]

    assert 100 <= min(spread) < max(spread) <= 120
    assert len(set(spread)) > 100


@pytest.mark.parametrize(
    ("retry_after", "closures", "expected"),
    [
        (None, 0, 1), (None, 1, 2), (None, 4, 16), (None, 5, 30), (None, 10_000, 30),
        (40.0, 0, 40), (0.0, 0, 1), (0.0, 3, 8), (3600.0, 9, 3600),
    ],
)  # fmt: skip
def test_a_slow_down_lasts_as_long_as_the_service_asks_or_doubles(
    retry_after: float | None, closures: int, expected: float
) -> None:
    assert retry.slow_down(retry_after=retry_after, closures=closures) == expected
