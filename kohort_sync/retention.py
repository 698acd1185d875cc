"""Retention: what is older than RETENTION_DAYS goes: history, runs, what is mirrored of deleted users."""

from datetime import timedelta
from typing import NamedTuple

from kohort_sync import clock, conf, links, mirror
from kohort_sync.models import CustomerLink, State, SyncAttempt, SyncRun


class Pruned(NamedTuple):
    """Count what went."""

    attempts: int
    customers: int
    runs: int


def prune(account: str, *, limit: int, using: str) -> Pruned:
    """Remove what is too old, at most `limit` rows of each kind; return how many went.

    Rows that still have something to say stay: a link is a promise, and is never removed.
    """
    before = clock.now(using=using) - timedelta(seconds=conf.retention_seconds())
    old = SyncAttempt.objects.using(using).filter(created_at__lt=before, link__account=account)
    # What proves an erasure, and who asked for it, stays with its tombstone.
    keys = list(old.exclude(link__state=State.ERASED).order_by("pk").values_list("pk", flat=True)[:limit])
    SyncAttempt.objects.using(using).filter(pk__in=keys).delete()
    gone = CustomerLink.objects.using(using).filter(
        account=account, user_gone_at__lt=before, customer__isnull=False, customer__email_address__gt=""
    )
    found = list(gone.order_by("pk")[:limit])
    mirror.scrub(found, using=using)
    links.forget_what_was_sent([link.pk for link in found], using=using)
    runs = SyncRun.objects.using(using).filter(account=account, finished_at__lt=before).order_by("pk")
    done = list(runs.values_list("pk", flat=True)[:limit])
    SyncRun.objects.using(using).filter(pk__in=done).delete()
    return Pruned(attempts=len(keys), customers=len(found), runs=len(done))
