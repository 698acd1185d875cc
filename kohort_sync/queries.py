"""Queries: what people and programs ask about the state of things. They read and change nothing."""

from typing import Any, TypedDict

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Count, Exists, Min, OuterRef, QuerySet

from kohort_sync import clock, conf, mapping
from kohort_sync.models import Account, CustomerLink


class AccountStatus(TypedDict):
    """Describe one account as `status --json` prints it. Times in ISO 8601, ages in seconds."""

    account: str
    livemode: bool
    covered: bool
    gate: str
    reason: str
    states: dict[str, int]
    users_without_link: int
    due: int
    oldest_due_seconds: float | None
    last_sweep_at: str | None
    pace: dict[str, Any]


def link_of(user: AbstractBaseUser, *, alias: str = "default") -> CustomerLink | None:
    """Return the link of a user in a configured account, with its customer; None where there is none."""
    account = conf.accounts().get(alias)
    if account is None or user.pk is None:  # an anonymous visitor has no key either
        return None
    rows = CustomerLink.objects.filter(account=account.key, user_pk=mapping.key_of(user))
    return rows.select_related("customer").first()


def users_without_link(account: str, *, using: str) -> QuerySet[Any]:
    """Return the users for whom this account has no row, past any manager of the host's that hides some."""
    has_link = CustomerLink.objects.filter(account=account, user=OuterRef("pk"))
    return get_user_model()._base_manager.using(using).exclude(Exists(has_link))


def links_without_user(account: str, *, using: str) -> QuerySet[CustomerLink]:
    """Return the links that still carry the key of a user who is gone, as after a raw deletion."""
    users = get_user_model()._base_manager.using(using).filter(pk=OuterRef("user"))
    rows = CustomerLink.objects.using(using).filter(account=account, user_pk__isnull=False)
    return rows.filter(~Exists(users))


def status(account: conf.AccountSettings, *, using: str) -> AccountStatus:
    """Describe an account: how many links stand in which state, what is due, and who looked last."""
    row = Account.objects.using(using).filter(pk=account.key).first() or Account(key=account.key)
    now = clock.now(using=using)
    rows = CustomerLink.objects.using(using).filter(account=account.key)
    states = dict(rows.values_list("state").annotate(Count("pk")).order_by("state"))
    due = rows.filter(next_attempt_at__lte=now).aggregate(count=Count("pk"), oldest=Min("next_attempt_at"))
    is_open = row.gate == Account.Gate.OPEN
    return AccountStatus(
        account=account.key,
        livemode=account.livemode,
        covered=row.covered_at is not None,
        gate=str(row.gate),
        reason="" if is_open else row.gate_reason,
        states=states,
        users_without_link=users_without_link(account.key, using=using).count(),
        due=due["count"],
        oldest_due_seconds=(now - due["oldest"]).total_seconds() if due["oldest"] else None,
        last_sweep_at=row.last_sweep_at.isoformat() if row.last_sweep_at else None,
        pace=row.pace,
    )
