"""What the specification proves, at budgets small enough for every run; the command has larger ones."""

from dataclasses import fields, replace

import pytest

from tests.model import designs, explorer, steps
from tests.model.designs import CODE, CODE_TODAY, FULL, NOT_UNIQUE, UNIQUE, Case, Figures
from tests.model.explorer import explore
from tests.model.spec import At, Budget, Design, World

SMALL = Budget(1, 1, 1, 1)
# A comparison is missed only when a change meets a change, so these need more of them and less of the rest.
CHANGES = Budget(1, 0, 2, 1)
LATE = World(updates_travel=True)


@pytest.mark.parametrize(
    "case", [case for case in designs.LADDER if case.budget == SMALL], ids=lambda case: case.name
)
def test_a_rung_of_the_ladder_has_the_published_figures(case: Case) -> None:
    verdict = case.try_out()

    assert case.objection(verdict) == ""


# The first model's own figures at these budgets; the published ones are the command's to reproduce.
SMALLER_RUNGS = [
    (designs.STOPPED, SMALL, UNIQUE, Figures(7_481, 10, 0)),
    (designs.FENCED, CHANGES, UNIQUE, Figures(5_887, 0, 24)),
    (designs.FLAG, CHANGES, UNIQUE, Figures(6_358, 0, 3)),
    (designs.ROLLING, CHANGES, UNIQUE, Figures(7_048, 0, 0)),
    (designs.ROLLING, SMALL, UNIQUE, Figures(8_187, 0, 0)),
    (designs.ROLLING, SMALL, NOT_UNIQUE, Figures(9_305, 1_587, 130)),
    (designs.SETTLE_POSTS, SMALL, NOT_UNIQUE, Figures(3_378, 114, 17)),
    (FULL, SMALL, NOT_UNIQUE, Figures(2_458, 0, 0)),
    (FULL, SMALL, UNIQUE, Figures(2_458, 0, 0)),
]


@pytest.mark.parametrize(("design", "budget", "world", "figures"), SMALLER_RUNGS)
def test_an_upper_rung_has_the_figures_of_the_first_model(
    design: Design, budget: Budget, world: World, figures: Figures
) -> None:
    verdict = explore(design, world, budget)

    assert Figures(verdict.states, verdict.duplicates, verdict.stuck) == figures


# Which guards are needed


def test_the_full_design_breaks_without_these_guards_and_no_others() -> None:
    removals = list(designs.minimal_removals(FULL, UNIQUE, Budget(0, 0, 2, 1)))

    assert [set(removal.guards) for removal in removals] == [
        {"look-up"},
        {"lease"},
        {"settle window"},
        {"rolling verification", "flag"},
        {"freeze", "margin"},
    ]
    assert designs.twins(removals) == {
        "rolling verification": [{"flag"}],
        "freeze": [{"margin"}],
        "margin": [{"freeze"}],
        "flag": [{"rolling verification"}],
        "fenced intent": [],
    }


def test_once_a_worker_may_be_killed_nothing_replaces_rolling_verification() -> None:
    verdict = explore(designs.without(FULL, "rolling verification"), UNIQUE, Budget(1, 1, 2, 1))

    assert (verdict.duplicates, verdict.stuck) == (0, 6)


@pytest.mark.parametrize("guard", ["look-up", "lease", "settle window", "margin"])
def test_without_unique_addresses_the_margin_is_needed_as_well(guard: str) -> None:
    assert not explore(designs.without(FULL, guard), NOT_UNIQUE, SMALL).holds


def test_the_fenced_intent_is_what_holds_where_the_flag_is_all_there_is() -> None:
    budget = Budget(0, 0, 2, 2)
    flag_alone = designs.without(FULL, "rolling verification")

    assert explore(flag_alone, UNIQUE, budget).holds
    assert explore(designs.without(flag_alone, "fenced intent"), UNIQUE, budget).stuck == 2


# What the code does differently from the first model


@pytest.mark.parametrize("world", [UNIQUE, NOT_UNIQUE, designs.LATE_UPDATES])
@pytest.mark.parametrize("design", [CODE, replace(FULL, look_up_first=False)], ids=["code", "full"])
def test_a_first_post_needs_no_look_up(design: Design, world: World) -> None:
    assert explore(design, world, SMALL).holds


def test_a_second_post_needs_one() -> None:
    verdict = explore(designs.without(CODE, "look-up"), UNIQUE, SMALL)

    assert not verdict.duplicates
    assert verdict.stuck


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in (*designs.LATE_UPDATE_CASES, *designs.DELETION_CASES)
        if case.budget.changes < 2 or not case.budget.kills
    ],
    ids=lambda case: case.name,
)
def test_a_late_update_or_a_deletion_ends_as_expected(case: Case) -> None:
    verdict = case.try_out()

    assert case.objection(verdict) == ""


def test_an_update_that_arrives_after_a_newer_one_stays_unless_all_are_compared_again() -> None:
    verdict = explore(CODE_TODAY, LATE, Budget(0, 1, 2, 0))

    happens_in_order(
        verdict.stuck_trace,
        "w0 PATCHes address 1",
        "w0 gets NO ANSWER",
        "w0 records address 0",
        "w0 PATCHes address 2",
        "service: CHANGES the address to 2",
        "service: CHANGES the address to 1",
    )
    assert explore(CODE, LATE, Budget(0, 1, 2, 0)).holds


def test_a_customer_of_a_deleted_user_is_lost_where_a_late_post_is_possible() -> None:
    verdict = explore(designs.without(CODE, "margin"), UNIQUE, Budget(0, 0, 0, 1, 1))

    happens_in_order(
        verdict.stuck_trace,
        "w0 intends address 0",
        "user: is deleted",
        "w1 finds none, and skips the user",
        "w0 POSTs address 0",
        "service: INSERTS customer 0 with address 0",
    )


# The classic failures, as the shortest way there


def test_two_workers_with_two_addresses_make_two_customers() -> None:
    verdict = explore(designs.NAIVE, UNIQUE, SMALL)

    happens_in_order(
        verdict.duplicate_trace,
        "w0 POSTs address 0",
        "service: the reference is free",
        "user: changes the address to 1",
        "w1 POSTs address 1",
        "service: the reference is free",
        "service: INSERTS customer 0 with address 0",
        "service: INSERTS customer 1 with address 1",
    )


def test_a_kill_between_the_request_and_its_answer_leaves_a_customer_whom_nobody_knows() -> None:
    verdict = explore(designs.NAIVE, UNIQUE, SMALL)

    happens_in_order(
        verdict.stuck_trace,
        "w0 POSTs address 0",
        "w0 is KILLED before: await",
        "service: INSERTS customer 0 with address 0",
    )


def test_an_address_that_is_set_free_too_early_lets_a_late_post_in() -> None:
    verdict = explore(designs.FREEZE, UNIQUE, SMALL)

    happens_in_order(
        verdict.duplicate_trace,
        "w0 loses its LEASE before: begin",
        "w0 POSTs address 0",
        "w1 POSTs address 0",
        "service: INSERTS customer 0 with address 0",
        "w1 links customer 0",
        "w1 PATCHes address 1",
        "service: INSERTS customer 1 with address 0",
    )


def happens_in_order(trace: tuple[str, ...], *expected: str) -> None:
    """Assert that a trace has these steps, in this order, whatever lies between them."""
    rest = iter(trace)
    missing = [step for step in expected if step not in rest]
    assert not missing, f"{missing} in {' | '.join(trace)}"


# The sets are closed


def test_every_guard_has_a_name_and_the_full_design_has_it() -> None:
    named = [part for parts in designs.GUARDS.values() for part in parts]

    # A process may be stopped right after it has looked at its clock, so no proof rests on this one.
    assert sorted([*named, "margin_before_update"]) == sorted(part.name for part in fields(Design))
    assert all(getattr(FULL, part) for part in named)


def test_a_worker_has_a_move_wherever_it_stands() -> None:
    assert set(steps._MOVES) == set(At) - {At.REST}


def test_a_search_that_grows_too_large_says_so() -> None:
    with pytest.raises(explorer.TooManyStates):
        explore(FULL, UNIQUE, SMALL, limit=100)
