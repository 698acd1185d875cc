"""Relinking: find the users of customers that this site made, where its own rows were lost."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from kohort_sync import conf, context, mapping
from kohort_sync.models import Customer, CustomerLink, State

_AT_ONCE = 500
# Whoever is linked, left out or erased stays so.
_FREE = (State.PENDING, State.UNCERTAIN, State.REJECTED, State.CONFLICT, State.PARKED, State.SKIPPED)


class Match(NamedTuple):
    """Name a user and the customer that was made for that user; `link` is the row of the user, if any."""

    user: Any
    kohort_id: str
    link: CustomerLink | None


def matches(account: str, *, using: str) -> Iterator[Match]:
    """Yield the users for whom a customer of the mirror was made once, as it says itself.

    It has to bear our prefix and the user's key, and the user's e-mail address byte for byte. Calls functions
    of the host.
    """
    rows = Customer.objects.using(using).filter(
        account=account, link=None, client_reference_id__startswith=conf.reference_prefix(), deleted_at=None
    )
    after = 0
    while customers := list(rows.filter(pk__gt=after).order_by("pk")[:_AT_ONCE]):
        after = customers[-1].pk
        users = _users(customers, using=using)
        links = CustomerLink.objects.using(using).filter(account=account, user__in=list(users))
        known = {link.user_id: link for link in links}
        for customer in customers:
            user = users.get(_key(customer))
            link = known.get(user.pk) if user is not None else None
            if user is None or (link is not None and link.state not in _FREE):
                continue
            if customer.email_address and customer.email_address == _address(user):
                yield Match(user, customer.kohort_id, link)


def _users(customers: list[Customer], *, using: str) -> dict[Any, Any]:
    keys = {key for customer in customers if (key := _key(customer)) is not None}
    return get_user_model()._base_manager.using(using).in_bulk(list(keys))


def _key(customer: Customer) -> Any:
    """Return the key of the user for whom a customer was made, as it says itself; None where it is none."""
    said = customer.metadata.get("user_id") if isinstance(customer.metadata, dict) else None
    if not isinstance(said, str):
        return None
    try:
        return get_user_model()._meta.pk.to_python(said)
    except ValidationError:
        return None


def _address(user: Any) -> str | None:
    """Return the address that would be sent for a user; None where nothing would."""
    try:
        with context.paused():
            return mapping.customer_data(user).email_address if mapping.wanted(user).yes else None
    except (Exception, SystemExit):  # noqa: BLE001 — a host's function may raise anything
        return None
