"""Claiming: lease rows that are due, and write down what is about to be sent for them."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import compress
from typing import Any

from django.db.models import Exists, F, Prefetch, Q, QuerySet, prefetch_related_objects

from kohort_sync import clock, conf, retry
from kohort_sync.bulk import AnyOf
from kohort_sync.links.rows import hold, locked, second_look, update_each, write
from kohort_sync.models import Account, Customer, CustomerLink, State, WorkClass
from kohort_sync.transactions import writing


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Hold claimed rows of one class. The token fences every later write of the batch."""

    account: str
    token: str
    links: tuple[CustomerLink, ...]
    claimed_at: datetime
    ends: float
    """When the lease ends, on this process's monotonic clock."""
    is_suspect: bool = False
    """Whether it is one row that may have killed the process that had it."""

    def has_time_for(self, seconds: float) -> bool:
        """Say whether the lease surely lasts that much longer."""
        return time.monotonic() + seconds < self.ends


def claim(
    *, account: str, limit: int, order: Sequence[WorkClass], using: str, beside: Batch | None = None
) -> Batch | None:
    """Lease up to `limit` due rows of the first class in `order` that has any, oldest first.

    Rows that somebody else has locked are passed over, so None may mean that all due rows are locked. A
    row whose last lease was lost is claimed alone: what killed that process may be this row.

    `beside` is a batch of this process that is under way still: it gets company by more of its own class
    alone, and not where other rows go first or one of the two has to be alone.
    """
    token = secrets.token_hex(16)
    started = time.monotonic()
    # A plain read first: a drainer with nothing to do must not take SQLite's write lock ten times a second.
    now, classes = _look(account, using=using)
    until = now + timedelta(seconds=conf.row_lease())
    due = _due(account, now, using=using)
    for work_class in (work_class for work_class in order if work_class in classes):
        if beside is not None and (beside.is_suspect or beside.links[0].work_class != work_class):
            return None
        rows = due.filter(work_class=work_class)
        with writing(using=using):
            first = locked(rows.order_by("next_attempt_at", "pk"), using=using)
            found = list(first.values_list("pk", "lease_token", "crashes")[:limit])
            if not found:
                continue
            oldest, held, crashes = found[0]
            suspect = _is_suspect(held, crashes)
            if suspect and beside is not None:
                return None
            keys = (
                [oldest]
                if suspect
                else [key for key, held, crashes in found if not _is_suspect(held, crashes)]
            )
            columns = _after_loss(rows.get(pk=oldest), until=until) if suspect else {}
            update_each(keys, using=using, lease_token=token, lease_until=until, **columns)
        ours = CustomerLink.objects.using(using).filter(AnyOf(F("pk"), keys), lease_token=token)
        taken = tuple(ours.order_by("next_attempt_at", "pk"))
        if taken:
            # Named, or a router would read them from a replica.
            customers = Prefetch("customer", Customer.objects.using(using))
            prefetch_related_objects(taken, customers)
            ends = started + conf.row_lease()
            return Batch(
                account=account, token=token, links=taken, claimed_at=now, ends=ends, is_suspect=suspect
            )
    return None


def any_due(*, account: str, using: str) -> bool:
    """Say whether anything could be claimed now."""
    return _due(account, clock.now(using=using), using=using).exists()


def _due(account: str, now: datetime | clock.DatabaseNow, *, using: str) -> QuerySet[CustomerLink]:
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    # Those in a state of a newer version, which runs beside this one during a deployment, are left to it.
    return CustomerLink.objects.using(using).filter(
        free, account=account, next_attempt_at__lte=now, state__in=State.values
    )


def _look(account: str, *, using: str) -> tuple[datetime, set[WorkClass]]:
    """Return the time and the classes that have anything due, or all where the account has no row yet.

    One look into the index for each; a list of what is due would read every row of a backfill.
    """
    due = _due(account, clock.DatabaseNow(), using=using)
    asked = [Exists(due.filter(work_class=work_class)) for work_class in WorkClass]
    seen = Account.objects.using(using).filter(pk=account).values_list(clock.DatabaseNow(), *asked).first()
    if seen is None:
        return clock.now(using=using), set(WorkClass)
    now, *known = seen
    return now, set(compress(WorkClass, known))


def _is_suspect(lease_token: str, crashes: int) -> bool:
    """Say whether the last lease of a row was lost."""
    return lease_token != "" or crashes > 0


def _after_loss(link: CustomerLink, *, until: datetime) -> dict[str, Any]:
    """Return what is written when a row is claimed whose last lease was lost.

    What was under way then may have arrived, so a linked row is compared first; and once more when nothing
    can be under way any longer. If this process dies too, the row waits, longer each time.
    """
    columns: dict[str, Any] = {
        "crashes": link.crashes + 1,
        "verify": True,
        "next_attempt_at": until + timedelta(seconds=retry.after_crash(crashes=link.crashes)),
    }
    return columns | second_look(link)


# Intending: what is about to be sent is written down first, so that a crash leaves a row that knows it.


@dataclass(frozen=True, kw_only=True)
class Intent:
    """Say what is about to be sent for a link."""

    link: CustomerLink
    operation: str
    version: int
    email: str | None = field(default=None, repr=False)


_INTENT_COLUMNS = (
    "state",
    "intent",
    "intent_email",
    "intent_version",
    "posts",
    "settle_until",
    "conflict_kind",
    "conflict_ids",
)


def intend(batch: Batch, intents: Sequence[Intent], *, using: str) -> set[int]:
    """Write intents down and return the keys of the links for which sending is now allowed.

    Missing are those whose lease is no longer ours or ends too soon, those that somebody else has locked,
    those that somebody wants erased meanwhile, and creates whose predecessor has not settled.
    """
    if not intents:
        return set()
    now = clock.now(using=using)
    lasts = timedelta(seconds=conf.deadline())
    settle = timedelta(seconds=conf.settle_window())
    ours = CustomerLink.objects.using(using).filter(lease_token=batch.token, lease_until__gt=now + lasts)
    with writing(using=using):
        held = hold(ours, [intent.link.pk for intent in intents], using=using)
        rows = []
        for intent in intents:
            link = intent.link
            if link.pk not in held:
                continue
            is_asked_anew = held[link.pk].erase_asked_at is not None and link.erase_asked_at is None
            has_not_settled = link.posts and link.settle_until is not None and link.settle_until > now
            if is_asked_anew or (intent.operation == "create" and has_not_settled):
                del held[link.pk]
                continue
            if intent.operation == "create":
                link.state = State.UNCERTAIN
                # Nobody decides about an address while an answer is awaited.
                link.conflict_kind, link.conflict_ids = "", []
                link.intent_email = intent.email
                link.posts += 1
                # Not before the lease has ended can this process no longer send: the window begins there.
                link.settle_until = batch.claimed_at + timedelta(seconds=conf.row_lease()) + settle
            link.intent, link.intent_version = intent.operation, intent.version
            rows.append(link)
        write(rows, _INTENT_COLUMNS, token=batch.token, using=using)
    return set(held)
