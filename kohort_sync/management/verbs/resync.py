"""Resync: compare links with KohortPay again."""

from argparse import ArgumentParser
from typing import Any

from kohort_sync import services
from kohort_sync.management.verbs import subjects
from kohort_sync.management.verbs.console import Console, number
from kohort_sync.management.verbs.verb import OK, Verb


def run(console: Console, *, account: str, user: str | None, **_: Any) -> int:
    """Mark links for comparison."""
    key = services.account_key(account)
    rows = subjects.rows(account)
    if user is not None:
        rows = rows.filter(pk=subjects.link_of(account, user=user).pk)
    marked = services.resync(rows)
    console.show({"account": key, "marked": marked})
    console.say(f"{key}: {number(marked, 'link')} will be compared with KohortPay.")
    return OK


def _options(parser: ArgumentParser) -> None:
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--user", metavar="PK", help="one user, by primary key")
    whom.add_argument("--all", action="store_true", help="every user who has a link")


VERB = Verb(
    name="resync",
    about="Compare users with KohortPay again and send what differs.",
    example="resync --user 42",
    run=run,
    options=_options,
)
