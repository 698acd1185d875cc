"""Claiming: lease rows that are due, and write down what is about to be sent for them."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from kohort_sync import clock, conf, retry
from kohort_sync.links.rows import hold, locked, second_look, write
from kohort_sync.models import CustomerLink, State, WorkClass
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
            first = locked(rows.only(*_LOOKED_AT).order_by("next_attempt_at", "pk"), using=using)
            found = list(first[:limit])
            if not found:
                continue
            suspect = _is_suspect(found[0])
            keys = [found[0].pk] if suspect else [link.pk for link in found if not _is_suspect(link)]
            columns = _after_loss(found[0], until=until) if suspect else {}
            # By their keys alone: InnoDB would wait for rows that it passes when it looks for due ones.
            CustomerLink.objects.using(using).filter(pk__in=keys).update(
                lease_token=token, lease_until=until, **columns
            )
        ours = CustomerLink.objects.using(using).filter(pk__in=keys, lease_token=token)
        taken = tuple(ours.select_related("customer").order_by("next_attempt_at", "pk"))
        if taken:
            ends = started + conf.row_lease()
            return Batch(account=account, token=token, links=taken, claimed_at=now, ends=ends)
    return None


_LOOKED_AT = ("lease_token", "lease_until", "crashes", "intent", "customer_id", "look_again_at")


def any_due(*, account: str, using: str) -> bool:
    """Say whether anything could be claimed now."""
    return _due(account, clock.now(using=using), using=using).exists()


def _due(account: str, now: datetime, *, using: str) -> QuerySet[CustomerLink]:
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    return CustomerLink.objects.using(using).filter(free, account=account, next_attempt_at__lte=now)


def _is_suspect(link: CustomerLink) -> bool:
    return link.lease_token != "" or link.crashes > 0


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
    email: str | None = None


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
