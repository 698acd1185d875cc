"""The report: docs/reliability.md, made of the checker's results and of nothing else."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]
"""What `checker.Verdict.as_json` returns."""

OURS = "kohort_sync"
KINDS = ("lost", "duplicate", "misbound", "phantom", "stuck", "diverged", "leaked")
_TITLES = {OURS: "`kohort_sync`", "usual": "the usual design"}

_PAGE = """\
# The promise under attack

`make chaos` wrote this page, and every figure of its tables was measured by it.

A run starts a site of real processes (webs, Celery workers, beat, PostgreSQL, Redis) and the simulated
KohortPay, which keeps a log of its own. People sign up, one by one and many at once, change, swap addresses
and leave. Meanwhile processes and servers are killed, frozen and emptied, and answers are lost, late, cut
short or wrong. Then everything is mended, and when nothing is left to do, or after a time limit, a checker
reads what the site committed, what the service had at any time, and what our tables say. The checker shares
no code with `kohort_sync`.

```console
$ make chaos           # three seeds side by side, first with this app and then with the usual design
$ make chaos SEED=3    # one seed of ours again; writes nothing
```

A seed decides who does what and what breaks, and when. Processes race on their own, so a seed brings the
same attack again and not the same run, and its figures differ a little from one time to the next.

## What was found

{found}
{sums}

- **lost**: active users who have no living customer linked to them, and no reason that a person could read.
- **duplicate**: references, or users, with two living customers at any time, if only for a moment.
- **misbound**: links to the customer of somebody else. **phantom**: customers with an address that was
  never committed.
- **stuck**: rows that are still unsettled, or were due or leased long ago. A user who waits there is lost
  as well.
- **diverged**: linked users about whom KohortPay, or our copy of it, says something else than the site.
- **leaked**: logs, by canary, in which a key or a person's data stands.
- **creates**: requests to create one user that reached KohortPay, whatever came of them; median / 99th
  percentile.
- **recovery**: seconds from the end of a fault until everybody who was waiting then had a customer; median
  / 99th percentile of all faults. What else broke meanwhile, and what else there was to send, is in it. Who
  never got one counts until the tables were read: where users are lost it is the least that it took.
- **minutes**: from the start of the faults until the tables were read.

The [usual design](usual-design.md) is a Celery task for each user, under the same attack. It has no place
for a reason, so whoever was refused there is lost, and a user whose customer's id never arrived is lost
too: the customer exists, and the site does not know it.

## What was broken

With `kohort_sync`, all seeds together. The percentiles are those of the worst seed, in seconds.

{faults}
## How long a sign-up took

In seconds, by the clock of whoever signed up, for sign-ups that went well while web and database were
whole. The percentiles are those of the worst seed. A frozen broker takes connections and never answers.

{signups}
{failed}

## What it does not say

- **Times are scaled down**, so that a run can wait for each of them: {scales}. A real site uses the
  defaults of [settings](settings.md#deadline), so where a run waits for a lease or for the settle window,
  it waits longer.
- KohortPay is simulated, and all processes share one machine, three whole sites at a time: the figures
  compare designs, and are no benchmark.
- Nothing found is no proof. The runs try what the seeds bring; the rest is the work of [the model and the
  tests](contributing.md#the-proof).
"""


def write(results: Iterable[Result], path: Path) -> None:
    """Write the page about these results; raise ValueError where none of them is about kohort_sync."""
    ordered = sorted(results, key=lambda one: (one["run"]["design"] != OURS, one["run"]["seed"]))
    ours = [one for one in ordered if one["run"]["design"] == OURS]
    if not ours:
        raise ValueError(f"There is nothing to report: no result is about {OURS}.")
    page = _PAGE.format(
        found=_table(_COLUMNS, map(_found, ordered)),
        sums=_sums(ours),
        faults=_table(("fault", "times", "recovery p50", "recovery p99"), _faults(ours)),
        signups=_table(("design", "broker", "sign-ups", "p50", "p99", "longest"), _signups(ordered)),
        failed=_failed(ours),
        scales=" or ".join(sorted({_scale(one["run"]) for one in ordered})),
    )
    path.write_text(page, encoding="utf-8")


_COLUMNS = (
    "design", "seed", "commit", "users", "faults", "process faults", *KINDS, "creates", "recovery", "minutes",
)  # fmt: skip


def _found(one: Result) -> list[str]:
    run, figures = one["run"], one["figures"]
    return [
        _TITLES[run["design"]],
        str(run["seed"]),
        f"`{run['commit']}`",
        f"{figures['users']:,}",
        f"{_total(figures['faults']):,}",
        f"{figures['process_faults']:,}",
        *(f"{one['counts'][kind]:,}" for kind in KINDS),
        _pair(figures["posts_per_user"]),
        _pair(figures["recovery_seconds"].get("all")),
        f"{(run['ended'] - run['started']) / 60:.0f}",
    ]


def _pair(spread: Mapping[str, float] | None) -> str:
    return f"{_short(spread['p50'])} / {_short(spread['p99'])}" if spread else "none"


def _sums(ours: Sequence[Result]) -> str:
    figures = [one["figures"] for one in ours]
    found = ", ".join(f"{kind} {sum(one['counts'][kind] for one in ours):,}" for kind in KINDS)
    return (
        f"`kohort_sync` in all: {sum(each['users'] for each in figures):,} users,"
        f" {sum(_total(each['faults']) for each in figures):,} faults,"
        f" {sum(each['process_faults'] for each in figures):,} of them of processes and servers: {found}."
    )


def _faults(ours: Sequence[Result]) -> Iterator[list[str]]:
    times: Counter[str] = Counter()
    for one in ours:
        times.update(one["figures"]["faults"])
    for kind, number in sorted(times.items()):
        spreads = [one["figures"]["recovery_seconds"].get(kind) for one in ours]
        yield [kind.replace("_", " "), f"{number:,}", _worst(spreads, "p50"), _worst(spreads, "p99")]


def _signups(ordered: Sequence[Result]) -> Iterator[list[str]]:
    for design in dict.fromkeys(one["run"]["design"] for one in ordered):
        of_design = [one["figures"]["signup_seconds"] for one in ordered if one["run"]["design"] == design]
        for broker in ("up", "down", "frozen"):
            spreads = [found[broker] for found in of_design if broker in found]
            number = sum(spread["count"] for spread in spreads)
            worst = (_worst(spreads, figure) for figure in ("p50", "p99", "max"))
            yield [_TITLES[design], broker, f"{number:,}", *worst]


def _failed(ours: Sequence[Result]) -> str:
    explained = sum(one["figures"]["signups_failed_by_nemesis"] for one in ours)
    failed = sum(one["figures"]["signups_failed"] for one in ours)
    return (
        f"With `kohort_sync`, {explained:,} sign-ups failed because their web or the database was broken at"
        f" that moment, and {failed:,} for any other reason."
    )


def _worst(spreads: Iterable[Mapping[str, float] | None], figure: str) -> str:
    values = [spread[figure] for spread in spreads if spread]
    return _short(max(values)) if values else "none"


def _short(value: float) -> str:
    """Show two decimals of what is small, and none of what is large."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _scale(run: Mapping[str, Any]) -> str:
    return (
        f"`DEADLINE` is {run['deadline']:g} s, so a row's lease is {run['lease']:g} s and the settle window"
        f" {run['settle']:g} s, and `SWEEP` is {run['sweep']:g} s"
    )


def _total(faults: Mapping[str, int]) -> int:
    return sum(faults.values())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
