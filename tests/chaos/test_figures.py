"""The figures of a run are those that a person counts by hand."""

from pathlib import Path

import pytest

from tests.chaos import checker
from tests.chaos.checker.figures import Figures, Spread
from tests.chaos.stories import ENDED, HEALED, STARTED, Story, link, row, sound


def measured(story: Story, folder: Path) -> Figures:
    return checker.check(story.write(folder)).figures


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([3], Spread(3, 3, 3, 1)),
        ([2, 1], Spread(1, 2, 2, 2)),
        ([5, 1, 3], Spread(3, 5, 5, 3)),
        (range(1, 101), Spread(50, 99, 100, 100)),
        (range(1, 201), Spread(100, 198, 200, 200)),
        ([], None),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[float], spread: Spread | None
) -> None:
    assert Spread.of(values) == spread


def test_users_and_faults_are_counted(tmp_path: Path) -> None:
    story = sound()
    story.breaks("kill_child", at=HEALED, ended=None)

    told = measured(story, tmp_path)

    assert told.users == 6
    assert told.faults == {"kill_child": 2, "reset_after": 1}
    assert told.process_faults == 2


def test_creates_are_counted_for_each_reference_whatever_came_of_them(tmp_path: Path) -> None:
    told = measured(sound(), tmp_path)

    assert told.posts_per_user == Spread(p50=1, p99=2, max=2, count=5)


def test_a_request_that_creates_nothing_is_no_create(tmp_path: Path) -> None:
    story = sound()
    story.works("POST", at=HEALED, row=None, path="/customers/cus_1/else", reference="ref_1")
    story.works("PATCH", at=HEALED, row=None, path="/customers", reference="ref_1")

    told = measured(story, tmp_path)

    assert told.posts_per_user == Spread(p50=1, p99=2, max=2, count=5)


@pytest.mark.parametrize(("begins", "most"), [(0.0, 2), (0.09, 2), (0.1, 1), (5.0, 1)])
def test_creates_of_one_reference_at_once_are_counted_while_they_overlap(
    begins: float, most: int, tmp_path: Path
) -> None:
    story = Story()
    story.becomes_customer(1, at=0.0)
    story.service[0] |= {"at": 0.0, "ended": 0.1}
    story.works("POST", at=begins, row=None, reference="ref_1")
    story.works("POST", at=0.0, row=None, reference="ref_2")
    story.breaks("reset", at=0.0, ended=None)

    assert measured(story, tmp_path).posts_at_once == most


def test_sign_ups_are_measured_by_how_the_broker_was(tmp_path: Path) -> None:
    story = sound()
    story.signups.clear()
    story.breaks("stop_redis", at=HEALED + 10, ended=HEALED + 15)
    story.breaks("kill_redis", at=HEALED + 14, ended=HEALED + 18)
    for seconds in (0.1, 0.2, 0.3):
        story.signs_up(at=HEALED, seconds=seconds)
    story.signs_up(at=HEALED + 16, seconds=0.4)
    story.signs_up(at=HEALED + 13, seconds=30.0, ok=False, status=None)

    told = measured(story, tmp_path)

    assert told.signup_seconds == {
        "down": Spread(p50=0.4, p99=0.4, max=0.4, count=1),
        "up": Spread(p50=0.2, p99=0.3, max=0.3, count=3),
    }
    assert (told.signups_failed, told.signups_failed_by_nemesis) == (1, 0)


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (9.0, 2.0),  # it froze meanwhile
        (11.0, 0.1),
        (14.9, 0.5),  # it went on meanwhile
        (9.0, 8.0),  # it was whole before and after
    ],
)
def test_a_sign_up_that_met_a_frozen_broker_at_any_moment_is_counted_there(
    at: float, seconds: float, tmp_path: Path
) -> None:
    story = sound()
    story.signups.clear()
    story.breaks("stop_redis", at=HEALED + 10, ended=HEALED + 15)
    story.signs_up(at=HEALED + at, seconds=seconds)

    assert measured(story, tmp_path).signup_seconds == {"frozen": Spread(seconds, seconds, seconds, 1)}


@pytest.mark.parametrize("kind", ["kill_web", "stop_web", "kill_postgresql", "stop_postgresql"])
def test_a_sign_up_beside_a_broken_site_says_nothing_about_the_broker(kind: str, tmp_path: Path) -> None:
    story = sound()
    story.signups.clear()
    story.breaks(kind, at=HEALED + 5, ended=HEALED + 8)
    story.signs_up(at=HEALED + 7, seconds=3.0)
    story.signs_up(at=HEALED + 4, seconds=2.0, ok=False, status=500)
    story.signs_up(at=HEALED + 9, seconds=0.1)

    told = measured(story, tmp_path)

    assert told.signup_seconds == {"up": Spread(0.1, 0.1, 0.1, 1)}
    assert (told.signups_failed, told.signups_failed_by_nemesis) == (0, 1)


@pytest.mark.parametrize("kind", ["kill_redis", "stop_redis", "kill_worker", "reset"])
def test_nothing_else_excuses_a_sign_up(kind: str, tmp_path: Path) -> None:
    story = sound()
    story.breaks(kind, at=HEALED, ended=HEALED + 10)
    story.signs_up(at=HEALED, seconds=0.1, ok=False, status=500)

    told = measured(story, tmp_path)

    assert (told.signups_failed, told.signups_failed_by_nemesis) == (1, 0)


def test_a_sign_up_whose_web_was_killed_failed_by_the_nemesis(tmp_path: Path) -> None:
    story = sound()
    story.signs_up(at=HEALED, seconds=0.1, ok=False, status=None, web_killed=True)

    told = measured(story, tmp_path)

    assert (told.signups_failed, told.signups_failed_by_nemesis) == (0, 1)


def _recovering() -> Story:
    """Tell of users committed at 10, 20 and 30, whose creates ended at 15, 50 and 31.1."""
    story = Story()
    for user, at in ((1, 10.0), (2, 20.0), (3, 30.0)):
        story.becomes_customer(user, at=at)
    story.service[0]["ended"] = 15.0
    story.service[1]["ended"] = 50.0
    return story


@pytest.mark.parametrize(
    ("ended", "seconds"),
    [
        (9.0, 0.0),  # nobody had come
        (12.0, 3.0),  # the first was waiting
        (16.0, 0.0),  # the first had a customer
        (20.0, 30.0),
        (40.0, 10.0),  # the second was waiting still, the third no more
        (50.0, 0.0),
    ],
)
def test_recovery_lasts_until_everybody_has_a_customer_who_waited_when_the_fault_ended(
    ended: float, seconds: float, tmp_path: Path
) -> None:
    story = _recovering()
    story.breaks("stop_worker", at=5.0, ended=ended)

    told = measured(story, tmp_path).recovery_seconds

    assert told["stop_worker"] == told["all"] == Spread(seconds, seconds, seconds, 1)


def test_a_fault_without_an_end_was_over_at_once(tmp_path: Path) -> None:
    story = _recovering()
    story.breaks("kill_child", at=12.0, ended=None)

    assert measured(story, tmp_path).recovery_seconds["kill_child"].max == 3.0


def test_recovery_is_told_by_kind_and_for_all(tmp_path: Path) -> None:
    story = _recovering()
    story.breaks("kill_child", at=12.0, ended=12.0)
    story.breaks("kill_child", at=16.0, ended=16.0)
    story.breaks("reset", at=40.0, ended=40.0)

    told = measured(story, tmp_path).recovery_seconds

    assert told == {
        "all": Spread(3.0, 10.0, 10.0, 3),
        "kill_child": Spread(0.0, 3.0, 3.0, 2),
        "reset": Spread(10.0, 10.0, 10.0, 1),
    }


def test_who_never_gets_a_customer_waits_until_the_run_ends(tmp_path: Path) -> None:
    story = _recovering()
    story.commits("created", 4, at=60.0)
    story.breaks("kill_child", at=70.0, ended=70.0)

    assert measured(story, tmp_path).recovery_seconds["kill_child"].max == ENDED - 70.0


def test_who_is_deleted_or_listed_waits_no_more(tmp_path: Path) -> None:
    story = _recovering()
    story.commits("created", 4, at=60.0)
    story.commits("deleted", 4, at=75.0)
    story.commits("created", 5, at=60.0)
    story.links.append(link(5, state="conflict", kohort_id=None, reason="Decide."))
    story.breaks("kill_child", at=70.0, ended=70.0)

    assert measured(story, tmp_path).recovery_seconds["kill_child"].max == 5.0


def test_who_took_over_an_address_waits_for_a_customer_of_their_own(tmp_path: Path) -> None:
    story = _recovering()
    story.commits("changed", 1, at=55.0, email="one@example.com")
    story.commits("created", 4, at=60.0, email="user1@example.com")
    story.works("POST", at=80.0, row=row(4, email_address="user1@example.com"))
    story.links.append(link(4))
    story.breaks("kill_child", at=70.0, ended=70.0)

    assert measured(story, tmp_path).recovery_seconds["kill_child"].max == pytest.approx(10.1)


@pytest.mark.parametrize(("at", "seconds"), [(HEALED + 20, 20.1), (HEALED - 1, 0.0)])
def test_what_the_service_changed_after_the_heal_is_the_last_of_the_recovery(
    at: float, seconds: float, tmp_path: Path
) -> None:
    story = sound()
    story.works("PATCH", at=at, row=row(1))
    story.works("GET", at=HEALED + 90, row=None)

    assert measured(story, tmp_path).recovered_after_heal == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("at", "number"),
    [(99.9, 0), (100.4, 0), (100.6, 1), (101.9, 1), (102.0, 0), (104.0, 1), (109.9, 1), (110.0, 0)],
)
def test_a_request_inside_a_pause_that_was_asked_for_is_counted(
    at: float, number: int, tmp_path: Path
) -> None:
    story = Story()
    story.becomes_customer(1, at=0.0)
    story.breaks("rate_limit", at=99.0, ended=100.0, retry_after=2.0)
    story.breaks("rate_limit", at=102.0, ended=103.0, retry_after=7.0)
    story.breaks("rate_limit", at=103.0, ended=103.2, retry_after=1.0)
    story.breaks("rate_limit", at=200.0, ended=200.0)
    story.works("GET", at=at, row=None)

    assert measured(story, tmp_path).sent_before_retry_after == number


def test_the_peak_is_taken_wherever_a_second_begins(tmp_path: Path) -> None:
    story = Story()
    story.becomes_customer(1, at=0.0)  # its create begins at 1
    story.breaks("reset", at=0.0, ended=None)
    for at in (10.5, 10.9, 11.2, 11.49, 11.5, 30.0):
        story.works("GET", at=at, row=None)

    told = measured(story, tmp_path)

    assert (told.requests, told.requests_at_peak) == (7, 4)


def test_requests_without_a_valid_key_are_counted(tmp_path: Path) -> None:
    story = sound()
    story.works("GET", at=STARTED, row=None, authorized=False, status=401)

    assert measured(story, tmp_path).unauthorized == 1
