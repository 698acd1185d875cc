"""Status: how every account stands."""

from typing import Any

from kohort_sync import queries, reasons, services
from kohort_sync.management.verbs.console import Console, number
from kohort_sync.management.verbs.standing import is_misconfigured, needs_a_person, why_idle
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb
from kohort_sync.models import State


def run(console: Console, **_: Any) -> int:
    """Print each account's state."""
    accounts = services.status()
    console.show({"accounts": accounts})
    if not accounts:
        console.say(why_idle())
    for account in accounts:
        _print(console, account)
    obstacles = any(services.obstacle(account["account"]) for account in accounts)
    in_need = is_misconfigured() or obstacles or any(map(needs_a_person, accounts))
    return NEEDS_A_PERSON if in_need else OK


def _print(console: Console, status: queries.AccountStatus) -> None:
    obstacle = services.obstacle(status["account"])
    oldest = status["oldest_due_seconds"]
    waits = f" (the oldest for {oldest:.0f} seconds)" if oldest is not None else ""
    covered = "yes" if status["covered"] else "no: run 'manage.py kohort_sync backfill'"
    console.say(console.heading(status["account"]))
    if obstacle:
        console.say(f"  cannot send     {obstacle}")
    console.say(
        f"  gate            {_gate(status)}",
        f"  covered         {covered}",
        f"  without a link  {number(status['users_without_link'], 'user')}",
        f"  due now         {status['due']}{waits}",
        f"  last sweep      {_last_sweep(status)}",
    )
    if status["failing"]:
        users = number(status["failing"], "linked user")
        console.say(f"  refused change  {users}: correct the data, or 'manage.py kohort_sync retry --all'")
    for state in State:
        if status["states"].get(state):
            console.say(f"  {state.value:<15} {status['states'][state]}")


def _gate(status: queries.AccountStatus) -> str:
    if status["gate"] == "open":
        return "open"
    until = f" until {status['gate_until']}" if status["gate_until"] else ""
    return f"closed{until}. {reasons.of_gate(status['reason'])}"


def _last_sweep(status: queries.AccountStatus) -> str:
    if status["sweep_is_late"]:
        return f"{status['last_sweep_at'] or 'never'} LATE: is beat or cron running?"
    return status["last_sweep_at"] or "never: is beat or cron running?"


VERB = Verb(
    name="status",
    about="Say how every account stands.",
    example="status --json",
    run=run,
    takes_account=False,
)
