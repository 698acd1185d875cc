"""Queries: what people and programs ask about the state of things. They read and change nothing."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, TypedDict

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Count, Exists, Min, Model, OuterRef, QuerySet

from kohort_sync import clock, conf, mapping
from kohort_sync.models import Account, CustomerLink, State


class AccountStatus(TypedDict):
    """Describe one account as `status --json` prints it. Times in ISO 8601, ages in seconds."""

    account: str
    livemode: bool
    covered: bool
    gate: str
    reason: str
    gate_until: str | None
    states: dict[str, int]
    users_without_link: int
    due: int
    oldest_due_seconds: float | None
    last_sweep_at: str | None
    sweep_is_late: bool
    last_success_at: str | None
    failing: int
    pace: dict[str, Any]


def link_of(user: AbstractBaseUser, *, alias: str = "default") -> CustomerLink | None:
    """Return the link of a user in a configured account, with its customer; None where there is none."""
    account = conf.accounts().get(alias)
    if account is None or user.pk is None:  # an anonymous visitor has no key either
        return None
    rows = CustomerLink.objects.filter(account=account.key, user_pk=mapping.key_of(user))
    return rows.select_related("customer").first()


def user_key(user: AbstractBaseUser) -> str:
    """Return what `user_pk` of a user's links holds."""
    return mapping.key_of(user)


def export(user: AbstractBaseUser, *, using: str) -> dict[str, Any]:
    """Return every link of a user with its mirror row and its history, as JSON has it."""
    rows = CustomerLink.objects.using(using).filter(user_pk=mapping.key_of(user)).select_related("customer")
    return {"user": mapping.key_of(user), "links": [_exported(link) for link in rows.order_by("account")]}


def _exported(link: CustomerLink) -> dict[str, Any]:
    return {
        **_plain(link, leave_out=("user", "customer", "lease_token", "lease_until")),
        "reason": str(link.reason),
        "customer": _plain(link.customer) if link.customer else None,
        "history": [_plain(attempt, leave_out=("link",)) for attempt in link.history.order_by("pk")],
    }


def _plain(row: Model, *, leave_out: Collection[str] = ()) -> dict[str, Any]:
    names = [field.name for field in row._meta.concrete_fields if field.name not in leave_out]
    values = {name: getattr(row, name) for name in names}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


class Proof(TypedDict):
    """Describe an erasure: what was asked for when, what was done, and what is left at KohortPay."""

    account: str
    client_reference_id: str
    kohort_id: str
    state: str
    asked_at: str | None
    asked_by: str
    erased_at: str | None
    result: str
    explanation: str


def proof(link: CustomerLink) -> Proof:
    """Return the record that proves an erasure, or how far it has got. No personal data."""
    asked = link.history.filter(operation="erase").order_by("pk").first()
    return Proof(
        account=link.account,
        client_reference_id=link.client_reference_id,
        kohort_id=link.customer.kohort_id if link.customer else "",
        state=link.state,
        asked_at=link.erase_asked_at.isoformat() if link.erase_asked_at else None,
        asked_by=asked.actor or asked.trigger if asked else "deletion of the user",
        erased_at=link.erased_at.isoformat() if link.erased_at else None,
        result=link.last_error_code,
        explanation=str(link.reason),
    )


def users_without_link(account: str, *, using: str, between: tuple[Any, Any] | None = None) -> QuerySet[Any]:
    """Return the users for whom this account has no row, past any manager of the host's that hides some.

    `between` takes those from one key to another alone, without a look at any other link.
    """
    users = get_user_model()._base_manager.using(using)
    rows = CustomerLink.objects.filter(account=account, user=OuterRef("pk"))
    if between is not None:
        first, last = between
        users = users.filter(pk__gte=first, pk__lte=last)
        rows = rows.filter(user__gte=first, user__lte=last)
    return users.exclude(Exists(rows))


def links_without_user(account: str, *, limit: int, using: str) -> list[int]:
    """Return keys of links that still name a user who is gone, as after a raw deletion.

    Two questions that an index answers each; a row of each of a million links takes a second.
    """
    rows = CustomerLink.objects.using(using).filter(account=account)
    users = get_user_model()._base_manager.using(using).filter(pk=OuterRef("user"))
    gone = rows.filter(~Exists(users), user__isnull=False).values_list("user", flat=True)[:limit]
    named = rows.filter(user__in=list(gone)).values_list("pk", flat=True)
    # Where the deletion cleared the foreign key without telling us.
    cleared = rows.filter(user=None, user_pk__isnull=False).values_list("pk", flat=True)[:limit]
    return [*named, *cleared]


def status(account: conf.AccountSettings, *, using: str) -> AccountStatus:
    """Describe an account: how many links stand in which state, what is due, and who looked last."""
    row = _row_of(account.key, using=using)
    now = clock.now(using=using)
    rows = CustomerLink.objects.using(using).filter(account=account.key)
    states = dict(rows.values_list("state").annotate(number=Count("*")).order_by("state"))
    due = rows.filter(next_attempt_at__lte=now).aggregate(count=Count("*"), oldest=Min("next_attempt_at"))
    is_open = row.gate == Account.Gate.OPEN
    return AccountStatus(
        account=account.key,
        livemode=account.livemode,
        covered=row.covered_at is not None,
        gate=str(row.gate),
        reason="" if is_open else row.gate_reason,
        gate_until=row.gate_until.isoformat() if row.gate_until and not is_open else None,
        states=states,
        users_without_link=_count_merged(users_without_link(account.key, using=using)),
        due=due["count"],
        oldest_due_seconds=(now - due["oldest"]).total_seconds() if due["oldest"] else None,
        last_sweep_at=row.last_sweep_at.isoformat() if row.last_sweep_at else None,
        sweep_is_late=_is_swept_late(row, now=now),
        last_success_at=row.last_success_at.isoformat() if row.last_success_at else None,
        failing=rows.filter(state=State.LINKED, refused__gt="").count(),
        pace=row.pace,
    )


def _count_merged(rows: QuerySet[Any]) -> int:
    """Count in the order of the keys: PostgreSQL then merges two indexes, and hashes no million."""
    return rows.order_by("pk")[:_COUNTED].count()


# A limit that nobody reaches; without one Django would leave the order out.
_COUNTED = 10**9


def swept_late(*, using: str) -> list[Account]:
    """Return the configured accounts that nothing has swept for so long that beat or cron must be broken."""
    now = clock.now(using=using)
    rows = [_row_of(account.key, using=using) for account in conf.accounts().values()]
    return [row for row in rows if _is_swept_late(row, now=now)]


def _row_of(key: str, *, using: str) -> Account:
    """Return what is known of an account; where nobody has drained or swept yet, since when there is work."""
    row = Account.objects.using(using).filter(pk=key).first()
    if row is None:
        first = CustomerLink.objects.using(using).filter(account=key).order_by("pk").first()
        row = Account(key=key, **({"created_at": first.created_at} if first else {}))
    return row


def _is_swept_late(row: Account, *, now: datetime) -> bool:
    since = row.last_sweep_at or row.created_at
    return bool(since) and now - since > timedelta(seconds=conf.late_sweep_seconds())
