"""The mirror: remote customers as rows, written from answers of the service alone."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from kohort_sync import bulk
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.models import Customer, CustomerLink, State

_CLIPPED = [
    (field.name, field.max_length)
    for field in Customer._meta.concrete_fields
    if field.max_length and field.name != "account"
]
_DEEPEST = 25


def write(
    remotes: Iterable[RemoteCustomer], *, account: str, livemode: bool, now: datetime, using: str
) -> dict[str, int]:
    """Insert or refresh mirror rows; return their keys by KohortPay id. The latest of equal ids wins."""
    latest = {remote.kohort_id: remote for remote in remotes}
    if not latest:
        return {}
    rows = [
        Customer(**_columns(latest[kohort_id], livemode=livemode), account=account, mirrored_at=now)
        # In one order everywhere, so that two writers cannot wait for each other in a circle.
        for kohort_id in sorted(latest)
    ]
    return bulk.upsert(rows, identity=("account", "kohort_id"), using=using)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Name the customer that has an address; it `is_ours` where one of our users is linked to it."""

    kohort_id: str
    is_ours: bool
    is_leaving: bool = False
    """Whether that user has changed, so that the address may be free soon."""


def holders(emails: Collection[str], *, account: str, using: str) -> dict[str, Holder]:
    """Map e-mail addresses to the mirrored customers that have them, byte for byte."""
    if not emails:
        return {}
    rows = Customer.objects.using(using).filter(account=account, email_address__in=emails)
    found = rows.values_list(
        "email_address", "kohort_id", "link", "link__desired_version", "link__synced_version"
    )
    return {
        email: Holder(kohort_id=kohort_id, is_ours=link is not None, is_leaving=wanted != confirmed)
        for email, kohort_id, link, wanted, confirmed in found
        # MariaDB compares without regard to case; the service does not.
        if email in emails
    }


def scrub(links: Collection[CustomerLink], *, using: str) -> int:
    """Take what is about a person out of the mirror rows of these links; return how many.

    Ids, mode and dates stay: they prove what was done.
    """
    rows = Customer.objects.using(using).filter(pk__in=[link.customer_id for link in links])
    return rows.update(**_NOTHING)


_NOTHING: dict[str, Any] = {
    "email_address": "",
    "first_name": None,
    "last_name": None,
    "phone_number": None,
    "address_id": None,
    "shipping_address_id": None,
    "locale": None,
    "metadata": None,
}


def unseen_longest(*, account: str, before: datetime, limit: int, using: str) -> list[int]:
    """Return the keys of links whose customer was not seen since `before`, the longest unseen first.

    Customers of users who are gone are not looked at any more.
    """
    rows = Customer.objects.using(using).filter(
        account=account,
        mirrored_at__lt=before,
        link__state=State.LINKED,
        link__user_pk__isnull=False,
        link__next_attempt_at=None,
    )
    return list(rows.order_by("mirrored_at").values_list("link", flat=True)[:limit])


def any_linked_id(account: str, *, using: str) -> str | None:
    """Return the KohortPay id of some customer that a user of ours is linked to, if there is one."""
    linked = Customer.objects.using(using).filter(account=account, link__isnull=False, deleted_at=None)
    return linked.order_by("-pk").values_list("kohort_id", flat=True).first()


def _columns(remote: RemoteCustomer, *, livemode: bool) -> dict[str, Any]:
    """Fit a remote customer into the columns: the mode is the key's where the answer does not say it."""
    values = dict(vars(remote))
    values["email_address"] = values["email_address"] or ""
    if values["livemode"] is None:
        values["livemode"] = livemode
    values["is_blocked"] = remote.blocked
    for name in ("created_at", "updated_at", "blocked_at", "deleted_at"):
        values[name] = stored(values[name])
    values["metadata"] = _shallow(values["metadata"])
    # The mirror is for people; what decides was compared before, uncut.
    return values | {name: values[name] and values[name][:longest] for name, longest in _CLIPPED}


def stored(moment: datetime | None) -> datetime | None:
    """Return a moment as a column holds it."""
    return timezone.make_naive(moment) if moment is not None and not settings.USE_TZ else moment


def _shallow(value: Any, depth: int = _DEEPEST) -> Any:
    """Cut metadata where it is nested deeper than MariaDB keeps it."""
    if isinstance(value, Mapping):
        return {key: _shallow(inner, depth - 1) for key, inner in value.items()} if depth else None
    if isinstance(value, list):
        return [_shallow(inner, depth - 1) for inner in value] if depth else None
    return value
