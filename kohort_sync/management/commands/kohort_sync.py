"""The command: `manage.py kohort_sync VERB`."""

import json
import math
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError

from kohort_sync import conf, queries, reasons, services
from kohort_sync.models import CustomerLink, State
from kohort_sync.testing.answers import Dialect
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import Service

Verb = Callable[..., int]

OK, NEEDS_A_PERSON, BAD_USAGE = 0, 1, 2

_FOR_A_PERSON = (State.REJECTED, State.CONFLICT, State.PARKED)


class Command(BaseCommand):
    """Offer the verbs that engineers need."""

    help = "Keep the users of this site and the customers of KohortPay in step."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs, each with an example in its help."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

        def verb(name: str, run: Verb, about: str, example: str, *, account: bool = True) -> ArgumentParser:
            added: ArgumentParser = verbs.add_parser(
                name,
                help=about,
                description=about,
                epilog=f"example:\n  python manage.py kohort_sync {example}",
                formatter_class=RawDescriptionHelpFormatter,
            )
            added.set_defaults(run=run)
            added.add_argument("--json", action="store_true", help="print one JSON object")
            if account:
                added.add_argument(
                    "--account", default="default", metavar="ALIAS", help="which account (default: default)"
                )
            return added

        verb("status", self.status, "Say how every account stands.", "status --json", account=False)

        backfill = verb(
            "backfill",
            self.backfill,
            "Send the users who are older than the app, and cover the account from now on.",
            "backfill --dry-run",
        )
        backfill.add_argument("--dry-run", action="store_true", help="only count")
        backfill.add_argument("--limit", type=_positive, metavar="N", help="stop after N users")

        drain = verb("drain", self.drain, "Send in this process what is due, with no worker.", "drain --once")
        how = drain.add_mutually_exclusive_group()
        how.add_argument("--once", action="store_true", help="until nothing is due (the default; for cron)")
        how.add_argument("--forever", action="store_true", help="until a signal ends it")

        resync = verb(
            "resync",
            self.resync,
            "Compare users with KohortPay again and send what differs.",
            "resync --user 42",
        )
        whom = resync.add_mutually_exclusive_group(required=True)
        whom.add_argument("--user", metavar="PK", help="one user, by primary key")
        whom.add_argument("--all", action="store_true", help="every user who has a link")

        sandbox = verb(
            "sandbox",
            self.sandbox,
            "Serve a simulated KohortPay on this machine, for development.",
            "sandbox --port 8555",
            account=False,
        )
        sandbox.add_argument("--port", type=int, default=8555, help="0 picks a free one (default: 8555)")
        sandbox.add_argument(
            "--dialect",
            choices=["seen", "documented"],
            default="seen",
            help="answer as the service was seen to, or as its documentation says (default: seen)",
        )
        sandbox.add_argument(
            "--latency",
            choices=["none", "test", "live"],
            default="test",
            help="be as slow as nothing, a test key or a live key (default: test)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; exit 0 if all is well, 1 if something needs a person, 2 on bad usage."""
        del args
        try:
            with _stoppable() as stop:
                code = options["run"](stop=stop, **options)
        except (services.UnknownAccount, ValueError) as error:
            raise CommandError(str(error), returncode=BAD_USAGE) from error
        except _DATABASE_FAULTS as error:
            # The first line says what is missing; the others may show a statement.
            said = str(error).partition("\n")[0].rstrip(".")
            message = f"The database cannot be used: {said}. Check DATABASES, then run 'manage.py migrate'."
            raise CommandError(message, returncode=NEEDS_A_PERSON) from error
        if code:
            sys.exit(code)

    def status(self, *, json: bool, **_: Any) -> int:
        """Print each account's state."""
        accounts = services.status()
        if json:
            self._print_json({"accounts": accounts})
        elif not accounts:
            self.stdout.write(_why_idle())
        for account in [] if json else accounts:
            self._print_status(account)
        obstacles = any(services.obstacle(account["account"]) for account in accounts)
        return (
            NEEDS_A_PERSON if _is_misconfigured() or obstacles or any(map(_needs_a_person, accounts)) else OK
        )

    def backfill(
        self, *, account: str, limit: int | None, dry_run: bool, json: bool, stop: Event, **_: Any
    ) -> int:
        """Make rows for older users."""

        def progress(recorded: int) -> None:
            if not json:
                self.stdout.write(f"{_number(recorded, 'user')} recorded")
            if stop.is_set():
                done = _number(recorded, "user")
                message = f"Interrupted after {done}. Run it again; it goes on where it stopped."
                raise CommandError(message, returncode=NEEDS_A_PERSON)

        done = services.backfill(account, limit=limit, dry_run=dry_run, progress=progress)
        if json:
            self._print_json({"account": done.account, "users": done.recorded, "covered": done.covered})
        elif dry_run:
            self.stdout.write(
                f"{done.account}: {_number(done.recorded, 'user')} would be sent. Nothing was changed."
            )
        else:
            covered = "covered" if done.covered else "not covered yet: run it again without --limit"
            self.stdout.write(
                f"{done.account}: {_number(done.recorded, 'user')} will be sent; the account is {covered}."
            )
        return OK

    def drain(self, *, account: str, forever: bool, json: bool, stop: Event, **_: Any) -> int:
        """Send what is due, once or for ever."""
        if not conf.accounts() and not _is_misconfigured():
            self.stdout.write(_why_idle())
            return OK
        settled: Counter[str] = Counter()
        ended = "stopped"
        swept = -math.inf
        while not stop.is_set():
            if time.monotonic() - swept >= conf.sweep_seconds():
                services.find_missing(account)
                swept = time.monotonic()
            report = services.drain(account, stop=stop.is_set)
            settled += report.settled
            ended = report.ended
            if not forever and (not report.work_left or ended in _WHY_NOTHING_WAS_SENT):
                break
            if forever:
                stop.wait(0.0 if report.work_left and report.ended == "budget" else _IDLE_SECONDS)
        if json:
            self._print_json({"account": account, "ended": ended, "settled": settled})
        else:
            words = ", ".join(f"{number} {state}" for state, number in sorted(settled.items()))
            self.stdout.write(f"{account}: {words or _WHY_NOTHING_WAS_SENT.get(ended, 'nothing was due')}.")
        return NEEDS_A_PERSON if any(map(_needs_a_person, services.status())) else OK

    def resync(self, *, account: str, user: str | None, json: bool, **_: Any) -> int:
        """Mark links for comparison."""
        key = services.account_key(account)
        rows = CustomerLink.objects.filter(account=key)
        if user is not None:
            rows = rows.filter(user_pk=user)
            if not rows.exists():
                message = f"No link for user {user}. 'manage.py kohort_sync backfill' makes the missing ones."
                raise CommandError(message, returncode=NEEDS_A_PERSON)
        marked = services.resync(rows)
        if json:
            self._print_json({"account": key, "marked": marked})
        else:
            self.stdout.write(f"{key}: {_number(marked, 'link')} will be compared with KohortPay.")
        return OK

    def sandbox(self, *, port: int, dialect: Dialect, latency: str, json: bool, stop: Event, **_: Any) -> int:
        """Serve the simulated service until a signal ends it."""
        service = Service(dialect=dialect, latency=latency)
        try:
            server = SandboxServer(service, port=port)
        except (OSError, OverflowError) as error:
            message = (
                f"Port {port} cannot be used ({error}). Choose another with --port, or 0 for a free one."
            )
            raise CommandError(message, returncode=BAD_USAGE) from error
        server.start()
        key = next(iter(service.keys))
        if json:
            self._print_json({"url": server.url, "key": key})
        else:
            self.stdout.write(f"A simulated KohortPay serves {server.url} (dialect: {dialect}).")
            self.stdout.write(f'KOHORT_SYNC = {{"API_KEY": "{key}", "BASE_URL": "{server.url}"}}')
            self.stdout.write("Open the address in a browser to see its customers. Ctrl-C ends it.")
        self.stdout.flush()
        stop.wait()
        server.stop()
        return OK

    def _print_json(self, value: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps(value, indent=2))

    def _print_status(self, status: queries.AccountStatus) -> None:
        gate = "open" if status["gate"] == "open" else f"closed. {reasons.of_gate(status['reason'])}"
        obstacle = services.obstacle(status["account"])
        oldest = status["oldest_due_seconds"]
        waits = f" (the oldest for {oldest:.0f} seconds)" if oldest is not None else ""
        covered = "yes" if status["covered"] else "no: run 'manage.py kohort_sync backfill'"
        self.stdout.write(self.style.MIGRATE_HEADING(status["account"]))
        if obstacle:
            self.stdout.write(f"  cannot send     {obstacle}")
        self.stdout.write(f"  gate            {gate}")
        self.stdout.write(f"  covered         {covered}")
        self.stdout.write(f"  without a link  {_number(status['users_without_link'], 'user')}")
        self.stdout.write(f"  due now         {status['due']}{waits}")
        self.stdout.write(f"  last sweep      {status['last_sweep_at'] or 'never: is beat or cron running?'}")
        for state in State:
            if status["states"].get(state):
                self.stdout.write(f"  {state.value:<15} {status['states'][state]}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _is_misconfigured() -> bool:
    """Say whether somebody made a mistake: without a key the app is idle on purpose."""
    return not conf.accounts() and bool(conf.get("ENABLED") and conf.get("API_KEY"))


_IDLE_SECONDS = 1.0
_DATABASE_FAULTS = (OperationalError, ProgrammingError, InterfaceError)
_WHY_NOTHING_WAS_SENT = {
    "busy": "another drainer works for this account",
    "closed": "nothing was sent, because the gate is closed; see 'manage.py kohort_sync status'",
}


@contextmanager
def _stoppable() -> Iterator[Event]:
    """Turn the first SIGINT or SIGTERM into a polite stop; a second one ends the process as usual."""
    stop = Event()
    if current_thread() is not main_thread():  # Python listens to signals in the main thread alone
        yield stop
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def listen_as_usual() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def stop_politely(*_: object) -> None:
        stop.set()
        listen_as_usual()

    for number in usual:
        signal.signal(number, stop_politely)
    try:
        yield stop
    finally:
        listen_as_usual()


def _why_idle() -> str:
    if not conf.get("ENABLED"):
        return "kohort_sync is idle: KOHORT_SYNC['ENABLED'] is off."
    if not conf.get("API_KEY"):
        return "kohort_sync is idle: KOHORT_SYNC['API_KEY'] is not set."
    return (
        "kohort_sync is idle: KOHORT_SYNC['API_KEY'] is not a secret key (sk_test_… or sk_live_…)."
        " Run 'manage.py check'."
    )


def _needs_a_person(status: queries.AccountStatus) -> bool:
    return status["gate"] != "open" or any(status["states"].get(state) for state in _FOR_A_PERSON)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
