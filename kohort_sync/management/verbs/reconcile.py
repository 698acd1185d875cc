"""Reconcile: read what KohortPay has, and tell how it differs from the users of this site."""

import csv
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from kohort_sync import reasons, services
from kohort_sync.management.verbs.console import Console, bad_usage, for_a_person, number, stoppable
from kohort_sync.management.verbs.progress import Progress
from kohort_sync.management.verbs.verb import NEEDS_A_PERSON, OK, Verb
from kohort_sync.models import SyncRun

_IDLE_SECONDS = 1.0
# What does not go away by itself.
_FOR_A_PERSON = ("missing", "deleted", "claimed_twice", "unknown_ours", "stranger")
_COLUMNS = ("kind", "kohort_id", "link", "user", "fields")
# A spreadsheet takes what begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def run(
    console: Console,
    *,
    account: str,
    full: bool,
    report_only: bool,
    relink: bool,
    dry_run: bool,
    values: bool,
    csv_path: str | None,
    **_: Any,
) -> int:
    """Begin a run, or go on with the one that is under way, and tell what it has found."""
    if dry_run and not relink:
        raise bad_usage("--dry-run belongs to --relink; to change nothing otherwise, use --report-only.")
    done = _reconciled(console, account=account, full=full or relink, report_only=report_only or dry_run)
    if csv_path is not None:
        _write_csv(Path(csv_path), done)
    if relink:
        return _relink(console, account=account, dry_run=dry_run)
    return _tell(console, done, with_values=values)


def _relink(console: Console, *, account: str, dry_run: bool) -> int:
    found = services.relink(account, dry_run=dry_run)
    key = services.account_key(account)
    users = [{"user": str(match.user.pk), "kohort_id": match.kohort_id} for match in found]
    console.show({"account": key, "dry_run": dry_run, "users": users})
    for one in users:
        console.say(f"  user {one['user']}: {one['kohort_id']}")
    would = "would be" if dry_run else "will be"
    console.say(f"{key}: {number(len(users), 'user')} {would} linked to the customer made for them.")
    return OK


def _reconciled(console: Console, *, account: str, full: bool, report_only: bool) -> SyncRun:
    begun = services.reconcile(account, full=full, report_only=report_only)
    with stoppable() as stop, Progress(console, noun="customer") as shown:
        while begun.finished_at is None:
            if stop.is_set():
                raise for_a_person("Interrupted. Run it again, or let a worker go on; nothing is read twice.")
            report = services.drain(account, stop=stop.is_set)
            begun.refresh_from_db()
            done = begun.counters.get("customers", 0)
            shown.at(done, begun.progress.get("count", done))
            if report.ended == "closed":
                raise for_a_person(
                    "The gate is closed, so nothing can be read; see 'manage.py kohort_sync status'."
                    " The run goes on by itself when it opens."
                )
            if report.ended == "busy":
                time.sleep(_IDLE_SECONDS)  # another process goes on with it
    return begun


def _tell(console: Console, run: SyncRun, *, with_values: bool) -> int:
    counts = {kind: run.counters.get(kind, 0) for kind in reasons.DIFFERENCES}
    report = run.report
    findings = [
        finding | {"values": services.drift(finding["link"], finding["fields"])}
        if with_values and finding["fields"]
        else finding
        for finding in report.get("findings", ())
    ]
    console.show({"account": run.account, "run": run.pk, "counts": counts, **report, "findings": findings})
    if report["ended"] != "done":
        said = report.get("said", "Somebody called it off.")
        raise for_a_person(f"The run came to no end. {said}")
    read = "everything" if report["complete"] else "what has changed"
    console.say(f"{run.account}: {read} was read, {number(run.counters.get('customers', 0), 'customer')}.")
    for kind, count in counts.items():
        if count:
            console.say(f"  {count:>7} {reasons.DIFFERENCES[kind]}")
    for finding in findings:
        fields = f" ({', '.join(finding['fields'])})" if finding["fields"] else ""
        user = f" user {finding['user']}" if finding["user"] else ""
        console.say(f"  {finding['kind']}: {finding['kohort_id']}{user}{fields}")
        for field, (ours, theirs) in finding.get("values", {}).items():
            console.say(f"    {field}: {ours!r} here, {theirs!r} there")
    if report["not_shown"]:
        console.say(f"  {number(report['not_shown'], 'customer')} that KohortPay counts were not shown.")
    return NEEDS_A_PERSON if any(counts[kind] for kind in _FOR_A_PERSON) else OK


def _write_csv(path: Path, run: SyncRun) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for finding in run.report.get("findings", ()):
            values = finding | {"fields": " ".join(finding["fields"])}
            rows.writerow([_safe(values[column]) for column in _COLUMNS])


def _safe(value: object) -> object:
    """Keep a spreadsheet from reading a text as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help="read everything, not just what has changed")
    parser.add_argument(
        "--report-only", action="store_true", help="tell what differs, and send nothing because of it"
    )
    parser.add_argument(
        "--values", action="store_true", help="show of drifted fields what is here and there: personal data"
    )
    parser.add_argument(
        "--relink",
        action="store_true",
        help="after the tables of this app were lost: link users to the customers that were made for them",
    )
    parser.add_argument("--dry-run", action="store_true", help="with --relink: only tell who would be linked")
    parser.add_argument(
        "--csv", dest="csv_path", metavar="FILE", help="write what was found into a file, too"
    )


VERB = Verb(
    name="reconcile",
    about="Read what KohortPay has, and tell how it differs from the users here.",
    example="reconcile --full --report-only",
    run=run,
    options=_options,
    details=(
        "A run that was interrupted is gone on with. The drainer reads while nothing else is due; where a\n"
        "worker does so already, this waits for it. Exit code 1 where something is for a person."
    ),
)
