"""The sweep: finds users whom no signal announced, and says that somebody has looked."""

from collections.abc import Iterator
from typing import Any

from kohort_sync import clock, conf, gate, links, queries
from kohort_sync.models import Account, WorkClass

CHUNK = 1000
"""Users per statement and transaction."""


def sweep(alias: str) -> int:
    """Make rows for users without one where the account is covered; return how many. Calls no service."""
    account = conf.accounts().get(alias)
    if account is None:
        return 0
    using = links.database()
    row = gate.account_row(account.key, using=using)
    found = 0
    if row.covered_at is not None:
        found = sum(record_missing(account.key, limit=None, using=using))
    Account.objects.using(using).filter(pk=account.key).update(last_sweep_at=clock.now(using=using))
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
            links.record_all(chunk, accounts=[account], using=using, work_class=WorkClass.BULK)
        left = None if left is None else left - len(chunk)
        yield len(chunk)
