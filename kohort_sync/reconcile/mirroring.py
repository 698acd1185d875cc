"""Mirroring: take over what pages showed; nothing older than what is known, nothing about who is gone."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db.models import F

from kohort_sync import mirror
from kohort_sync.bulk import AnyOf
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.models import Customer, State


class Flip(NamedTuple):
    """Say that a customer of a user was seen to be blocked, or no longer."""

    link: int
    blocked: bool


def take_over(
    remotes: Collection[RemoteCustomer], *, account: str, livemode: bool, now: datetime, using: str
) -> list[Flip]:
    """Write customers into the mirror; return whose block has changed. Needs a transaction.

    What a push has written since the page was read stays. The data of people who are erased, or gone from the
    site, does not come back.
    """
    latest = {remote.kohort_id: remote for remote in remotes}
    rows = Customer.objects.using(using).filter(AnyOf(F("kohort_id"), list(latest)), account=account)
    known = rows.values_list("kohort_id", "updated_at", "is_blocked", "link", "link__state", "link__user_pk")
    flips, seen = [], []
    for kohort_id, updated_at, was_blocked, link, state, user_pk in known:
        remote = latest[kohort_id]
        is_nobodys = bool(link) and (user_pk is None or state in (State.ERASED, State.ERASING))
        told_at = mirror.stored(remote.updated_at)
        if is_nobodys or (updated_at and told_at and updated_at > told_at):
            seen.append(kohort_id)
            del latest[kohort_id]
        elif link and remote.blocked != was_blocked:
            flips.append(Flip(link, remote.blocked))
    mirror.write(latest.values(), account=account, livemode=livemode, now=now, using=using)
    rows.filter(AnyOf(F("kohort_id"), seen)).update(mirrored_at=now)
    return flips
