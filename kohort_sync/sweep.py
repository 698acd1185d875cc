"""The sweep: finds what no signal announced, and says that somebody has looked. It calls no service."""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet

from kohort_sync import clock, conf, context, gate, links, mapping, mirror, queries, redaction, retention
from kohort_sync.client.records import CustomerData
from kohort_sync.models import Account, CustomerLink, State, WorkClass

CHUNK = 1000
"""Users per statement and transaction."""

_DAY = 24 * 3600.0
_VERIFIED_EVERY = 30 * _DAY
_LEAST_AT_ONCE = 50
_MOST_AT_ONCE = 10 * CHUNK
# What may have changed behind the signals' back. The others are due by themselves, or wait for a person.
_COMPARED = (State.LINKED, State.SKIPPED, State.REJECTED)


@redaction.frames_emptied()
def sweep(alias: str) -> int:
    """Find users who came, went or changed without a signal; return how many new ones. Calls no service.

    First the keys of users who are gone are set free, so that a key that is used again meets nobody's row.
    """
    account = conf.accounts().get(alias)
    if account is None:
        return 0
    using = links.database()
    row = gate.account_row(account.key, using=using)
    forget_gone(account.key, using=using)
    found = 0
    if row.covered_at is not None:
        found = sum(record_missing(account.key, limit=None, using=using))
    seconds = _since_last_sweep(row, using=using)
    verify_oldest(account.key, seconds=seconds, using=using)
    retention.prune(account.key, limit=CHUNK, using=using)
    # Last: it calls functions of the host, and one that kills this process must keep nothing else from being
    # done, nor make it seem that nobody sweeps.
    now = clock.now(using=using)
    Account.objects.using(using).filter(pk=account.key).update(last_sweep_at=now)
    if row.sweep_position or row.last_sweep_at is None or row.last_sweep_at.date() != now.date():
        compare_slice(row, seconds=seconds, using=using)
    return found


def forget_gone(account: str, *, using: str) -> int:
    """Note for links whose user was deleted without a signal that the user is gone; return how many."""
    found = 0
    while keys := queries.links_without_user(account, limit=CHUNK, using=using):
        forgotten = links.forget_users_of(keys, erase=conf.erases_deleted_users(), using=using)
        if not forgotten:
            break
        found += forgotten
    return found


def record_missing(account: str, *, limit: int | None, using: str) -> Iterator[int]:
    """Make rows for users without one, range by range in the order of their keys; yield how many in each."""
    left = limit
    for users in missing(account, size=links.AT_ONCE, using=using):
        if left == 0:
            return
        with links.writing(using=using):
            recorded = links.record_stored(
                users[:left], account=account, using=using, work_class=WorkClass.BULK
            )
        left = None if left is None else left - recorded
        yield recorded


def missing(account: str, *, size: int, using: str) -> Iterator[QuerySet[Any]]:
    """Yield queries for the users without a link, each about a range of so many users.

    The ranges end where a key does: keys are no numbers to count with, and have gaps.
    """
    keys = get_user_model()._base_manager.using(using).order_by("pk").values_list("pk", flat=True)
    without = queries.users_without_link(account, using=using).order_by("pk").values_list("pk", flat=True)
    rest = keys.filter(pk__gte=first) if (first := without.first()) is not None else keys.none()
    while range_ := list(rest[:size]):
        between = (range_[0], range_[-1])
        yield queries.users_without_link(account, between=between, using=using).order_by("pk")
        rest = keys.filter(pk__gt=range_[-1])


def _since_last_sweep(row: Account, *, using: str) -> float:
    """Return how many seconds of work this sweep has to do: those since the last one, at most a day."""
    if row.last_sweep_at is None:
        return conf.sweep_seconds()
    return min(_DAY, (clock.now(using=using) - row.last_sweep_at).total_seconds())


def _share(number: int, *, seconds: float, of: float) -> int:
    """Return how many of `number` are the turn of so many seconds, if all have to be seen in `of` seconds."""
    return max(_LEAST_AT_ONCE, min(_MOST_AT_ONCE, math.ceil(number * seconds / of)))


def compare_slice(row: Account, *, seconds: float, using: str) -> int:
    """Compare the next slice of links with their users' present data; a round through all begins once a day.

    Returns how many are due because of it. The position is written down first: a host's function that kills
    this process is not met again before the next round.
    """
    rows = CustomerLink.objects.using(using).filter(account=row.key, user_pk__isnull=False)
    # In half a day, so that a round is over before the next begins.
    size = _share(rows.count(), seconds=seconds, of=_DAY / 2)
    slice_ = list(rows.filter(pk__gt=row.sweep_position).order_by("pk")[:size])
    position = slice_[-1].pk if len(slice_) == size else 0
    Account.objects.using(using).filter(pk=row.key).update(sweep_position=position)
    resting = [link for link in slice_ if link.state in _COMPARED and link.next_attempt_at is None]
    users = get_user_model()._base_manager.using(using).in_bulk([link.user_id for link in resting])
    changed = [link.pk for link in resting if _has_changed(link, users.get(link.user_id))]
    return links.mark_found(changed, using=using)


def _has_changed(link: CustomerLink, user: Any) -> bool:
    """Say whether the drainer would do something for a link that rests."""
    if user is None:
        return False  # gone meanwhile; the next sweep says so
    try:
        with context.paused():
            wanted = mapping.wanted(user)
            data = mapping.customer_data(user) if wanted.yes else None
    except mapping.Unsendable as unsendable:
        return link.last_error_code != unsendable.code
    except (Exception, SystemExit):  # noqa: BLE001 — the drainer tries it again, says so and counts it
        return True
    return link.last_error_code != wanted.code if data is None else _differs(link, data)


def _differs(link: CustomerLink, data: CustomerData) -> bool:
    salt = link.client_reference_id
    if link.refused:
        return link.refused != mapping.digest(data, salt=salt)
    if link.state == State.LINKED and not link.last_error_code:
        return bool(mapping.changes(data, confirmed=link.fingerprint, salt=salt))
    return True  # what stood in the way is over


def verify_oldest(account: str, *, seconds: float, using: str) -> int:
    """Ask for a comparison of the customers that were not seen for thirty days, a slice of them at a time."""
    before = clock.now(using=using) - timedelta(seconds=_VERIFIED_EVERY)
    linked = CustomerLink.objects.using(using).filter(account=account, state=State.LINKED).count()
    # Twice as many as their turn would be, so that those who came together in a backfill catch up.
    size = _share(2 * linked, seconds=seconds, of=_VERIFIED_EVERY)
    keys = mirror.unseen_longest(account=account, before=before, limit=size, using=using)
    return links.verify_in_turn(keys, using=using) if keys else 0
