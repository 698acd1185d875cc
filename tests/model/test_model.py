"""What the specification proves, at budgets small enough for every run; the command has larger ones."""

from dataclasses import fields, replace

import pytest

from tests.model import designs, explorer, steps
from tests.model.designs import (
    CODE,
    ERASING_LATE,
    FULL,
    LATE_UPDATES,
    NOT_UNIQUE,
    PUNCTUAL,
    UNIQUE,
    VIGILANT,
    Case,
    Figures,
    without,
)
from tests.model.explorer import explore
from tests.model.spec import At, Budget, Design, World

pytestmark = pytest.mark.search

SMALL = Budget(1, 1, 1, 1)
# A comparison is missed only when a change meets a change, so these need more of them and less of the rest.
CHANGES = Budget(1, 0, 2, 1)


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


ALONE = {
    frozenset({"look-up"}): Budget(0, 0, 1, 1),
    frozenset({"lease"}): Budget(0, 0, 1, 1),
    frozenset({"settle window"}): Budget(0, 0, 1, 1),
    frozenset({"rolling verification"}): Budget(1, 0, 2, 1),
}
# As long as nobody is killed: then nothing replaces rolling verification.
WITH_ROLLING = {
    frozenset({"flag", "rolling verification"}): Budget(0, 0, 2, 1),
    frozenset({"fenced intent", "rolling verification"}): Budget(0, 0, 2, 2),
}
ROLLING_IS_THE_TWIN = [frozenset({"rolling verification"})]


@pytest.mark.parametrize(
    ("world", "sets", "twins"),
    [
        pytest.param(
            UNIQUE,
            ALONE | WITH_ROLLING | {frozenset({"freeze", "margin"}): Budget(0, 0, 1, 1)},
            {
                "freeze": [frozenset({"margin"})],
                "margin": [frozenset({"freeze"})],
                "flag": ROLLING_IS_THE_TWIN,
                "fenced intent": ROLLING_IS_THE_TWIN,
            },
            id="unique addresses",
        ),
        pytest.param(
            NOT_UNIQUE,
            ALONE | WITH_ROLLING | {frozenset({"margin"}): Budget(0, 0, 1, 1)},
            {"freeze": [], "flag": ROLLING_IS_THE_TWIN, "fenced intent": ROLLING_IS_THE_TWIN},
            id="addresses not unique",
        ),
    ],
)
def test_the_full_design_breaks_without_these_guards_and_no_others(
    world: World,
    sets: dict[frozenset[str], Budget],
    twins: dict[str, list[frozenset[str]]],
) -> None:
    found = [
        (budget, removal)
        for budget in designs.TRIED
        for removal in designs.minimal_removals(FULL, world, budget)
    ]

    summary = designs.summarize(found)

    assert summary == sets
    assert designs.twins(FULL, summary) == twins


def test_every_guard_of_the_full_design_occurs_in_what_is_pinned_above() -> None:
    named = {guard for guards in (*ALONE, *WITH_ROLLING) for guard in guards} | {"freeze", "margin"}

    assert named == set(designs.guards_of(FULL))


# What the code does differently from the first model


@pytest.mark.parametrize("world", [UNIQUE, NOT_UNIQUE, LATE_UPDATES])
@pytest.mark.parametrize("design", [CODE, replace(FULL, look_up_first=False)], ids=["code", "full"])
def test_a_first_post_needs_no_look_up(design: Design, world: World) -> None:
    assert explore(design, world, SMALL).holds


def test_a_second_post_needs_one() -> None:
    verdict = explore(without(CODE, "look-up"), UNIQUE, SMALL)

    assert not verdict.duplicates
    assert verdict.stuck


@pytest.mark.parametrize(
    "case",
    [*designs.LATE_UPDATE_CASES, *designs.DELETION_CASES, *designs.ERASURE_CASES],
    ids=lambda case: f"{case.name} at {','.join(map(str, case.budget))}",
)
def test_a_late_update_a_deletion_or_an_erasure_ends_as_expected(case: Case) -> None:
    verdict = case.try_out()

    assert case.objection(verdict) == ""


# What the second look is worth


def test_an_update_that_arrives_after_a_newer_one_stays_if_it_was_compared_only_at_once() -> None:
    world, budget = World(updates_travel=True), Budget(0, 1, 2, 0)
    compared_at_once = without(CODE, "rolling verification", "second look")

    verdict = explore(compared_at_once, world, budget)

    happens_in_order(
        verdict.stuck_trace,
        "w0 PATCHes address 1",
        "w0 gets NO ANSWER",
        "w0 records address 0",
        "w0 PATCHes address 2",
        "service: CHANGES the address to 2",
        "service: CHANGES the address to 1",
    )
    assert explore(without(CODE, "rolling verification"), world, budget).holds
    assert explore(without(CODE, "second look"), world, budget).holds


def test_what_a_stopped_and_killed_process_has_changed_is_seen_by_rolling_verification_alone() -> None:
    verdict = explore(without(CODE, "rolling verification"), UNIQUE, CHANGES)

    happens_in_order(
        verdict.stuck_trace,
        "w0 loses its LEASE before: begin",
        "w0 wants address 1",
        "w1 PATCHes address 2",
        "w0 PATCHes address 1",
        "w0 is KILLED before: updated",
    )
    assert explore(without(PUNCTUAL, "rolling verification"), UNIQUE, CHANGES).holds
    assert explore(CODE, UNIQUE, CHANGES).holds


# What leaves a person's data behind


def test_who_is_erased_while_an_update_is_under_way_gets_the_address_back() -> None:
    verdict = explore(replace(PUNCTUAL, settle_before_erased=False), ERASING_LATE, Budget(1, 0, 1, 0, 1))

    happens_in_order(
        verdict.stuck_trace,
        "w0 PATCHes address 1",
        "w0 is KILLED before: await update",
        "user: is deleted",
        "w0 wants to anonymise",
        "w0 DELETEs, and GETs address -1",
        "service: CHANGES the address to 1",
    )


def test_who_is_erased_while_a_create_is_under_way_becomes_a_customer_afterwards() -> None:
    verdict = explore(replace(PUNCTUAL, settle_before_post=False), ERASING_LATE, Budget(1, 0, 0, 0, 1))

    happens_in_order(
        verdict.stuck_trace,
        "w0 POSTs address 0",
        "w0 is KILLED before: await",
        "user: is deleted",
        "w0 finds none, and skips the user",
        "service: INSERTS customer 0 with address 0",
    )


def test_who_is_erased_without_a_look_up_stays_a_customer_whom_nobody_knows() -> None:
    verdict = explore(without(PUNCTUAL, "look-up"), ERASING_LATE, Budget(1, 0, 0, 0, 1))

    happens_in_order(verdict.stuck_trace, "w0 POSTs address 0", "w0 is KILLED before: await")


def test_a_stopped_process_may_undo_an_erasure_after_it_was_confirmed() -> None:
    verdict = explore(replace(CODE, flag_reopens=False), designs.ERASING, Budget(0, 0, 1, 1, 1))

    happens_in_order(
        verdict.stuck_trace,
        "w0 wants address 1",
        "user: is deleted",
        "w1 DELETEs, and GETs address -1",
        "w0 PATCHes address 1",
        "w1 has erased",
    )


# A user who is gone


def test_a_customer_of_a_deleted_user_is_lost_where_a_late_post_is_possible() -> None:
    verdict = explore(without(CODE, "margin"), UNIQUE, Budget(0, 0, 0, 1, 1))

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


def test_every_guard_has_a_name_and_a_design_that_has_it() -> None:
    named = [part for parts in designs.GUARDS.values() for part in parts]

    # A process may be stopped right after it has looked at its clock, so no proof rests on this one but
    # where it says so.
    assert sorted([*named, "margin_before_update"]) == sorted(part.name for part in fields(Design))
    for part in named:
        assert any(getattr(design, part) for design in (FULL, VIGILANT))


def test_a_worker_has_a_move_wherever_it_stands() -> None:
    assert set(steps._MOVES) == set(At) - {At.REST}


def test_a_search_that_grows_too_large_says_so() -> None:
    with pytest.raises(explorer.TooManyStates):
        explore(FULL, UNIQUE, SMALL, limit=100)
