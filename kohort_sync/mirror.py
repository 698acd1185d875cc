"""The mirror: remote customers as rows, written from answers of the service alone."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import connections
from django.utils import timezone

from kohort_sync import clock
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.models import Customer

_WRITTEN = [field.name for field in Customer._meta.concrete_fields if field.name != "id"]
_IDENTITY = ["account", "kohort_id"]
_ROWS_AT_ONCE = 1000
_LONGEST = {field.name: field.max_length for field in Customer._meta.concrete_fields}
_DEEPEST = 25


def write(remotes: Iterable[RemoteCustomer], *, account: str, livemode: bool, using: str) -> dict[str, int]:
    """Insert or refresh mirror rows; return their keys by KohortPay id. The latest of equal ids wins."""
    latest = {remote.kohort_id: remote for remote in remotes}
    if not latest:
        return {}
    now = clock.now(using=using)
    rows = [
        Customer(**_columns(latest[kohort_id], livemode=livemode), account=account, mirrored_at=now)
        # In one order everywhere, so that two writers cannot wait for each other in a circle.
        for kohort_id in sorted(latest)
    ]
    by_target: dict[str, Any] = {}
    if connections[using].features.supports_update_conflicts_with_target:
        by_target["unique_fields"] = _IDENTITY
    Customer.objects.using(using).bulk_create(
        rows,
        batch_size=_ROWS_AT_ONCE,
        update_conflicts=True,
        update_fields=[name for name in _WRITTEN if name not in _IDENTITY],
        **by_target,
    )
    return dict(
        Customer.objects.using(using)
        .filter(account=account, kohort_id__in=list(latest))
        .values_list("kohort_id", "pk")
    )


def holders(emails: Collection[str], *, account: str, using: str) -> dict[str, str]:
    """Map e-mail addresses to the KohortPay ids of the mirrored customers that have them, byte for byte."""
    if not emails:
        return {}
    rows = Customer.objects.using(using).filter(account=account, email_address__in=emails)
    # MariaDB compares without regard to case; the service does not.
    return {
        email: kohort_id
        for email, kohort_id in rows.values_list("email_address", "kohort_id")
        if email in emails
    }


def any_linked_id(account: str, *, using: str) -> str | None:
    """Return the KohortPay id of some customer that a user of ours is linked to, if there is one."""
    linked = Customer.objects.using(using).filter(account=account, link__isnull=False, deleted_at=None)
    return linked.order_by("-pk").values_list("kohort_id", flat=True).first()


def _columns(remote: RemoteCustomer, *, livemode: bool) -> dict[str, Any]:
    """Fit a remote customer into the columns: the mode is the key's where the answer does not say it."""
    values = asdict(remote)
    values["email_address"] = values["email_address"] or ""
    if values["livemode"] is None:
        values["livemode"] = livemode
    values["is_blocked"] = bool(values["is_blocked"] or values["blocked_at"])
    for name in ("created_at", "updated_at", "blocked_at", "deleted_at"):
        if values[name] is not None and not settings.USE_TZ:
            values[name] = timezone.make_naive(values[name])
    values["metadata"] = _shallow(values["metadata"])
    return {name: _clipped(name, value) for name, value in values.items()}


def _clipped(name: str, value: Any) -> Any:
    """Cut a text to its column. The mirror is for people; what decides was compared before, uncut."""
    longest = _LONGEST.get(name)
    return value[:longest] if longest is not None and isinstance(value, str) else value


def _shallow(value: Any, depth: int = _DEEPEST) -> Any:
    """Cut metadata where it is nested deeper than MariaDB keeps it."""
    if isinstance(value, Mapping):
        return {key: _shallow(inner, depth - 1) for key, inner in value.items()} if depth else None
    if isinstance(value, list):
        return [_shallow(inner, depth - 1) for inner in value] if depth else None
    return value
