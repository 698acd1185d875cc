"""Erase: leave nothing about one person at KohortPay and in our tables, and print the proof."""

import sys
import time
from argparse import ArgumentParser
from threading import Event
from typing import Any

from django.utils import timezone

from kohort_sync import queries, reasons, services
from kohort_sync.management.verbs import subjects
from kohort_sync.management.verbs.console import Console, bad_usage, for_a_person, stoppable
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb
from kohort_sync.models import CustomerLink, State

PATIENCE = 30.0
"""Seconds for which another drainer is waited for: a worker that was woken erases just as well."""

_WORD = "erase"
_LOOK_EVERY = 0.2


def run(
    console: Console,
    *,
    account: str,
    user: str | None,
    reference: str | None,
    reason: str | None,
    yes: bool,
    **_: Any,
) -> int:
    """Ask for the erasure unless it is asked for already, carry it out, and print how far it has got."""
    link = subjects.link_of(account, user=user, reference=reference)
    if link.state not in (State.ERASING, State.ERASED):
        if reason is None:
            raise bad_usage("Say why with --reason: it is kept with the erasure.")
        if not yes:
            _confirm(console, link)
        with subjects.deciding(link):
            services.erase(link, reason=reason)
    obstacle = services.obstacle(account)
    if not obstacle:
        with stoppable() as stop:
            _carry_out(account, link, stop=stop)
    link.refresh_from_db()
    unfinished = "" if link.state == State.ERASED else obstacle or _why_unfinished(link)
    _print_proof(console, link, unfinished=unfinished)
    return NEEDS_A_PERSON if unfinished else OK


def _confirm(console: Console, link: CustomerLink) -> None:
    """Have a person on a terminal type a word. The question goes to stderr: stdout may be a file."""
    if not sys.stdin.isatty():
        raise bad_usage("Nobody can be asked, because this is no terminal. Add --yes to go on without.")
    kohort_id = link.customer.kohort_id if link.customer else "none is known"
    console.err.write(f"{subjects.name_of(link)}, KohortPay customer: {kohort_id}.")
    console.err.write(f"This cannot be taken back. Type '{_WORD}' to go on: ", ending="")
    console.err.flush()
    if sys.stdin.readline().strip() != _WORD:
        raise for_a_person(f"Nothing was changed. To erase, run it again and type '{_WORD}', or add --yes.")


def _carry_out(account: str, link: CustomerLink, *, stop: Event) -> None:
    """Drain until the link is settled, or nothing more can be done now."""
    patience = time.monotonic() + PATIENCE
    while not stop.is_set() and not _is_settled(link):
        ended = services.drain(account, stop=lambda: stop.is_set() or _is_settled(link)).ended
        if ended == "busy" and time.monotonic() < patience:
            stop.wait(_LOOK_EVERY)
        elif ended != "budget":
            return


def _is_settled(link: CustomerLink) -> bool:
    return not subjects.rows(link.account).filter(pk=link.pk, state=State.ERASING).exists()


def _why_unfinished(link: CustomerLink) -> str:
    """Say why it is not finished, and when it goes on."""
    if link.state != State.ERASING:
        return str(link.reason)
    for status in services.status():
        if status["account"] == link.account and status["gate"] != "open":
            return f"Nothing is sent before {status['gate_until']}. {reasons.of_gate(status['reason'])}"
    if link.is_being_sent or link.next_attempt_at is None or link.next_attempt_at <= timezone.now():
        return "Another process sends for this account at this moment."
    return f"It goes on at {link.next_attempt_at.isoformat()}. {link.reason}"


def _print_proof(console: Console, link: CustomerLink, *, unfinished: str) -> None:
    proof = queries.proof(link)
    console.show({**proof, "unfinished": unfinished})
    facts = {
        "reference": proof["client_reference_id"],
        "customer": proof["kohort_id"] or "none",
        "asked for": f"{proof['asked_at']}, by: {proof['asked_by']}",
        "erased": proof["erased_at"] or "not yet",
        "result": proof["explanation"],
    }
    console.say(console.heading(f"{link.account}: {link.state}"))
    console.say(*(f"  {name:<10} {value}" for name, value in facts.items()))
    if unfinished:
        console.say(
            f"Not finished. {unfinished}",
            "A worker, cron or 'manage.py kohort_sync drain' carries it on; run this command again with"
            f" --reference {link.client_reference_id} to see the proof.",
        )


def _options(parser: ArgumentParser) -> None:
    subjects.add_person(parser)
    subjects.add_reason(parser, required=False)
    parser.add_argument("--yes", action="store_true", help="do not ask for a confirmation")


VERB = Verb(
    name="erase",
    about="Erase the customer of a user at KohortPay and what is known here, and print the proof.",
    details=(
        "The user of this site is not touched. It cannot be taken back. Run it again to see the proof,\n"
        "or how far it has got; --reason is needed the first time only."
    ),
    example='erase --user 42 --reason "asked for by the person"',
    run=run,
    options=_options,
)
