"""The sweep: finds users who came or went without a signal, and says that somebody has looked."""

from collections.abc import Iterator
from typing import Any

from kohort_sync import clock, conf, gate, links, queries
from kohort_sync.models import Account, WorkClass

CHUNK = 1000
"""Users per statement and transaction."""


def sweep(alias: str) -> int:
    """Make rows for users without one where the account is covered; return how many. Calls no service.

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
    Account.objects.using(using).filter(pk=account.key).update(last_sweep_at=clock.now(using=using))
    return found


def forget_gone(account: str, *, using: str) -> int:
    """Note for links whose user was deleted without a signal that the user is gone; return how many."""
    found = 0
    while keys := list(queries.links_without_user(account, using=using).values_list("pk", flat=True)[:CHUNK]):
        forgotten = links.forget_users_of(keys, using=using)
        if not forgotten:
            break
        found += forgotten
    return found


def record_missing(account: str, *, limit: int | None, using: str) -> Iterator[int]:
    """Make rows for users without one, chunk by chunk in the order of their keys; yield each chunk's size."""
    left = limit
    last: Any = None
    while left is None or left > 0:
        users = queries.users_without_link(account, using=using).order_by("pk")
        if last is not None:
            users = users.filter(pk__gt=last)
        chunk = list(users.only("pk")[: CHUNK if left is None else min(CHUNK, left)])
        if not chunk:
            return
        last = chunk[-1].pk
        with links.writing(using=using):
            links.record(chunk, accounts=[account], using=using, work_class=WorkClass.BULK)
        left = None if left is None else left - len(chunk)
        yield len(chunk)
