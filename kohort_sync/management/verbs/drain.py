"""Drain: send in this process what is due, once or for ever."""

import math
import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from kohort_sync import conf, services
from kohort_sync.management.verbs.console import Console, stoppable
from kohort_sync.management.verbs.standing import is_misconfigured, needs_a_person, why_idle
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb

_IDLE_SECONDS = 1.0
_WHY_NOTHING_WAS_SENT = {
    "busy": "another drainer works for this account",
    "closed": "nothing was sent, because the gate is closed; see 'manage.py kohort_sync status'",
}


def run(console: Console, *, account: str, forever: bool, **_: Any) -> int:
    """Send what is due."""
    if not conf.accounts() and not is_misconfigured():
        console.show({"account": account, "ended": "idle", "settled": {}})
        console.say(why_idle())
        return OK
    ended, settled = _drain(account, forever=forever)
    console.show({"account": account, "ended": ended, "settled": settled})
    words = ", ".join(f"{count} {state}" for state, count in sorted(settled.items()))
    console.say(f"{account}: {words or _WHY_NOTHING_WAS_SENT.get(ended, 'nothing was due')}.")
    if not any(map(needs_a_person, services.status())):
        return OK
    console.say("Something needs a person; see 'manage.py kohort_sync status'.")
    return NEEDS_A_PERSON


def _drain(account: str, *, forever: bool) -> tuple[str, Counter[str]]:
    settled: Counter[str] = Counter()
    ended = "stopped"
    swept = -math.inf
    with stoppable() as stop:
        while not stop.is_set():
            if time.monotonic() - swept >= conf.sweep_seconds():
                services.find_missing(account)
                swept = time.monotonic()
            report = services.drain(account, stop=stop.is_set)
            settled += report.settled
            ended = report.ended
            if not forever and (not report.work_left or ended in _WHY_NOTHING_WAS_SENT):
                break
            if forever:
                stop.wait(0.0 if report.work_left and report.ended == "budget" else _IDLE_SECONDS)
    return ended, settled


def _options(parser: ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="until nothing is due (the default; for cron)")
    how.add_argument("--forever", action="store_true", help="until a signal ends it")


VERB = Verb(
    name="drain",
    about="Send in this process what is due, with no worker.",
    example="drain --once",
    run=run,
    options=_options,
)
