"""Running: work that a person, cron or a command starts in its own process."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

from kohort_sync import clock, delivery, drainer, gate, links, queries, redaction, retention, sweep, tasks
from kohort_sync import reconcile as reconciling
from kohort_sync.models import Account, CustomerLink, State, SyncRun, WorkClass
from kohort_sync.services.finding import account_of

Progress = Callable[[int, int], None]
"""Hear how many of how many are done."""

_LOADED_AT_ONCE = 500
_PRUNED_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """Say what a backfill did: how many users got a row, and whether the account is covered now."""

    account: str
    recorded: int
    covered: bool


@redaction.frames_emptied()
def backfill(
    alias: str, *, limit: int | None = None, progress: Progress = lambda _done, _total: None
) -> Backfill:
    """Make rows for the users who are older than the app, and cover the account once all have one.

    From then on the sweep finds users whom no signal announced. May be interrupted and repeated.
    """
    account = account_of(alias)
    using = links.database()
    row = gate.account_row(account.key, using=using)
    # A key that was set free by a raw deletion may be another user's by now.
    sweep.forget_gone(account.key, using=using)
    total = _to_do(account.key, limit=limit, using=using)
    recorded = 0
    for size in sweep.record_missing(account.key, limit=limit, using=using):
        recorded += size
        progress(recorded, total)
    if row.covered_at is None and not queries.users_without_link(account.key, using=using).exists():
        row.covered_at = clock.now(using=using)
        row.save(using=using, update_fields=["covered_at"])
    tasks.nudge([account.alias])
    return Backfill(account=account.key, recorded=recorded, covered=row.covered_at is not None)


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Foretell a backfill: how many users would be sent, and how the others would stand, with the reason.

    What only KohortPay knows, such as whose an address is, cannot be foretold.
    """

    account: str
    covered: bool
    to_be_sent: int = 0
    not_sent: Counter[tuple[State, str]] = field(default_factory=Counter)

    @property
    def users(self) -> int:
        """Return how many users would get a row."""
        return self.to_be_sent + self.not_sent.total()


@redaction.frames_emptied()
def rehearse_backfill(
    alias: str, *, limit: int | None = None, progress: Progress = lambda _done, _total: None
) -> Rehearsal:
    """Plan all that a backfill would promise, and write and send nothing. Calls the host's functions."""
    account = account_of(alias).key
    using = links.database()
    covered = Account.objects.using(using).filter(pk=account, covered_at__isnull=False).exists()
    total = _to_do(account, limit=limit, using=using)
    now = clock.now(using=using)
    seen: Counter[tuple[State, str]] = Counter()
    for users in sweep.missing(account, size=_LOADED_AT_ONCE, using=using):
        left = None if limit is None else limit - seen.total()
        if left == 0:
            break
        seen.update(delivery.foretell(user, account=account, now=now) for user in users[:left])
        progress(seen.total(), total)
    to_be_sent = seen.pop((State.LINKED, ""), 0)
    return Rehearsal(account=account, covered=covered, to_be_sent=to_be_sent, not_sent=seen)


def _to_do(account: str, *, limit: int | None, using: str) -> int:
    missing = queries.users_without_link(account, using=using).count()
    return missing if limit is None else min(missing, limit)


def accept_database(alias: str) -> bool:
    """Take the database for the site's own that looks like a copy; return whether it looked like one."""
    key, using = account_of(alias).key, links.database()
    return drainer.accept_database(gate.account_row(key, using=using), using=using)


def find_missing(alias: str) -> int:
    """Sweep in this process: find users of a covered account whom nothing announced. Returns how many."""
    return sweep.sweep(account_of(alias).alias)


def drain(
    alias: str, *, budget: float = drainer.BUDGET, stop: Callable[[], bool] = lambda: False
) -> drainer.Report:
    """Send in this process what is due, as cron or a person without a worker wants it."""
    return drainer.drain(account_of(alias).alias, budget=budget, stop=stop)


def reconcile(
    alias: str, *, full: bool = False, report_only: bool = False, actor: AbstractBaseUser | None = None
) -> SyncRun:
    """Begin to read what KohortPay has and to tell how it differs; a run that is under way is gone on with.

    The drainer does it while nothing else is due. Without `full` it reads what has changed since the last
    run, where there was one. Differing data of ours is sent, unless it is `report_only`.
    """
    account, using = account_of(alias), links.database()
    gate.account_row(account.key, using=using)
    run = reconciling.begin(account.key, full=full, report_only=report_only, actor=actor, using=using)
    tasks.nudge_after_commit([account.alias], using=using)
    return run


@redaction.frames_emptied()
def drift(link: int, fields: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Return ours and theirs for fields of a link that were found to differ: personal data."""
    using = links.database()
    row = CustomerLink.objects.using(using).select_related("customer").filter(pk=link).first()
    if row is None or row.user_id is None:
        return {}
    user = get_user_model()._base_manager.using(using).filter(pk=row.user_id).first()
    return {} if user is None else reconciling.values(row, user, fields)


@redaction.frames_emptied()
def relink(alias: str, *, dry_run: bool = False) -> list[reconciling.Match]:
    """Link users to the customers that this site made for them before its own rows were lost.

    Reads the mirror, so reconcile in full first. The drainer asks KohortPay about each before it believes
    it. Returns whom it concerns.
    """
    account, using = account_of(alias), links.database()
    found = list(reconciling.matches(account.key, using=using))
    if dry_run:
        return found
    without = [match.user.pk for match in found if match.link is None]
    links.record_keys(without, account=account.key, using=using, work_class=WorkClass.BULK)
    rows = CustomerLink.objects.using(using).filter(account=account.key)
    for match in found:
        link = match.link or rows.get(user=match.user.pk)
        with suppress(links.BeingSent):  # it waits for a decision then, and is found the next time
            links.decide(link, using=using, wants_customer=match.kohort_id)
    tasks.nudge_after_commit([account.alias], using=using)
    return found


def cancel(run: SyncRun) -> None:
    """Call a run off; what it has found so far stays."""
    reconciling.cancel(run, using=links.database())


def prune(
    alias: str, *, progress: Callable[[retention.Pruned], None] = lambda _pruned: None
) -> retention.Pruned:
    """Remove at once what is older than `RETENTION_DAYS`, in chunks; the sweep does so little by little."""
    key, using = account_of(alias).key, links.database()
    done = retention.Pruned(0, 0, 0)
    while any(pruned := retention.prune(key, limit=_PRUNED_AT_ONCE, using=using)):
        done = retention.Pruned(*(sum(counts) for counts in zip(done, pruned, strict=True)))
        progress(done)
    return done
