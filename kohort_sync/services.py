"""Services: what people, hosts and edges may ask for. They mark rows; the drainer does the work."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import QuerySet

from kohort_sync import clock, conf, connection, drainer, gate, links, mapping, queries, sweep, tasks
from kohort_sync.models import Customer, CustomerLink, SyncAttempt, WorkClass

# Links that are marked in one transaction.
_CHUNK = 5000


class UnknownAccount(LookupError):
    """Say that no usable account has this alias."""

    def __init__(self, alias: str) -> None:
        known = ", ".join(conf.accounts()) or "none"
        super().__init__(
            f"There is no account '{alias}' (configured: {known}). Set KOHORT_SYNC['API_KEY'] to a secret key"
            " (sk_test_… or sk_live_…) and run 'manage.py check'."
        )


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """Say what a backfill did: how many users got a row, and whether the account is covered now."""

    account: str
    recorded: int
    covered: bool


def promise(user: AbstractBaseUser, *, using: str) -> None:
    """Promise a new user to every account: one statement, in the transaction that saves the user."""
    accounts = conf.accounts()
    keys = [account.key for account in accounts.values()]
    links.record([user], accounts=keys, using=using, work_class=WorkClass.SIGNUP)
    tasks.nudge_after_commit(accounts, using=using)


def note_change(user: AbstractBaseUser, *, using: str) -> None:
    """Note that a user may have changed; without a link there is nothing to note."""
    accounts = conf.accounts()
    keys = [account.key for account in accounts.values()]
    rows = CustomerLink.objects.using(using).filter(account__in=keys, user_pk=mapping.key_of(user))
    if links.mark_changed(rows, work_class=WorkClass.CHANGE):
        tasks.nudge_after_commit(accounts, using=using)


def note_deletion(user: AbstractBaseUser, *, using: str) -> None:
    """Note in the deletion's own transaction that a user is gone, so that the key may be used again."""
    rows = CustomerLink.objects.using(using).filter(user_pk=mapping.key_of(user))
    if links.forget_users(rows):
        tasks.nudge_after_commit(conf.accounts(), using=using)


def request_sync(users: Iterable[AbstractBaseUser], *, alias: str = "default") -> int:
    """Promise users whom no signal announced, as after `bulk_create`. Returns how many were asked for.

    Without an API key the app is idle, and nobody is asked for. Raises ValueError for a user without a
    primary key, as `bulk_create(ignore_conflicts=True)` leaves them.
    """
    account = conf.accounts().get(alias)
    if account is None:
        return 0
    wanted = list(users)
    if any(user.pk is None for user in wanted):
        raise ValueError("A user without a primary key cannot be promised: save it, or load it again, first.")
    using = links.database()
    links.record(wanted, accounts=[account.key], using=using, work_class=WorkClass.BULK)
    tasks.nudge_after_commit([alias], using=using)
    return len(wanted)


def resync(rows: QuerySet[CustomerLink], *, actor: AbstractBaseUser | None = None, reason: str = "") -> int:
    """Compare these links with KohortPay again and send what differs. Returns how many were marked."""
    using = links.database()
    keys = list(rows.values_list("pk", flat=True))
    marked = 0
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marked += links.ask_to_compare(chunk, using=using)
        SyncAttempt.objects.using(using).bulk_create(
            SyncAttempt(
                link_id=key,
                operation="resync",
                outcome="asked",
                trigger="person" if actor else "command",
                actor=str(actor.pk) if actor else "",
                reason=reason,
            )
            for key in chunk
        )
    tasks.nudge_after_commit(conf.accounts(), using=using)
    return marked


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
    account = _account(alias)
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
    return sweep.sweep(_account(alias).alias)


def drain(
    alias: str, *, budget: float = drainer.BUDGET, stop: Callable[[], bool] = lambda: False
) -> drainer.Report:
    """Send in this process what is due, as cron or a person without a worker wants it."""
    return drainer.drain(_account(alias).alias, budget=budget, stop=stop)


def status() -> list[queries.AccountStatus]:
    """Describe each configured account."""
    using = links.database()
    return [queries.status(account, using=using) for account in conf.accounts().values()]


def account_key(alias: str) -> str:
    """Return what the rows of an account are named by. Raises UnknownAccount where it is not configured."""
    return _account(alias).key


def obstacle(alias: str) -> str:
    """Say why KohortPay cannot be called with these settings; empty where it can."""
    try:
        connection.customers(_account(alias), organization_id="", threads=1)
    except ValueError as error:
        return str(error)
    return ""


def customer_for(user: AbstractBaseUser, *, alias: str = "default") -> Customer | None:
    """Return the mirrored customer of a user, as last seen at `mirrored_at`; None where none is linked."""
    link = queries.link_of(user, alias=alias)
    return link.customer if link is not None else None


def _account(alias: str) -> conf.AccountSettings:
    for account in conf.accounts().values():
        if alias in (account.alias, account.key):
            return account
    raise UnknownAccount(alias)
