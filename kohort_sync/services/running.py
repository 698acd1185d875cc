"""Running: work that a person, cron or a command starts in its own process."""

from collections.abc import Callable
from dataclasses import dataclass

from kohort_sync import clock, drainer, gate, links, queries, retention, sweep, tasks
from kohort_sync.services.finding import account_of

_PRUNED_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """Say what a backfill did: how many users got a row, and whether the account is covered now."""

    account: str
    recorded: int
    covered: bool


def backfill(
    alias: str,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _recorded: None,
) -> Backfill:
    """Make rows for the users who are older than the app, and cover the account once all have one.

    From then on the sweep finds users whom no signal announced. May be interrupted and repeated.
    """
    account = account_of(alias)
    using = links.database()
    if dry_run:
        now = queries.status(account, using=using)
        missing = now["users_without_link"]
        recorded = missing if limit is None else min(missing, limit)
        return Backfill(account=account.key, recorded=recorded, covered=now["covered"])
    row = gate.account_row(account.key, using=using)
    recorded = 0
    for size in sweep.record_missing(account.key, limit=limit, using=using):
        recorded += size
        progress(recorded)
    if row.covered_at is None and not queries.users_without_link(account.key, using=using).exists():
        row.covered_at = clock.now(using=using)
        row.save(using=using, update_fields=["covered_at"])
    tasks.nudge([account.alias])
    return Backfill(account=account.key, recorded=recorded, covered=row.covered_at is not None)


def find_missing(alias: str) -> int:
    """Sweep in this process: find users of a covered account whom nothing announced. Returns how many."""
    return sweep.sweep(account_of(alias).alias)


def drain(
    alias: str, *, budget: float = drainer.BUDGET, stop: Callable[[], bool] = lambda: False
) -> drainer.Report:
    """Send in this process what is due, as cron or a person without a worker wants it."""
    return drainer.drain(account_of(alias).alias, budget=budget, stop=stop)


def prune(
    alias: str, *, progress: Callable[[retention.Pruned], None] = lambda _pruned: None
) -> retention.Pruned:
    """Remove at once what is older than `RETENTION_DAYS`, in chunks; the sweep does so little by little."""
    key, using = account_of(alias).key, links.database()
    attempts = customers = 0
    while any(pruned := retention.prune(key, limit=_PRUNED_AT_ONCE, using=using)):
        attempts, customers = attempts + pruned.attempts, customers + pruned.customers
        progress(retention.Pruned(attempts, customers))
    return retention.Pruned(attempts, customers)
