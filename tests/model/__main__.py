"""Print what each design is worth. Ends with 1 where a figure is not the known one.

    python -m tests.model             the ladder, the code, late updates, deletions, erasure (half a minute)
    python -m tests.model --large     the ladder's largest budgets too (minutes, and 1 GB of memory)
    python -m tests.model --traces    the shortest way to each failure as well
    python -m tests.model --minimal   the minimal sets of guards whose removal breaks the design (a minute)

The budgets k, l, c, e, d are kills, lost answers, changes of the address, ended leases, deletions.
"""

import argparse
import sys
from collections.abc import Iterable

from tests.model import designs
from tests.model.designs import Case, Removal, Summary
from tests.model.explorer import Verdict
from tests.model.spec import Budget, Design, World

_COLUMNS = ("design", "k,l,c,e,d", "states", "transitions", "duplicates", "stuck", "seconds")
# The larger ones find nothing more: they are here to show it.
_LARGER = (Budget(1, 1, 2, 1), Budget(1, 1, 2, 2))
_LATE = (Budget(0, 1, 2, 0), Budget(1, 0, 2, 0), Budget(1, 0, 2, 1))
_SEARCHES = (
    ("the full design", designs.FULL, designs.UNIQUE, (*designs.TRIED, *_LARGER)),
    ("the full design, address not unique", designs.FULL, designs.NOT_UNIQUE, (*designs.TRIED, *_LARGER)),
    ("the code, late PATCH", designs.CODE, designs.LATE_UPDATES, _LATE),
)


def main() -> int:
    """Do what the arguments say; return a shell's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--large", action="store_true", help="try the largest budgets too")
    parser.add_argument("--traces", action="store_true", help="print the shortest way to each failure")
    parser.add_argument("--minimal", action="store_true", help="print which guards are needed")
    chosen = parser.parse_args()
    if chosen.minimal:
        print_minimal()
        return 0
    groups = [
        designs.LADDER,
        designs.CODE_CASES,
        designs.LATE_UPDATE_CASES,
        designs.DELETION_CASES,
        designs.ERASURE_CASES,
    ]
    if chosen.large:
        groups.insert(1, designs.LARGE)
    as_known = [print_table(group, traces=chosen.traces) for group in groups]
    return int(not all(as_known))


def print_table(cases: Iterable[Case], *, traces: bool) -> bool:
    """Try each case out and print a line; say whether all figures are the known ones."""
    print(_row(*_COLUMNS))
    as_known = True
    for case in cases:
        verdict = case.try_out()
        objection = case.objection(verdict)
        as_known &= not objection
        print(_line(case, verdict), objection, flush=True)
        if traces:
            _print_traces(verdict)
    print()
    return as_known


def _line(case: Case, verdict: Verdict) -> str:
    numbers = (verdict.states, verdict.transitions, verdict.duplicates, verdict.stuck)
    counts = (f"{number:,}" for number in numbers)
    return _row(case.name, _words(case.budget), *counts, f"{verdict.seconds:.1f}")


def _row(name: str, *columns: str) -> str:
    return f"{name:36}" + "".join(f"{column:>12}" for column in columns)


def _words(budget: Budget) -> str:
    """Leave the deletions away where there are none."""
    return ",".join(map(str, budget if budget.deletions else budget[:-1]))


def _print_traces(verdict: Verdict) -> None:
    for name, trace in (("duplicate", verdict.duplicate_trace), ("stuck", verdict.stuck_trace)):
        if trace:
            print(f"    {name}: {' | '.join(trace)}")


def print_minimal() -> None:
    """Print every minimal set of guards at each budget, and then what they come to."""
    summaries = [
        (name, design, _search(name, design, world, budgets)) for name, design, world, budgets in _SEARCHES
    ]
    for name, design, summary in summaries:
        print(f"\n{name + ' needs':44} first seen at")
        for guards, budget in summary.items():
            print(f"    {' or '.join(sorted(guards)):40} {_words(budget)}")
        for guard, others in designs.twins(design, summary).items():
            print(f"    redundant alone: {guard}; twin: {_any_of(others) or 'none at these budgets'}")


def _search(name: str, design: Design, world: World, budgets: Iterable[Budget]) -> Summary:
    found: list[tuple[Budget, Removal]] = []
    for budget in budgets:
        print(f"{name} at {_words(budget)} breaks without:")
        for removal in designs.minimal_removals(design, world, budget):
            found.append((budget, removal))
            counts = f"duplicates {removal.duplicates:,}, stuck {removal.stuck:,}"
            print(f"    {_joined(removal.guards):40} {counts}", flush=True)
    return designs.summarize(found)


def _any_of(sets: Iterable[frozenset[str]]) -> str:
    return " or ".join(map(_joined, sets))


def _joined(guards: Iterable[str]) -> str:
    return " with ".join(sorted(guards))


if __name__ == "__main__":
    sys.exit(main())
