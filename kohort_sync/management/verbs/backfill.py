"""Backfill: promise the users who are older than the app."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kohort_sync import reasons, services
from kohort_sync.management.verbs.console import Console, for_a_person, number, stoppable
from kohort_sync.management.verbs.progress import Progress
from kohort_sync.management.verbs.verb import OK, Verb, positive


def run(console: Console, *, account: str, limit: int | None, dry_run: bool, **_: Any) -> int:
    """Make rows for older users, or foretell what would become of them."""
    if dry_run:
        with _progress(console, next_step="Nothing was changed.") as progress:
            rehearsal = services.rehearse_backfill(account, limit=limit, progress=progress)
        _print_rehearsal(console, rehearsal)
        return OK
    with _progress(console, next_step="Run it again; it goes on where it stopped.") as progress:
        done = services.backfill(account, limit=limit, progress=progress)
    console.show({"account": done.account, "users": done.recorded, "covered": done.covered})
    covered = "covered" if done.covered else "not covered yet: run it again without --limit"
    console.say(f"{done.account}: {number(done.recorded, 'user')} will be sent; the account is {covered}.")
    return OK


@contextmanager
def _progress(console: Console, *, next_step: str) -> Iterator[Callable[[int, int], None]]:
    """Give out what tells how far it has got, and ends the verb there once somebody wants to stop."""
    with stoppable() as stop, Progress(console, noun="user") as shown:

        def progress(done: int, total: int) -> None:
            shown.at(done, total)
            if stop.is_set():
                raise for_a_person(f"Interrupted after {number(done, 'user')}. {next_step}")

        yield progress


def _print_rehearsal(console: Console, rehearsal: services.Rehearsal) -> None:
    others = rehearsal.not_sent.most_common()
    sentences = {code: str(reasons.sentence(state, code)) for (state, code), _ in others}
    console.show(
        {
            "account": rehearsal.account,
            "users": rehearsal.users,
            "covered": rehearsal.covered,
            "to_be_sent": rehearsal.to_be_sent,
            "not_sent": [
                {"state": state, "code": code, "users": users, "reason": sentences[code]}
                for (state, code), users in others
            ],
        }
    )
    console.say(
        f"{rehearsal.account}: {number(rehearsal.users, 'user')} without a link."
        f" {number(rehearsal.to_be_sent, 'user')} would be sent."
    )
    for (state, code), users in others:
        console.say(f"  {number(users, 'user')} would be {state} ({code}): {sentences[code]}")
    console.say(
        "Nothing was changed. Only KohortPay knows whether a customer there has one of the addresses already;"
        " two users with one address were not looked for."
    )


def _options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="change nothing, and foretell what becomes of the users"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="stop after N users")


VERB = Verb(
    name="backfill",
    about="Send the users who are older than the app, and cover the account from now on.",
    example="backfill --dry-run",
    run=run,
    options=_options,
)
