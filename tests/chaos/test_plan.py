"""The plan of a run: the same for a seed each time, and as rich as the promise asks for."""

from collections import Counter

from tests.chaos import plan


def test_a_seed_makes_the_same_plan_each_time() -> None:
    assert plan.make(3, users=500, seconds=100) == plan.make(3, users=500, seconds=100)
    assert plan.make(3, users=500, seconds=100) != plan.make(4, users=500, seconds=100)


def test_three_full_seeds_kill_as_often_as_is_asked_for() -> None:
    plans = [plan.make(seed, users=7800, seconds=plan.FULL_SECONDS) for seed in (1, 2, 3)]

    kinds = Counter(strike.kind for made in plans for strike in made.strikes)

    asked = {"child": 60, "worker": 40, "web": 40, "beat": 10, "redis": 10, "postgresql": 10}
    assert [whom for whom, times in asked.items() if kinds[f"kill_{whom}"] < times] == []
    assert kinds.total() >= 200


def test_a_full_seed_signs_up_as_many_as_it_says_and_leaves_nothing_out() -> None:
    made = plan.make(1, users=7800, seconds=plan.FULL_SECONDS)

    sizes: Counter[str] = Counter()
    for act in made.acts:
        sizes[act.kind] += act.size

    assert sizes["sign_up"] + sizes["bulk"] + sizes["bulk_announced"] == 7800
    assert set(sizes) >= {"rename", "change_email", "swap", "delete", "roll_back", "share_email", "resync"}
    assert all(0 <= act.at <= made.seconds for act in made.acts)


def test_every_way_to_break_the_wire_is_in_a_full_seed() -> None:
    made = plan.make(1, users=7800, seconds=plan.FULL_SECONDS)

    wire = {
        (fault["kind"], fault.get("after_commit", False)) for phase in made.phases for fault in phase.faults
    }
    refused = [phase for phase in made.phases if any(fault.get("status") == 401 for fault in phase.faults)]

    assert wire >= {("reset", False), ("reset", True), ("status", False), ("status", True), ("stall", False)}
    assert {kind for kind, _ in wire} >= {"drip", "truncated", "html", "rate_limit", "old_list", "delay"}
    assert len(refused) == 3


def test_whoever_is_frozen_wakes_after_its_lease() -> None:
    made = plan.make(1, users=7800, seconds=plan.FULL_SECONDS)

    frozen = [strike for strike in made.strikes if strike.kind in {"stop_child", "stop_worker"}]

    assert frozen
    assert all(strike.seconds > made.lease for strike in frozen)
