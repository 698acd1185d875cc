"""Blocks: block or unblock one customer at KohortPay."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from kohort_sync import services
from kohort_sync.management.verbs import subjects
from kohort_sync.management.verbs.console import Console
from kohort_sync.management.verbs.verb import OK, Verb


def run_block(console: Console, **options: Any) -> int:
    """Want one customer blocked."""
    return _run(console, services.block, wanted="blocked", **options)


def run_unblock(console: Console, **options: Any) -> int:
    """Want one customer no longer blocked."""
    return _run(console, services.unblock, wanted="unblocked", **options)


def _run(
    console: Console,
    decide: Callable[..., None],
    *,
    wanted: str,
    account: str,
    user: str,
    reason: str,
    **_: Any,
) -> int:
    link = subjects.link_of(account, user=user)
    with subjects.deciding(link):
        decide(link, reason=reason)
    console.show({"account": link.account, "client_reference_id": link.client_reference_id, "wanted": wanted})
    console.say(f"{subjects.name_of(link)}: will be {wanted} at KohortPay. {subjects.WHO_CARRIES_IT_OUT}")
    return OK


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--user", metavar="PK", required=True, help="the user, by primary key")
    subjects.add_reason(parser)


BLOCK = Verb(
    name="block",
    about="Block the customer of a user at KohortPay.",
    example='block --user 42 --reason "asked for by support"',
    run=run_block,
    options=_options,
)
UNBLOCK = Verb(
    name="unblock",
    about="Unblock the customer of a user at KohortPay.",
    example='unblock --user 42 --reason "asked for by support"',
    run=run_unblock,
    options=_options,
)
