"""Retry: try links again that were refused, given up, left out or stopped by a conflict."""

from argparse import ArgumentParser
from typing import Any

from django.db.models import Q, QuerySet

from kohort_sync import decisions, services
from kohort_sync.management.verbs import subjects
from kohort_sync.management.verbs.console import Console, for_a_person, number, stoppable
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb, positive
from kohort_sync.models import CustomerLink, State

_STATES = (State.REJECTED, State.PARKED, State.CONFLICT, State.SKIPPED, State.IGNORED)
# A person has left the ignored ones out, each on purpose.
_ALL = Q(state__in=[state for state in _STATES if state != State.IGNORED]) | Q(
    state=State.LINKED, refused__gt=""
)

CHUNK = 500
"""Links between two looks at whether somebody wants to stop."""


def run(
    console: Console,
    *,
    account: str,
    user: str | None,
    state: str | None,
    reason: str,
    limit: int | None,
    dry_run: bool,
    **_: Any,
) -> int:
    """Try what can be tried, and say how many links wait for a decision instead."""
    key = services.account_key(account)
    possible, undecided = _sorted(_chosen(account, user=user, state=state))
    possible = possible[:limit]
    retried = len(possible) if dry_run else _retry(console, account, possible, reason=reason)
    sending = len(possible) - retried
    console.show(
        {
            "account": key,
            "retried": retried,
            "need_a_decision": undecided,
            "being_sent": sending,
            "dry_run": dry_run,
        }
    )
    if dry_run:
        console.say(f"{key}: {number(retried, 'link')} would be tried again. Nothing was changed.")
    else:
        console.say(f"{key}: {number(retried, 'link')} will be tried again.")
    if sending:
        console.say(f"{number(sending, 'link')} left alone, being sent at this moment. Run it again.")
    if undecided:
        console.say(
            f"{number(undecided, 'link')} cannot be tried again as things stand."
            " 'manage.py kohort_sync resolve --user PK' says why, and what can be decided."
        )
    return NEEDS_A_PERSON if undecided or sending else OK


def _chosen(account: str, *, user: str | None, state: str | None) -> QuerySet[CustomerLink]:
    rows = subjects.rows(account)
    if user is not None:
        return rows.filter(pk=subjects.link_of(account, user=user).pk)
    return rows.filter(_ALL) if state is None else rows.filter(state=state)


def _sorted(rows: QuerySet[CustomerLink]) -> tuple[list[int], int]:
    """Return the keys of the links that can be tried again, and how many cannot."""
    possible, undecided = [], 0
    found = rows.order_by("pk").values_list("pk", "state", "conflict_kind")
    for key, state, conflict_kind in found:
        if decisions.RETRY in decisions.allowed(state=state, conflict_kind=conflict_kind):
            possible.append(key)
        else:
            undecided += 1
    return possible, undecided


def _retry(console: Console, account: str, keys: list[int], *, reason: str) -> int:
    retried = 0
    with stoppable() as stop:
        for start in range(0, len(keys), CHUNK):
            if stop.is_set():
                done = number(retried, "link")
                raise for_a_person(f"Interrupted after {done}. Run it again; it goes on with the others.")
            chunk = keys[start : start + CHUNK]
            retried += services.retry(subjects.rows(account).filter(pk__in=chunk), reason=reason)
            if len(keys) > CHUNK:
                console.say(f"{number(retried, 'link')} of {len(keys)} marked")
    return retried


def _options(parser: ArgumentParser) -> None:
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--user", metavar="PK", help="one user, by primary key")
    whom.add_argument("--state", choices=[str(state) for state in _STATES], help="all in this state")
    whom.add_argument(
        "--all",
        action="store_true",
        help="all of these states but ignored, and linked users of whom a change was refused",
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; it is kept with each decision")
    parser.add_argument("--dry-run", action="store_true", help="only count")
    parser.add_argument("--limit", type=positive, metavar="N", help="stop after N links")


VERB = Verb(
    name="retry",
    about="Try links again that were refused, given up, left out or stopped by a conflict.",
    example="retry --state rejected --dry-run",
    run=run,
    options=_options,
)
