"""Export: all that is held about one user, to answer an access request."""

from argparse import ArgumentParser
from typing import Any

from kohort_sync import services
from kohort_sync.management.verbs import subjects
from kohort_sync.management.verbs.console import Console, for_a_person
from kohort_sync.management.verbs.verb import OK, Verb


def run(console: Console, *, user: str, **_: Any) -> int:
    """Print one JSON object, with `--json` or without."""
    found = subjects.user_of(user)
    if found is None:
        raise for_a_person(
            "There is no user with this key. Check the key; of a user who was deleted here nothing is found"
            " by the user's key any more."
        )
    console.print_json(services.export(found))
    return OK


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--user", metavar="PK", required=True, help="the user, by primary key")


VERB = Verb(
    name="export",
    about="Print all that this app holds about a user, as JSON.",
    details="It prints personal data on purpose, to answer an access request: mind where the output goes.",
    example="export --user 42 > answer.json",
    run=run,
    options=_options,
    takes_account=False,
)
