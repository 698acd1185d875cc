"""Examining: what a doctor wants to know. One harmless question each; nothing is changed."""

from typing import NamedTuple

from django.db import connections
from django.utils import timezone

from kohort_sync import clock, drainer, links, tasks
from kohort_sync.models import Account
from kohort_sync.services.finding import account_of


class Probe(NamedTuple):
    """Say what went wrong when KohortPay was asked: a code and a sentence, both empty where nothing did."""

    code: str = ""
    said: str = ""


class Database(NamedTuple):
    """Describe what the rows stand on; `transaction_mode` is SQLite's, and empty elsewhere."""

    vendor: str
    transaction_mode: str
    skips_locked_rows: bool


def probe(alias: str) -> Probe:
    """Ask KohortPay something that shows nobody's data. Takes as long as `DEADLINE` at worst.

    Raises UnknownAccount, and ValueError where the key or the address cannot be used.
    """
    account, using = account_of(alias), links.database()
    row = Account.objects.using(using).filter(pk=account.key).first() or Account(key=account.key)
    failure = drainer.probe(account, row, using=using)
    return Probe() if failure is None else Probe(failure.code, str(failure))


def is_draining(alias: str) -> bool:
    """Say whether some process sends for this account just now."""
    using = links.database()
    rows = Account.objects.using(using).filter(pk=account_of(alias).key)
    return rows.filter(drainer_until__gt=clock.now(using=using)).exists()


def clock_difference() -> float:
    """Return by how many seconds the database's clock is ahead of this machine's; negative if behind."""
    return (clock.now(using=links.database()) - timezone.now()).total_seconds()


def database() -> Database:
    """Describe the database of the rows, as far as the engine depends on it."""
    connection = connections[links.database()]
    options = connection.settings_dict.get("OPTIONS") or {}
    is_sqlite = connection.vendor == "sqlite"
    return Database(
        vendor=connection.vendor,
        transaction_mode=str(options.get("transaction_mode") or "DEFERRED").upper() if is_sqlite else "",
        skips_locked_rows=connection.features.has_select_for_update_skip_locked,
    )


def broker_fault() -> str:
    """Say why no worker can be woken, in few words without an address; empty where one can, or none is to."""
    return tasks.broker_fault()
