"""Comparing: how users and their mirrored customers differ, as data. What follows is decided elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, QuerySet

from kohort_sync import conf, context, mapping
from kohort_sync.client.records import FIELDS
from kohort_sync.models import Customer, CustomerLink, State

KINDS = (
    "equal",
    "drifted",
    "blocked",
    "deleted",
    "missing",
    "claimed_twice",
    "unknown_ours",
    "unknown_other",
    "stranger",
)
"""The kinds of findings, in the order in which they are told."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Say how one user or one customer stands. `fields` are the documented names of those that differ."""

    kind: str
    kohort_id: str
    link: int | None = None
    user: str = ""
    fields: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept: names and ids, and nothing about the person."""
        return {
            "kind": self.kind,
            "kohort_id": self.kohort_id,
            "link": self.link,
            "user": self.user,
            "fields": list(self.fields),
        }


def next_links(
    account: str, *, after: int, limit: int, seen_since: datetime, complete: bool, using: str
) -> list[CustomerLink]:
    """Return the linked users to compare after one; only those who were seen, where not all were read."""
    rows = CustomerLink.objects.using(using).filter(account=account, state=State.LINKED, pk__gt=after)
    if not complete:
        rows = rows.filter(customer__mirrored_at__gte=seen_since)
    return list(rows.select_related("customer").order_by("pk")[:limit])


def compare(links: Sequence[CustomerLink], *, seen_since: datetime, using: str) -> list[Finding]:
    """Compare linked users with their customers; who was not seen is missing. Calls the host's functions."""
    users = get_user_model()._base_manager.using(using).in_bulk([link.user_id for link in links])
    return [
        finding for link in links for finding in _of(link, users.get(link.user_id), seen_since=seen_since)
    ]


def _of(link: CustomerLink, user: Any, *, seen_since: datetime) -> Iterator[Finding]:
    customer = link.customer
    assert customer is not None  # noqa: S101 — a constraint says so
    finding = partial(Finding, kohort_id=customer.kohort_id, link=link.pk, user=link.user_pk or "")
    if customer.mirrored_at < seen_since:
        yield finding(kind="missing")
        return
    if customer.deleted_at is not None:
        yield finding(kind="deleted")
        return
    if customer.is_blocked:
        yield finding(kind="blocked")
    differing = _drift(link, customer, user)
    if differing:
        yield finding(kind="drifted", fields=differing)
    elif not customer.is_blocked:
        yield finding(kind="equal")


def _drift(link: CustomerLink, customer: Customer, user: Any) -> tuple[str, ...]:
    """Name the fields that differ from what would be sent; none where nothing would be sent."""
    if user is None or link.next_attempt_at is not None:
        return ()  # what is due is sent anyway
    if customer.updated_at and link.synced_at and customer.updated_at <= link.synced_at:
        return ()  # as it was left by us: to send the same again would change nothing
    try:
        with context.paused():
            if not mapping.wanted(user).yes:
                return ()
            data = mapping.customer_data(user)
    except mapping.Unsendable:
        return ()
    except (Exception, SystemExit):  # noqa: BLE001 — the sweep and the drainer say so, and try it again
        return ()
    salt = link.client_reference_id
    kept = mapping.not_shown(customer)
    unseen = {name: link.fingerprint[name] for name in kept if name in link.fingerprint}
    shown = mapping.remote_fingerprint(customer, salt=salt) | unseen
    return tuple(mapping.changes(data, confirmed=shown, salt=salt))


def values(link: CustomerLink, user: Any, fields: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Return for some documented fields what would be sent for a user, and what is mirrored."""
    names = {documented: name for name, documented in FIELDS.items()}
    with context.paused():
        ours = mapping.customer_data(user).payload()
    return {field: (ours.get(field), getattr(link.customer, names[field], None)) for field in fields}


def unknown(account: str, *, seen_since: datetime, using: str) -> Iterator[tuple[str, QuerySet[Customer]]]:
    """Yield what was seen and belongs to no user here, by kind."""
    rows = Customer.objects.using(using).filter(account=account, mirrored_at__gte=seen_since, link=None)
    same = CustomerLink.objects.filter(account=account, client_reference_id=OuterRef("client_reference_id"))
    ours = rows.filter(client_reference_id__startswith=conf.reference_prefix())
    yield "claimed_twice", rows.filter(Exists(same))
    yield "unknown_ours", ours.exclude(Exists(same))
    yield "unknown_other", rows.exclude(pk__in=ours.values("pk")).exclude(Exists(same))
