"""Findings: what a doctor looks at, one question each; and what to do about what is not well."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.core import checks

from kohort_sync import conf, queries, reasons, services
from kohort_sync.management.verbs.console import number
from kohort_sync.management.verbs.standing import FOR_A_PERSON, is_misconfigured, why_idle

OK, WARNING, PROBLEM = "ok", "warning", "problem"

_CLOCKS_APART = 30.0
# Found by another question already, with the same words.
_SAID_ELSEWHERE = ("kohort_sync.E001", "kohort_sync.E002")
_FIX_OF_STATE = {
    "rejected": "Correct the users' data, then run 'manage.py kohort_sync retry --state rejected'.",
    "conflict": "Decide with 'manage.py kohort_sync resolve --user PK'; the admin can only try again.",
    "parked": "See the last error in the admin, then run 'manage.py kohort_sync retry --state parked'.",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Say in one sentence how one thing is, and unless it is well, what to do next."""

    about: str
    level: str
    says: str
    fix: str = ""
    account: str = ""


def of_site() -> Iterator[Finding]:
    """Look at what all accounts share."""
    yield from _settings()
    yield from _database()
    yield _clock()
    yield _broker()
    if not conf.accounts():
        idle, _, fix = why_idle().partition(". ")
        yield Finding(about="key", level=PROBLEM if is_misconfigured() else WARNING, says=f"{idle}.", fix=fix)


def of_account(status: queries.AccountStatus) -> Iterator[Finding]:
    """Look at one account."""
    account = status["account"]
    yield from _key(account, status)
    yield _gate(status)
    yield _covered(status)
    yield _sweep(status)
    yield _due(account, status)
    yield from _people(status)


def _settings() -> Iterator[Finding]:
    found = [
        message
        for message in checks.run_checks(tags=["kohort_sync"])
        if not message.is_silenced() and message.id not in _SAID_ELSEWHERE
    ]
    for message in found:
        level = PROBLEM if message.is_serious() else WARNING
        yield Finding(
            about="settings", level=level, says=message.msg, fix=message.hint or "See docs/checks.md."
        )
    if not found:
        yield Finding(about="settings", level=OK, says="Django's checks find nothing wrong with KOHORT_SYNC.")


def _database() -> Iterator[Finding]:
    database = services.database()
    if database.transaction_mode == "DEFERRED":
        yield Finding(
            about="database",
            level=WARNING,
            says="SQLite begins transactions in deferred mode, so a site and a worker may meet 'database is"
            " locked'.",
            fix='Set DATABASES[...]["OPTIONS"]["transaction_mode"] to "IMMEDIATE".',
        )
    elif database.vendor != "sqlite" and not database.skips_locked_rows:
        yield Finding(
            about="database",
            level=WARNING,
            says="The database cannot skip locked rows, so sending may wait for a request of the site.",
            fix="Use PostgreSQL, or MariaDB 10.6 or newer.",
        )
    else:
        yield Finding(
            about="database", level=OK, says=f"The database ({database.vendor}) has what is needed."
        )


def _clock() -> Finding:
    apart = services.clock_difference()
    if abs(apart) <= _CLOCKS_APART:
        return Finding(about="clock", level=OK, says="The database's clock and this machine's agree.")
    ahead = "ahead of" if apart > 0 else "behind"
    return Finding(
        about="clock",
        level=WARNING,
        says=f"The database's clock is {abs(apart):.0f} seconds {ahead} this machine's.",
        fix="Let both machines keep their time with NTP.",
    )


def _broker() -> Finding:
    if not conf.get("NUDGE"):
        return Finding(about="broker", level=OK, says="NUDGE is off: beat or cron finds the work.")
    fault = services.broker_fault()
    if not fault:
        return Finding(about="broker", level=OK, says="Celery's broker can be reached.")
    return Finding(
        about="broker",
        level=WARNING,
        says=f"No worker can be woken ({fault}), so users wait for the next sweep.",
        fix="Correct Celery's broker_url, or set KOHORT_SYNC['NUDGE'] to False and let cron drain.",
    )


def _key(account: str, status: queries.AccountStatus) -> Iterator[Finding]:
    obstacle = services.obstacle(account)
    if obstacle:
        yield Finding(
            account=account,
            about="key",
            level=PROBLEM,
            says=f"KohortPay cannot be called with these settings: {obstacle}",
            fix="Correct KOHORT_SYNC, then run 'manage.py kohort_sync doctor' again.",
        )
        return
    yield Finding(account=account, about="key", level=OK, says="The key and the address have the right form.")
    if status["reason"] == "rate_limited":
        return  # it asked for a pause
    probe = services.probe(account)
    if probe.code:
        says, fix = _statement_and_step(probe.said)
        yield Finding(account=account, about="answer", level=PROBLEM, says=says, fix=fix)
    else:
        yield Finding(
            account=account, about="answer", level=OK, says="KohortPay answers and accepts the key."
        )


def _statement_and_step(text: str) -> tuple[str, str]:
    """Part the sentence that says what happened from the one that says what to do."""
    statement, _, step = text.partition(". ")
    return f"{statement}.", step


def _gate(status: queries.AccountStatus) -> Finding:
    if status["gate"] == "open":
        return Finding(account=status["account"], about="gate", level=OK, says="The gate is open.")
    return Finding(
        account=status["account"],
        about="gate",
        level=PROBLEM,
        says=f"The gate is closed until {status['gate_until'] or 'somebody acts'}, so nothing is sent.",
        fix=str(reasons.of_gate(status["reason"])),
    )


def _covered(status: queries.AccountStatus) -> Finding:
    account, older = status["account"], status["users_without_link"]
    if status["covered"]:
        return Finding(account=account, about="covered", level=OK, says="The account is covered.")
    return Finding(
        account=account,
        about="covered",
        level=WARNING,
        says=f"{number(older, 'user')} without a link will not be sent, because the account is not covered."
        if older
        else "The account is not covered, so users whom no signal announces would not be found.",
        fix="Run 'manage.py kohort_sync backfill'; with --dry-run it only foretells.",
    )


def _sweep(status: queries.AccountStatus) -> Finding:
    account, swept = status["account"], status["last_sweep_at"]
    if status["sweep_is_late"]:
        since = f"since {swept}" if swept else "ever"
        return Finding(
            account=account,
            about="sweep",
            level=PROBLEM,
            says=f"Nothing has swept {since}.",
            fix="Start Celery's beat with kohort_sync.beat_schedule(), or let cron run 'manage.py kohort_sync"
            " drain --once' every minute.",
        )
    says = f"The last sweep was at {swept}." if swept else "No sweep yet, and none is overdue."
    return Finding(account=account, about="sweep", level=OK, says=says)


def _due(account: str, status: queries.AccountStatus) -> Finding:
    oldest = status["oldest_due_seconds"] or 0.0
    due = number(status["due"], "link")
    # Beat needs a sweep to notice, and a worker a moment to begin.
    if oldest <= 2 * conf.sweep_seconds() + 60:
        return Finding(account=account, about="due", level=OK, says=f"{due} due, none for long.")
    if services.is_draining(account):
        return Finding(account=account, about="due", level=OK, says=f"{due} due, and a drainer is at work.")
    return Finding(
        account=account,
        about="due",
        level=PROBLEM,
        says=f"{due} due, the oldest for {oldest:.0f} seconds, and nobody is sending.",
        fix="Start a Celery worker that takes the queue, or run 'manage.py kohort_sync drain' from cron.",
    )


def _people(status: queries.AccountStatus) -> Iterator[Finding]:
    account = status["account"]
    waiting = [state for state in FOR_A_PERSON if status["states"].get(state)]
    for state in waiting:
        links = number(status["states"][state], "link")
        yield Finding(
            account=account,
            about=state.value,
            level=WARNING,
            says=f"{links} {state.value}.",
            fix=_FIX_OF_STATE[state],
        )
    if status["failing"]:
        yield Finding(
            account=account,
            about="failing",
            level=WARNING,
            says=f"KohortPay refuses a change of {number(status['failing'], 'linked user')}.",
            fix="Correct the data, or run 'manage.py kohort_sync retry --all'.",
        )
    if not waiting and not status["failing"]:
        yield Finding(account=account, about="people", level=OK, says="No link waits for a person.")
