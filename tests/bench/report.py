"""The report: docs/performance.md, made of what was measured and of nothing else."""

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.bench import aims
from tests.bench.aims import Aim

_PAGE = """\
# Performance

`make bench` wrote this page, and measured every figure in it, on {cores} cores ({python}).
What it means for a site of your size is in [capacity](capacity.md).

The run starts a PostgreSQL, a Redis, Celery workers and a simulated KohortPay of its own. What is
compared is taken in turns, so that no variant has the quiet minutes for itself. Times depend on the
machine and on what else it does: the ratios and the CPU for each customer say more than rates. PostgreSQL
runs without waiting for the disk, which flatters whoever commits often: the usual design.

## Against its aims

{aims}

## Sending

{push}

![CPU for each customer](images/performance/push.svg)

- **ours**: `services.drain` in one process, with the pace already learned, and everything on that the
  promise needs: the intent before each request, the comparison of each answer, the mirror row, the line
  of history.
- **bare**: `requests` alone in as many threads, each with a session of its own and environment look-ups
  off. It writes nothing down.
- **usual**: a Celery task for each user that writes the same rows, in a worker of four processes.
  **Tuned**: its connections to KohortPay and to the database are kept from one task to the next.
- The simulator may use a fifth of a core; a run in which it used more is thrown away.

PostgreSQL is waited for {round_trips:.3f} times for each customer: a batch of 500 asks a constant number
of questions.

## The pace

Each service is met with nothing known. After a minute the rate is compared with the best of fixed
settings, which are tried one after the other: {settings}.

{pace}

![Accepted requests in a second, from nothing](images/performance/pace.svg)

## Signing up

{signup}

Each sign-up is `create_user` inside `atomic()` on PostgreSQL with a password hasher that costs nothing.
From the commit until the user is linked, with an API that takes 100 ms and one worker:

{steady}

`bulk_create` of 10,000 users takes {bulk_plain:.2f} s, and {bulk_ours:.2f} s with `services.request_sync`
({bulk_statements} statement).

## Backfill

{backfill}

Who signs up while the users of a backfill of 100,000 are sent waits (the longest of twenty): {meanwhile}.

## Reading what KohortPay has

With an API that takes 100 ms for a page of 25, {walkers} ranges side by side bring {pages:.0f} pages a
second, {customers:,.0f} customers, and one range {one:.1f} pages. A customer costs {read_cpu:.2f} ms of CPU;
100,000 of them let the memory grow by {read_mib:.0f} MiB. Who signs up meanwhile waits {read_wait:.1f} s (the
longest of twenty).

## Scale

{scale}

![CPU of a push, by the size of the table](images/performance/scale.svg)

At a million links, with a million customers and two million lines of history:

{looked}

The plans of the slowest queries:

{plans}
"""


def write(found: dict[str, Any], *, page: Path, cores: int) -> None:
    """Write the page."""
    signup, backfill, scale = found["signup"], found["backfill"], found["scale"]
    reading = found["reconcile"]
    median = signup["bulk"]["median"]
    text = _PAGE.format(
        cores=cores,
        python=f"Python {platform.python_version()}",
        aims=_aims(aim for name, read in aims.ALL.items() for aim in read(found[name])),
        push=_push(found["push"]["variants"]),
        round_trips=found["push"]["round_trips"],
        settings="; ".join(f"{name}: {one['setting']}" for name, one in found["pace"]["services"].items()),
        pace=_table(
            ("service", "a second after a minute", "best fixed", "refused", "after a restart", "learned"),
            [
                (
                    name,
                    f"{one['rate']:.1f}",
                    f"{one['best']:.1f}",
                    f"{one['refused']:.2%}",
                    f"{one['after_restart']:.1f}",
                    _learned(one["pace"]),
                )
                for name, one in found["pace"]["services"].items()
            ],
        ),
        signup=_table(
            ("sign-up", "median", "CPU"),
            [
                (
                    name,
                    f"{1000 * signup['each']['median'][kind]:.2f} ms",
                    f"{1000 * signup['each']['cpu'][kind]:.2f} ms",
                )
                for kind, name in _SIGNUPS.items()
            ],
        ),
        steady=_table(
            ("sign-ups a second", "p50", "p95", "longest"),
            [
                (rate, *(f"{waited[key]:.2f} s" for key in ("p50", "p95", "longest")))
                for rate, waited in signup["steady"].items()
            ],
        ),
        bulk_plain=median["plain"],
        bulk_ours=median["request_sync"],
        bulk_statements=signup["bulk"]["statements"],
        backfill=_table(
            ("a million users", "figure"),
            [
                ("by `kohort_sync backfill`", f"{backfill['seconds']['app']:.0f} s"),
                ("in one statement", f"{backfill['seconds']['one statement']:.0f} s"),
                ("longest transaction", f"{backfill['longest']:.2f} s (p99 {backfill['p99']:.2f} s)"),
                ("memory over an idle process", f"{backfill['grown_mib']:.1f} MiB"),
                ("counting those without a link", f"{backfill['found']['count']:.2f} s"),
            ],
        ),
        meanwhile=", ".join(
            f"{waited['longest']:.1f} s on the service '{name}'"
            for name, waited in backfill["meanwhile"].items()
        ),
        walkers=reading["walkers"],
        pages=reading["side_by_side"]["pages_a_second"],
        customers=25 * reading["side_by_side"]["pages_a_second"],
        one=reading["one"]["pages_a_second"],
        read_cpu=reading["side_by_side"]["cpu"],
        read_mib=reading["side_by_side"]["grown_mib"],
        read_wait=reading["meanwhile"]["longest"],
        scale=_table(
            ("links", "CPU of a push, with the database"),
            [(f"{int(size):,}", f"{cpu:.2f} ms") for size, cpu in scale["cpu"].items()],
        ),
        looked=_table(
            ("what", "seconds", "its slowest query"),
            [
                (name, f"{one['seconds']:.2f}", f"{one['slowest']:.2f}")
                for name, one in scale["looked"].items()
            ],
        ),
        plans="\n\n".join(
            f"{name}\n\n```text\n" + "\n".join(one["plan"]) + "\n```"
            for name, one in scale["looked"].items()
            if one["plan"]
        ),
    )
    page.write_text(text, encoding="utf-8")


_SIGNUPS = {
    "plain": "`create_user` alone",
    "nudge": "with kohort_sync, which wakes a worker",
    "publish": "`create_user` and a task that is published after the commit",
}


def _aims(found: Iterable[Aim]) -> str:
    rows = [
        (
            aim.what,
            f"{aim.figure:.3g}",
            f"{'at most' if aim.at_most else 'at least'} {aim.bound:.3g}",
            "yes" if aim.is_met else "**no**",
        )
        for aim in found
    ]
    return _table(("what", "measured", "aim", "met"), rows)


def _push(variants: dict[str, Any]) -> str:
    return _table(
        ("variant", "customers a second", "CPU", "of PostgreSQL", "simulator, of a core"),
        [
            (
                name,
                f"{one['rate']:.0f}",
                f"{one['cpu']:.2f} ms",
                f"{one['database']:.2f} ms",
                f"{one['simulator']:.0%}",
            )
            for name, one in variants.items()
        ],
    )


def _learned(pace: dict[str, Any]) -> str:
    rate = "" if pace["rate"] is None else f", {pace['rate']:.1f} a second"
    return f"{pace['concurrency']} at once{rate}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
