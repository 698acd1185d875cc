"""The ledger of links: record, claim, intend, settle. Each step is one fenced write."""

import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections, router, transaction
from django.db.models import F, Q, QuerySet

from kohort_sync import clock, conf, mapping, references
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.models import CustomerLink, State, SyncAttempt, WorkClass

# Nothing more is ever sent for these.
FINAL = (State.ERASED, State.IGNORED)


def database() -> str:
    """Name the database that holds the rows, for writing: the engine reads there too, never a replica."""
    return router.db_for_write(CustomerLink)


@contextmanager
def writing(*, using: str) -> Iterator[None]:
    """Open a transaction of the engine's own. Raises RuntimeError inside another one.

    SQLite takes its write lock at once: a read that becomes a write later fails there without waiting.
    """
    connection = connections[using]
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise RuntimeError("Autocommit is off: what is written here would not be there after a crash.")
    with transaction.atomic(using=using, durable=True):
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(f"UPDATE {_TABLE} SET crashes = crashes WHERE 0 = 1")  # noqa: S608 — our name
        yield


# Recording: in the user's own transaction, one statement each, and no function of the host is called.


def record(
    users: Iterable[AbstractBaseUser], *, accounts: Iterable[str], using: str, work_class: WorkClass
) -> None:
    """Promise users to each account, in one statement. Those who have a row keep it."""
    prefix = conf.reference_prefix()
    CustomerLink.objects.using(using).bulk_create(
        [
            CustomerLink(
                account=account,
                user_id=user.pk,
                user_pk=mapping.key_of(user),
                client_reference_id=references.new(prefix=prefix),
                work_class=work_class,
                next_attempt_at=clock.DatabaseNow(),
            )
            for account in accounts
            for user in users
        ],
        # A raw deletion may have left a row behind whose key the database gives out again.
        ignore_conflicts=True,
    )


def mark_changed(links: QuerySet[CustomerLink], *, work_class: WorkClass) -> int:
    """Note that the users of these links may have changed; the drainer finds out. Returns how many."""
    return links.exclude(state__in=[*FINAL, State.ERASING]).update(
        desired_version=F("desired_version") + 1,
        next_attempt_at=clock.DatabaseNow(),
        work_class=work_class,
    )


def ask_to_compare(keys: Collection[int], *, using: str) -> int:
    """Mark links for a comparison with what KohortPay has. Returns how many.

    What somebody else has locked is marked row by row afterwards: this never waits while it holds a lock.
    """
    rows = CustomerLink.objects.using(using)
    with transaction.atomic(using=using):
        held = _hold(rows, keys, using=using)
        marked = _mark_for_comparison(rows.filter(pk__in=held))
    return marked + sum(_mark_for_comparison(rows.filter(pk=key)) for key in sorted({*keys} - held.keys()))


def _mark_for_comparison(links: QuerySet[CustomerLink]) -> int:
    return links.exclude(state__in=[*FINAL, State.ERASING]).update(
        verify=True,
        desired_version=F("desired_version") + 1,
        next_attempt_at=clock.DatabaseNow(),
        work_class=WorkClass.BULK,
    )


def forget_users(links: QuerySet[CustomerLink]) -> int:
    """Note that the users of these links are gone. Returns how many."""
    return links.update(
        user_pk=None,
        user=None,
        desired_version=F("desired_version") + 1,
        next_attempt_at=clock.DatabaseNow(),
        work_class=WorkClass.CHANGE,
    )


def forget_users_of(keys: Collection[int], *, using: str) -> int:
    """Do the same for the engine: in its own transaction, and only where nobody holds the row."""
    with writing(using=using):
        held = _hold(CustomerLink.objects.using(using), keys, using=using)
        return forget_users(CustomerLink.objects.using(using).filter(pk__in=held))


# Claiming


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Hold claimed rows of one class. The token fences every later write of the batch."""

    account: str
    token: str
    links: tuple[CustomerLink, ...]
    claimed_at: datetime
    ends: float
    """When the lease ends, on this process's monotonic clock."""

    def has_time_for(self, seconds: float) -> bool:
        """Say whether the lease surely lasts that much longer."""
        return time.monotonic() + seconds < self.ends


def claim(*, account: str, limit: int, order: Sequence[WorkClass], using: str) -> Batch | None:
    """Lease up to `limit` due rows of the first class in `order` that has any, oldest first.

    Rows that somebody else has locked are passed over, so None may mean that all due rows are locked. A
    row whose last lease was lost is claimed alone: what killed that process may be this row.
    """
    token = secrets.token_hex(16)
    started = time.monotonic()
    now = clock.now(using=using)
    until = now + timedelta(seconds=conf.row_lease())
    due = _due(account, now, using=using)
    # A plain read first: a drainer with nothing to do must not take SQLite's write lock ten times a second.
    classes = set(due.order_by().values_list("work_class", flat=True).distinct())
    for work_class in (work_class for work_class in order if work_class in classes):
        rows = due.filter(work_class=work_class)
        with writing(using=using):
            first = _locked(rows.order_by("next_attempt_at", "pk"), using=using)[:limit]
            found = list(first.values_list("pk", "lease_token"))
            if not found:
                continue
            alone = found[0][1] != ""
            keys = [found[0][0]] if alone else [pk for pk, lost in found if not lost]
            # What was under way when the lease was lost may have arrived, so a linked row is compared first.
            after_loss = {"crashes": F("crashes") + 1, "verify": True} if alone else {}
            rows.filter(pk__in=keys).update(lease_token=token, lease_until=until, **after_loss)
        ours = CustomerLink.objects.using(using).filter(pk__in=keys, lease_token=token)
        taken = tuple(ours.select_related("customer").order_by("next_attempt_at", "pk"))
        if taken:
            ends = started + conf.row_lease()
            return Batch(account=account, token=token, links=taken, claimed_at=now, ends=ends)
    return None


def any_due(*, account: str, using: str) -> bool:
    """Say whether anything could be claimed now."""
    return _due(account, clock.now(using=using), using=using).exists()


def _due(account: str, now: datetime, *, using: str) -> QuerySet[CustomerLink]:
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    return CustomerLink.objects.using(using).filter(free, account=account, next_attempt_at__lte=now)


# Intending: what is about to be sent is written down first, so that a crash leaves a row that knows it.


@dataclass(frozen=True, kw_only=True)
class Intent:
    """Say what is about to be sent for a link."""

    link: CustomerLink
    operation: str
    version: int
    email: str | None = None


def intend(batch: Batch, intents: Sequence[Intent], *, using: str) -> set[int]:
    """Write intents down and return the keys of the links for which sending is now allowed.

    Missing are those whose lease is no longer ours or ends too soon, those that somebody else has locked,
    and creates whose predecessor has not settled.
    """
    if not intents:
        return set()
    now = clock.now(using=using)
    lasts = timedelta(seconds=conf.deadline())
    settle = timedelta(seconds=conf.settle_window())
    ours = CustomerLink.objects.using(using).filter(lease_token=batch.token, lease_until__gt=now + lasts)
    with writing(using=using):
        held = set(_hold(ours, [intent.link.pk for intent in intents], using=using))
        rows = []
        for intent in intents:
            link = intent.link
            if link.pk not in held:
                continue
            if intent.operation == "create":
                if link.posts and link.settle_until is not None and link.settle_until > now:
                    held.discard(link.pk)
                    continue
                link.state = State.UNCERTAIN
                link.intent_email = intent.email
                link.posts += 1
                # Not before the lease has ended can this process no longer send: the window begins there.
                link.settle_until = batch.claimed_at + timedelta(seconds=conf.row_lease()) + settle
            link.intent, link.intent_version = intent.operation, intent.version
            rows.append(link)
        _write(rows, _INTENT_COLUMNS, token=batch.token, using=using)
    return held


# Settling


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """Say how a link stands after its turn. What is not named here stays as it was."""

    link: CustomerLink
    state: State
    changes: dict[str, Any] = field(default_factory=dict)
    due_in: float | None = None
    """Seconds until the next turn; None where nothing is due until the data changes or a person acts."""
    remote: RemoteCustomer | None = None
    """What the service showed: it goes into the mirror, and a linked row points there."""
    attempts: tuple[SyncAttempt, ...] = ()


def settle(
    batch: Batch, settlements: Sequence[Settlement], *, mirrored: Mapping[str, int], using: str
) -> set[int]:
    """Write outcomes down, give the leases back, and return the keys of the links that were settled.

    `mirrored` maps KohortPay ids to mirror rows. A link that changed while its request was under way stays
    due. Rows that somebody else has locked are missing: settle them again. Needs the transaction in which
    the mirror was written.
    """
    now = clock.now(using=using)
    ours = CustomerLink.objects.using(using).filter(lease_token=batch.token)
    held = _hold(ours, [settlement.link.pk for settlement in settlements], using=using)
    rows: list[CustomerLink] = []
    attempts: list[SyncAttempt] = []
    taken = _taken_customers(settlements, mirrored, using=using)
    for settlement in settlements:
        link = settlement.link
        if link.pk not in held:
            continue
        for name, value in settlement.changes.items():
            setattr(link, name, value)
        link.state = settlement.state
        if settlement.state == State.LINKED and settlement.remote is not None:
            _point_to_customer(link, settlement.remote.kohort_id, mirrored, taken=taken, now=now)
        due_in = settlement.due_in
        if link.state == State.CONFLICT:
            due_in = None
        version, verify = held[link.pk]
        if version != link.desired_version:
            due_in, link.work_class = 0.0, WorkClass.CHANGE
            link.verify = link.verify or verify
        link.next_attempt_at = None if due_in is None else now + timedelta(seconds=due_in)
        link.lease_token, link.lease_until, link.crashes = "", None, 0
        rows.append(link)
        attempts.extend(settlement.attempts)
    _write(rows, _SETTLED_COLUMNS, token=batch.token, using=using)
    SyncAttempt.objects.using(using).bulk_create(attempts)
    return set(held)


def _taken_customers(
    settlements: Sequence[Settlement], mirrored: Mapping[str, int], *, using: str
) -> dict[int, int]:
    """Map mirror rows to the links that have them already."""
    wanted = [
        mirrored[settlement.remote.kohort_id]
        for settlement in settlements
        if settlement.remote is not None and settlement.state == State.LINKED
    ]
    rows = CustomerLink.objects.using(using).filter(customer__in=wanted).values_list("customer_id", "pk")
    return dict(rows)


def _point_to_customer(
    link: CustomerLink, kohort_id: str, mirrored: Mapping[str, int], *, taken: dict[int, int], now: datetime
) -> None:
    """Link to a mirror row, unless another user has it: then a person decides."""
    customer = mirrored[kohort_id]
    if taken.setdefault(customer, link.pk) != link.pk:
        link.state = State.CONFLICT
        link.conflict_kind = link.last_error_code = "claimed_twice"
        link.conflict_ids = [kohort_id]
        return
    link.customer_id = customer
    link.linked_at = link.linked_at or now
    link.synced_at = now


def still_ours(batch: Batch, keys: Collection[int], *, using: str) -> set[int]:
    """Return those of `keys` that this batch holds still."""
    if not keys:
        return set()
    rows = CustomerLink.objects.using(using).filter(pk__in=keys, lease_token=batch.token)
    return set(rows.values_list("pk", flat=True))


def report_late(batch: Batch, keys: Collection[int], *, using: str) -> int:
    """Ask for a look at linked rows whose lease was lost while something was sent for them."""
    if not keys:
        return 0
    return (
        CustomerLink.objects.using(using)
        .filter(pk__in=keys)
        .exclude(lease_token=batch.token)
        .exclude(customer=None)
        # With a new version, or the outcome of whoever holds the row now would wipe the report away.
        .update(verify=True, desired_version=F("desired_version") + 1, next_attempt_at=clock.DatabaseNow())
    )


_TABLE = CustomerLink._meta.db_table
_INTENT_COLUMNS = ("state", "intent", "intent_email", "intent_version", "posts", "settle_until")
_SETTLED_COLUMNS = (
    *_INTENT_COLUMNS,
    "customer",
    "work_class",
    "next_attempt_at",
    "synced_version",
    "fingerprint",
    "verify",
    "lease_token",
    "lease_until",
    "attempts",
    "crashes",
    "last_error_code",
    "last_error",
    "conflict_kind",
    "conflict_ids",
    "linked_at",
    "synced_at",
)


def _locked(rows: QuerySet[CustomerLink], *, using: str) -> QuerySet[CustomerLink]:
    """Lock what is free and pass over the rest: the engine never waits for a lock while it holds another."""
    if connections[using].features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True)
    return rows


def _hold(rows: QuerySet[CustomerLink], keys: Collection[int], *, using: str) -> dict[int, tuple[int, bool]]:
    """Lock those of `keys` that are free and among `rows`; return what may have been asked for meanwhile."""
    free = _locked(rows.filter(pk__in=keys), using=using)
    return {
        pk: (version, verify) for pk, version, verify in free.values_list("pk", "desired_version", "verify")
    }


def _write(rows: Sequence[CustomerLink], columns: Sequence[str], *, token: str, using: str) -> None:
    """Write the columns of many rows in one fenced `executemany`, which costs a fortieth of `bulk_update`."""
    if not rows:
        return
    connection = connections[using]
    fields = [column for column in CustomerLink._meta.concrete_fields if column.name in columns]
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(str(column.column))} = %s" for column in fields)
    sql = f"UPDATE {quote(_TABLE)} SET {assignments} WHERE id = %s AND lease_token = %s"  # noqa: S608 — our names
    values = [
        [column.get_db_prep_save(getattr(row, column.attname), connection) for column in fields]
        + [row.pk, token]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(sql, values)
