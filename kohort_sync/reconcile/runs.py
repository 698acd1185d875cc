"""Runs: one reconciliation each, written down so that it can be followed, gone on with and called off."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Exists, OuterRef

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
    """Say what is to be read for an account: "open" where a run is under way, else "full", "recent" or "".

    A covered account is read by itself.
    """
    under_way = SyncRun.objects.filter(account=OuterRef("pk"), kind=KIND, finished_at=None)
    rows = Account.objects.using(using).filter(pk=account)
    seen = rows.values_list("covered_at", "checkpoint", clock.DatabaseNow(), Exists(under_way)).first()
    if seen is None:
        return ""
    covered_at, checkpoint, now, is_open = seen
    if is_open or covered_at is None:
        return "open" if is_open else ""

    def is_older(name: str, age: timedelta) -> bool:
        kept = checkpoint.get(name)
        return bool(now - (datetime.fromisoformat(kept) if kept else covered_at) > age)

    if not is_older("tried_at", _RECENT_EVERY):
        return ""
    if "full_at" not in checkpoint or is_older("full_at", _FULL_EVERY):
        return "full"
    # Where no customer shows when it was changed, there is nothing to begin with.
    return "recent" if "newest" in checkpoint else ""


def save(run: SyncRun, *, using: str, **columns: Any) -> bool:
    """Write columns of a run; False where somebody called it off."""
    rows = SyncRun.objects.using(using).filter(pk=run.pk, finished_at=None)
    for name, value in columns.items():
        setattr(run, name, value)
    return bool(rows.filter(cancel_requested=False).update(**columns))


def finish(run: SyncRun, *, report: dict[str, Any], checkpoint: dict[str, Any], using: str) -> None:
    """Close a run with its report; the account remembers from where the next one reads on.

    Nothing of a run is changed that another process has closed.
    """
    run.finished_at = now = clock.now(using=using)
    rows = SyncRun.objects.using(using).filter(pk=run.pk, finished_at=None)
    with writing(using=using):
        if not rows.update(report=report, finished_at=now, counters=run.counters):
            return
        account = Account.objects.using(using).select_for_update().get(pk=run.account)
        account.checkpoint = account.checkpoint | checkpoint | {"tried_at": now.isoformat()}
        account.save(using=using, update_fields=["checkpoint"])


def cancel(run: SyncRun, *, using: str) -> None:
    """Call a run off: whoever works at it stops after the present page."""
    SyncRun.objects.using(using).filter(pk=run.pk, finished_at=None).update(cancel_requested=True)
