"""Doctor: look at everything that can be wrong, and say for each thing what to do."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from kohort_sync import conf, services
from kohort_sync.management.verbs import findings
from kohort_sync.management.verbs.console import Console, number
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb


def run(console: Console, *, accept: bool, **_: Any) -> int:
    """Print all findings; with `accept` take a moved database for the site's own first."""
    for account in conf.accounts().values() if accept else ():
        if services.accept_database(account.key):
            console.say(f"From now on {account.key} is used from this database.")
    found = list(findings.of_site())
    for status in services.status():
        found += findings.of_account(status)
    console.show({"findings": [asdict(finding) for finding in found]})
    for finding in found:
        console.say(f"{finding.level:<8} {finding.about:<9} {finding.says}")
        if finding.fix:
            console.say(f"{'':<18} -> {finding.fix}")
    unwell = sum(finding.level != findings.OK for finding in found)
    console.say(f"{number(unwell, 'thing')} to look at." if unwell else "All is well.")
    return NEEDS_A_PERSON if unwell else OK


def _options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--accept", action="store_true", help="this database has moved, and is not a copy: send from here"
    )


VERB = Verb(
    name="doctor",
    about="Look at everything that can be wrong, and say what to do about it.",
    details="It asks KohortPay one harmless question for each account, and without --accept it changes"
    " nothing.",
    example="doctor --json",
    run=run,
    options=_options,
    takes_account=False,
)
