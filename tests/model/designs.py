"""Designs with names: the ladder of the reliability study, the code as it is, and what each is worth."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from tests.model.explorer import Verdict, explore
from tests.model.spec import Budget, Design, World

UNIQUE = World()
NOT_UNIQUE = World(unique_email=False)
LATE_UPDATES = World(updates_travel=True, changes_back=True)
ERASING = World(erases=True)
ERASING_LATE = replace(LATE_UPDATES, erases=True)

# Rung by rung: each has the guards of the one above it and one more.

NAIVE = Design()
LOOK_UP = replace(NAIVE, look_up=True, look_up_first=True)
LEASE = replace(LOOK_UP, lease=True, margin_before_update=True)
FREEZE = replace(LEASE, freeze=True)
SETTLE = replace(FREEZE, settle_before_change=True, settle_after_reclaim=True, settle_before_erased=True)
# From here on a process may be stopped between a look at its clock and its PATCH.
STOPPED = replace(SETTLE, margin_before_update=False)
FENCED = replace(STOPPED, fenced_intent=True)
FLAG = replace(FENCED, flag=True, flag_waits=True, flag_lasts=True, flag_reopens=True)
ROLLING = replace(FLAG, rolling=True)
SETTLE_POSTS = replace(ROLLING, settle_before_post=True)
FULL = replace(SETTLE_POSTS, margin_before_post=True)

CODE = replace(
    FULL,
    look_up_first=False,
    settle_after_reclaim=False,
    flag_waits=False,
    flag_outlasts_comparison=True,
    second_look=True,
    erase_repeats=True,
)
"""What kohort_sync does: no look-up before a first POST; comparisons at once, and a second look."""
PUNCTUAL = replace(CODE, margin_before_update=True)
"""The same where no process is stopped between a look at its clock and its PATCH."""
VIGILANT = replace(CODE, rolling_erased=True)
"""What would erase for good even where one is stopped there, and killed before it can report."""

GUARDS: dict[str, tuple[str, ...]] = {
    "look-up": ("look_up", "look_up_first"),
    "lease": ("lease",),
    "settle window": (
        "settle_before_post",
        "settle_before_change",
        "settle_after_reclaim",
        "settle_before_erased",
    ),
    "rolling verification": ("rolling", "rolling_erased"),
    "freeze": ("freeze",),
    "margin": ("margin_before_post",),
    "flag": ("flag", "flag_waits", "flag_lasts", "flag_outlasts_comparison", "flag_reopens"),
    "fenced intent": ("fenced_intent",),
    "second look": ("second_look", "erase_repeats"),
}
"""The guards as one speaks of them, and what each is made of. The full design has all but the last."""


def guards_of(design: Design) -> tuple[str, ...]:
    """Name the guards of which the design has a part."""
    return tuple(guard for guard, parts in GUARDS.items() if any(getattr(design, part) for part in parts))


def without(design: Design, *guards: str) -> Design:
    """Return the design with these guards of `GUARDS` removed."""
    return replace(design, **{part: False for guard in guards for part in GUARDS[guard]})


# What each is worth


class Figures(NamedTuple):
    """Count states, duplicates, and states without a way to the goal."""

    states: int
    duplicates: int
    stuck: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """Name a design, where it is tried, and what is known of it."""

    name: str
    design: Design
    budget: Budget
    world: World = UNIQUE
    published: Figures | None = None
    """What the first model found (`reliability.md` 2.5 leaves two of the last column out); or None."""
    holds: bool = True
    """Whether it is expected to hold, for what was not published."""

    def try_out(self) -> Verdict:
        """Search every state."""
        return explore(self.design, self.world, self.budget)

    def objection(self, verdict: Verdict) -> str:
        """Say how a verdict differs from what is known, or nothing."""
        found = Figures(verdict.states, verdict.duplicates, verdict.stuck)
        if self.published is not None and found != self.published:
            return f"published: {tuple(self.published)}"
        expected = self.holds if self.published is None else not any(self.published[1:])
        return "" if verdict.holds == expected else f"expected {'to hold' if expected else 'to fail'}"


def _published(
    budget: Budget, rows: Iterable[tuple[str, Design, Figures]], *, world: World = UNIQUE
) -> tuple[Case, ...]:
    return tuple(
        Case(name=name, design=design, budget=budget, world=world, published=figures)
        for name, design, figures in rows
    )


LADDER = (
    *_published(
        Budget(1, 1, 1, 1),
        [
            ("naive: POST, POST again", NAIVE, Figures(13_181, 2_057, 1_941)),
            ("+ look-up before a POST", LOOK_UP, Figures(17_690, 2_727, 0)),
            ("+ lease, fenced write-back", LEASE, Figures(14_689, 1_706, 0)),
            ("+ frozen address", FREEZE, Figures(8_356, 249, 0)),
            ("+ settle window", SETTLE, Figures(7_440, 0, 0)),
            ("... minus look-up", without(SETTLE, "look-up"), Figures(5_741, 0, 2_415)),
            ("... minus frozen address", without(SETTLE, "freeze"), Figures(12_999, 1_271, 0)),
        ],
    ),
    *_published(
        Budget(1, 1, 2, 2),
        [
            ("a stopped worker may PATCH late", STOPPED, Figures(56_630, 100, 158)),
            ("+ fenced intent before every call", FENCED, Figures(55_541, 0, 158)),
            ("+ flag", FLAG, Figures(60_533, 0, 34)),
            ("+ rolling verification", ROLLING, Figures(63_617, 0, 0)),
        ],
    ),
    *_published(
        Budget(2, 2, 1, 2),
        [
            ("rolling, address not unique", ROLLING, Figures(112_832, 27_330, 2_412)),
            ("+ settle window before a re-POST", SETTLE_POSTS, Figures(20_096, 576, 110)),
            ("+ margin before a POST = full", FULL, Figures(13_799, 0, 0)),
        ],
        world=NOT_UNIQUE,
    ),
)

LARGE = (
    *_published(
        Budget(3, 3, 3, 3),
        [
            ("rolling", ROLLING, Figures(1_405_807, 0, 0)),
            ("full", FULL, Figures(304_355, 0, 0)),
        ],
    ),
    Case(name="the code, late PATCH", design=CODE, budget=Budget(1, 1, 2, 2), world=LATE_UPDATES),
    Case(
        name="the code, user erased, late PATCH",
        design=PUNCTUAL,
        budget=Budget(1, 1, 2, 2, 1),
        world=ERASING_LATE,
    ),
)

_SMALL, _MORE_CHANGES, _DELETED = Budget(1, 1, 1, 1), Budget(1, 1, 2, 2), Budget(1, 1, 1, 1, 1)
_ONE_EXPIRY = Budget(1, 1, 2, 1)
_DELETED_LITTLE = Budget(1, 0, 1, 1, 1)
"""Enough for a failure."""

CODE_CASES = (
    Case(name="full", design=FULL, budget=_MORE_CHANGES),
    Case(name="the code", design=CODE, budget=_MORE_CHANGES),
    Case(name="the code, address not unique", design=CODE, budget=_MORE_CHANGES, world=NOT_UNIQUE),
    Case(name="... minus rolling", design=without(CODE, "rolling verification"), budget=_SMALL),
    Case(
        name="... minus rolling",
        design=without(CODE, "rolling verification"),
        budget=_MORE_CHANGES,
        holds=False,
    ),
    Case(
        name="... minus rolling, none stopped",
        design=without(PUNCTUAL, "rolling verification"),
        budget=_MORE_CHANGES,
    ),
)

_NOT_ROLLING = without(CODE, "rolling verification")
_FLAG_ALONE = without(CODE, "rolling verification", "second look")

LATE_UPDATE_CASES = (
    Case(name="full, late PATCH", design=FULL, budget=_SMALL, world=LATE_UPDATES),
    Case(name="the code, late PATCH", design=CODE, budget=_ONE_EXPIRY, world=LATE_UPDATES),
    # The second look replaces rolling verification, unless a process is stopped between its clock and its
    # PATCH, and killed before it can report: that takes a kill, two changes and an ended lease.
    Case(
        name="... minus rolling, none stopped",
        design=without(PUNCTUAL, "rolling verification"),
        budget=_ONE_EXPIRY,
        world=LATE_UPDATES,
    ),
    *(
        Case(name="... minus rolling", design=_NOT_ROLLING, budget=budget, world=LATE_UPDATES)
        for budget in (Budget(0, 1, 2, 2), Budget(1, 1, 1, 2), Budget(1, 1, 2, 0))
    ),
    Case(
        name="... minus rolling",
        design=_NOT_ROLLING,
        budget=Budget(1, 0, 2, 1),
        world=LATE_UPDATES,
        holds=False,
    ),
    *(
        Case(name="... and second look", design=_FLAG_ALONE, budget=budget, world=LATE_UPDATES, holds=False)
        for budget in (Budget(0, 1, 2, 0), Budget(1, 0, 2, 0))
    ),
    Case(
        name="... and second look, only reports",
        design=_FLAG_ALONE,
        budget=Budget(0, 0, 2, 2),
        world=LATE_UPDATES,
    ),
    # Without these a late worker's report is overwritten by the outcome of the one that works now.
    *(
        Case(
            name=f"... if the {name}",
            design=replace(_FLAG_ALONE, **{part: False}),
            budget=Budget(0, 0, 2, 1),
            world=LATE_UPDATES,
            holds=False,
        )
        for name, part in (
            ("flag did not last", "flag_lasts"),
            ("comparison cleared it", "flag_outlasts_comparison"),
        )
    ),
)

DELETION_CASES = (
    Case(name="the code, user deleted", design=CODE, budget=_DELETED),
    Case(name="the code, user deleted, not unique", design=CODE, budget=_DELETED, world=NOT_UNIQUE),
    Case(name="the code, user deleted, late PATCH", design=CODE, budget=_DELETED, world=LATE_UPDATES),
    Case(name="... minus rolling", design=_NOT_ROLLING, budget=_DELETED),
    Case(name="... minus margin", design=without(CODE, "margin"), budget=_DELETED_LITTLE, holds=False),
    Case(
        name="... minus settle window",
        design=without(CODE, "settle window"),
        budget=_DELETED_LITTLE,
        holds=False,
    ),
    Case(name="... minus look-up", design=without(CODE, "look-up"), budget=_DELETED_LITTLE, holds=False),
)


def _erasure(
    name: str,
    design: Design,
    *,
    world: World = ERASING_LATE,
    budget: Budget | None = None,
    holds: bool = True,
) -> Case:
    budget = budget or (_DELETED if holds else _DELETED_LITTLE)
    return Case(name=name, design=design, budget=budget, world=world, holds=holds)


ERASURE_CASES = (
    _erasure("the code, user erased", PUNCTUAL, world=ERASING),
    _erasure("the code, user erased, not unique", PUNCTUAL, world=replace(ERASING, unique_email=False)),
    _erasure("the code, user erased, late PATCH", PUNCTUAL),
    _erasure("the code, late PATCH, DELETE works", PUNCTUAL, world=replace(ERASING_LATE, deletes=True)),
    _erasure("... minus rolling", without(PUNCTUAL, "rolling verification")),
    _erasure("... believed at once", replace(PUNCTUAL, settle_before_erased=False), holds=False),
    _erasure("... or else left to a person", replace(PUNCTUAL, erase_repeats=False), holds=False),
    _erasure("... minus settle window", without(PUNCTUAL, "settle window"), holds=False),
    _erasure("... minus look-up", without(PUNCTUAL, "look-up"), holds=False),
    _erasure("... minus margin", without(PUNCTUAL, "margin"), holds=False),
    _erasure("... a process may be stopped", CODE, holds=False),
    _erasure("... but erased ones are compared", VIGILANT),
    # Who is stopped but not killed reports, and that is enough if it opens the row again.
    _erasure("... or none is killed", CODE, budget=Budget(0, 1, 1, 1, 1)),
    _erasure(
        "... if a report did not reopen",
        replace(CODE, flag_reopens=False),
        budget=Budget(0, 0, 1, 1, 1),
        holds=False,
    ),
)


# Which guards are needed

# In this order: each shows one set more than those before it.
TRIED = (Budget(0, 0, 1, 1), Budget(0, 0, 2, 1), Budget(1, 0, 2, 1), Budget(0, 0, 2, 2))


class Removal(NamedTuple):
    """Hold a set of guards without which the design breaks; with any one of them it holds."""

    guards: frozenset[str]
    duplicates: int
    stuck: int


def minimal_removals(design: Design, world: World, budget: Budget) -> Iterator[Removal]:
    """Yield every minimal set of guards whose removal breaks the design, the smallest first."""
    found: list[frozenset[str]] = []
    for guards in _subsets(guards_of(design)):
        if any(smaller <= guards for smaller in found):
            continue
        verdict = explore(without(design, *guards), world, budget)
        if not verdict.holds:
            found.append(guards)
            yield Removal(guards, verdict.duplicates, verdict.stuck)


Summary = Mapping[frozenset[str], Budget]
"""Every set that is minimal at some budget, and the first such budget."""


def summarize(removals: Iterable[tuple[Budget, Removal]]) -> Summary:
    """Keep the first budget of each set; the smallest sets come first."""
    firsts: dict[frozenset[str], Budget] = {}
    for budget, removal in removals:
        firsts.setdefault(removal.guards, budget)
    return dict(sorted(firsts.items(), key=lambda first: len(first[0])))


def twins(design: Design, summary: Summary) -> dict[str, list[frozenset[str]]]:
    """Map each guard that is redundant alone to what must be there as long as it is not."""
    redundant = [guard for guard in guards_of(design) if frozenset({guard}) not in summary]
    return {guard: [guards - {guard} for guards in summary if guard in guards] for guard in redundant}


def _subsets(names: tuple[str, ...]) -> Iterator[frozenset[str]]:
    for size in range(1, len(names) + 1):
        yield from map(frozenset, combinations(names, size))
