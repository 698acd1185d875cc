"""Backfill: promise the users who are older than the app."""

from argparse import ArgumentParser
from typing import Any

from kohort_sync import services
from kohort_sync.management.verbs.console import Console, for_a_person, number, stoppable
from kohort_sync.management.verbs.verb import OK, Verb, positive


def run(console: Console, *, account: str, limit: int | None, dry_run: bool, **_: Any) -> int:
    """Make rows for older users."""
    with stoppable() as stop:

        def progress(recorded: int) -> None:
            console.say(f"{number(recorded, 'user')} recorded")
            if stop.is_set():
                done = number(recorded, "user")
                raise for_a_person(f"Interrupted after {done}. Run it again; it goes on where it stopped.")

        done = services.backfill(account, limit=limit, dry_run=dry_run, progress=progress)
    console.show({"account": done.account, "users": done.recorded, "covered": done.covered})
    users = number(done.recorded, "user")
    if dry_run:
        console.say(f"{done.account}: {users} would be sent. Nothing was changed.")
    else:
        covered = "covered" if done.covered else "not covered yet: run it again without --limit"
        console.say(f"{done.account}: {users} will be sent; the account is {covered}.")
    return OK


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only count")
    parser.add_argument("--limit", type=positive, metavar="N", help="stop after N users")


VERB = Verb(
    name="backfill",
    about="Send the users who are older than the app, and cover the account from now on.",
    example="backfill --dry-run",
    run=run,
    options=_options,
)
