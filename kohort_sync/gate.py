"""The gate and the drainer's lease: what all processes agree on about one account, in its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q

from kohort_sync import clock
from kohort_sync.identity import Identity
from kohort_sync.models import Account
from kohort_sync.transactions import writing

DRAINER_LEASE = 15.0
"""Seconds that an account waits for another drainer when its own was killed; it renews it as it works."""


@dataclass(frozen=True)
class Gate:
    """Say whether anything may be sent now, and whether a harmless probe has to go first.

    `opens_in` is in seconds; None where nothing but a person opens it.
    """

    open: bool
    probe_first: bool = False
    opens_in: float | None = None


def account_row(key: str, *, using: str) -> Account:
    """Return the row of an account; the first look makes it."""
    return Account.objects.using(using).get_or_create(key=key)[0]


def read(key: str, *, using: str) -> Gate:
    """Look at the gate of an account."""
    row = account_row(key, using=using)
    if row.gate == Account.Gate.OPEN:
        return Gate(open=True)
    if row.gate_until is None:
        return Gate(open=False)
    opens_in = (row.gate_until - clock.now(using=using)).total_seconds()
    return Gate(open=opens_in <= 0, probe_first=opens_in <= 0, opens_in=opens_in)


def close(key: str, *, reason: str, seconds: float, using: str) -> datetime:
    """Send nothing for this account for a while. A longer closure that stands already is kept."""
    until = clock.now(using=using) + timedelta(seconds=seconds)
    with writing(using=using):
        rows = Account.objects.using(using).filter(pk=key)
        rows.filter(Q(gate_until=None) | Q(gate_until__lt=until)).update(
            gate=Account.Gate.CLOSED,
            gate_reason=reason,
            gate_until=until,
            gate_closures=F("gate_closures") + 1,
        )
    return until


def close_for_a_person(key: str, *, reason: str, using: str) -> None:
    """Send nothing for this account until somebody has acted."""
    with writing(using=using):
        Account.objects.using(using).filter(pk=key).update(
            gate=Account.Gate.CLOSED, gate_reason=reason, gate_until=None
        )


def reopen(key: str, *, using: str) -> None:
    """Send again: the service answered a probe. Only a success in earnest forgets how often it was closed."""
    with writing(using=using):
        Account.objects.using(using).filter(pk=key, gate=Account.Gate.CLOSED).update(
            gate=Account.Gate.OPEN, gate_reason="", gate_until=None
        )


def note_success(key: str, *, at: datetime, using: str) -> None:
    """Note that something was accepted: the next failure or closure is a first one again."""
    with writing(using=using):
        Account.objects.using(using).filter(pk=key).update(failures=0, gate_closures=0, last_success_at=at)


def note_failures(key: str, *, failures: int, using: str) -> None:
    """Remember how often KohortPay has failed in a row, over all drains and processes."""
    with writing(using=using):
        Account.objects.using(using).filter(pk=key).exclude(failures=failures).update(failures=failures)


def note_pace(key: str, *, before: Mapping[str, Any], now: Mapping[str, Any], using: str) -> None:
    """Remember the pace that was learned, where it has become another."""
    if now != before:
        with writing(using=using):
            Account.objects.using(using).filter(pk=key).update(pace=now)


def note_organization(
    key: str, *, organization_id: str, key_fingerprint: str, database: Identity, using: str
) -> None:
    """Remember whose account this is, under which key and from where: later ones are compared with them."""
    with writing(using=using):
        Account.objects.using(using).filter(pk=key).update(
            organization_id=organization_id, key_fingerprint=key_fingerprint, **_columns(database)
        )


def note_database(key: str, database: Identity, *, using: str) -> None:
    """Remember from which database the account is used."""
    with writing(using=using):
        Account.objects.using(using).filter(pk=key).update(**_columns(database))


def _columns(database: Identity) -> dict[str, str]:
    return {"database_address": database.address, "database_instance": database.instance}


def take_drainer_lease(key: str, *, token: str, using: str) -> bool:
    """Become the one drainer of an account, or stay it. False where another process is."""
    now = clock.now(using=using)
    free = Q(drainer_until=None) | Q(drainer_until__lte=now) | Q(drainer_token=token)
    with writing(using=using):
        return bool(
            Account.objects.using(using)
            .filter(free, pk=key)
            .update(drainer_token=token, drainer_until=now + timedelta(seconds=DRAINER_LEASE))
        )


def give_drainer_lease_back(key: str, *, token: str, using: str) -> None:
    """Let another process drain."""
    with writing(using=using):
        Account.objects.using(using).filter(pk=key, drainer_token=token).update(
            drainer_token="", drainer_until=None
        )
