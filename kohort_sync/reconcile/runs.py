"""Runs: one reconciliation each, written down so that it can be followed, gone on with and called off."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser

from kohort_sync import clock
from kohort_sync.models import Account, SyncRun
from kohort_sync.transactions import writing

KIND = "reconcile"
_RECENT_EVERY = timedelta(hours=1)
_FULL_EVERY = timedelta(days=30)


def open_run(account: str, *, using: str) -> SyncRun | None:
    """Return the run that is under way for an account; None where none is."""
    rows = SyncRun.objects.using(using).filter(account=account, kind=KIND, finished_at=None)
    return rows.order_by("pk").first()


def is_open(account: str, *, using: str) -> bool:
    """Say whether a run is under way."""
    return open_run(account, using=using) is not None


def begin(
    account: str,
    *,
    full: bool,
    report_only: bool = False,
    actor: AbstractBaseUser | None = None,
    using: str,
) -> SyncRun:
    """Begin a run, or return the one that is under way."""
    under_way = open_run(account, using=using)
    if under_way is not None:
        return under_way
    return SyncRun.objects.using(using).create(
        kind=KIND,
        account=account,
        scope={"full": full, "report_only": report_only},
        progress={"step": "plan", "began": clock.now(using=using).isoformat()},
        started_by_id=None if actor is None else actor.pk,
    )


def due(account: str, *, using: str) -> str:
    """Say which run is due by itself for a covered account: "full", "recent", or "" where none is."""
    row = Account.objects.using(using).filter(pk=account).first()
    if row is None or row.covered_at is None or is_open(account, using=using):
        return ""
    now, covered_at = clock.now(using=using), row.covered_at

    def is_older(name: str, age: timedelta) -> bool:
        kept = row.checkpoint.get(name)
        return now - (datetime.fromisoformat(kept) if kept else covered_at) > age

    if not is_older("tried_at", _RECENT_EVERY):
        return ""
    first = "newest" not in row.checkpoint
    return "full" if first or is_older("full_at", _FULL_EVERY) else "recent"


def save(run: SyncRun, *, using: str, **columns: Any) -> bool:
    """Write columns of a run; False where somebody called it off."""
    rows = SyncRun.objects.using(using).filter(pk=run.pk, finished_at=None)
    for name, value in columns.items():
        setattr(run, name, value)
    return bool(rows.filter(cancel_requested=False).update(**columns))


def finish(run: SyncRun, *, report: dict[str, Any], checkpoint: dict[str, Any], using: str) -> None:
    """Close a run with its report; the account remembers from where the next one reads on."""
    now = clock.now(using=using)
    with writing(using=using):
        run.report, run.finished_at = report, now
        run.save(using=using, update_fields=["report", "finished_at", "counters", "progress"])
        account = Account.objects.using(using).select_for_update().get(pk=run.account)
        account.checkpoint = account.checkpoint | checkpoint | {"tried_at": now.isoformat()}
        account.save(using=using, update_fields=["checkpoint"])


def cancel(run: SyncRun, *, using: str) -> None:
    """Call a run off: whoever works at it stops after the present page."""
    SyncRun.objects.using(using).filter(pk=run.pk, finished_at=None).update(cancel_requested=True)
