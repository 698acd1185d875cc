"""Announcing: tell the host what became of a link, after the commit."""

from typing import NamedTuple, Self

from kohort_sync import signals
from kohort_sync.links import Settlement
from kohort_sync.models import CustomerLink, State


class Before(NamedTuple):
    """Hold how a link stood before its turn."""

    state: str
    was_linked: bool
    was_blocked: bool

    @classmethod
    def of(cls, link: CustomerLink) -> Self:
        """Remember what the settlement is going to overwrite."""
        customer = link.customer
        return cls(
            state=link.state,
            was_linked=link.linked_at is not None,
            was_blocked=customer is not None and customer.is_blocked,
        )


def announce(settlement: Settlement, *, before: Before) -> None:
    """Send the signals; a receiver that fails is logged by Django and stops nothing."""
    link = settlement.link
    if link.state == State.LINKED and not before.was_linked:
        signals.customer_linked.send_robust(CustomerLink, link=link)
    elif link.state == State.LINKED and settlement.remote is not None and not link.last_error_code:
        signals.customer_updated.send_robust(CustomerLink, link=link)
    elif link.state == State.CONFLICT and before.state != State.CONFLICT:
        signals.conflict_found.send_robust(CustomerLink, link=link, kind=link.conflict_kind)
    elif link.state in (State.REJECTED, State.PARKED) and before.state != link.state:
        signals.push_failed.send_robust(CustomerLink, link=link, code=link.last_error_code)
    elif link.state == State.ERASED:
        signals.customer_erased.send_robust(CustomerLink, link=link)
    _announce_block(settlement, before=before)


def _announce_block(settlement: Settlement, *, before: Before) -> None:
    remote = settlement.remote
    if remote is None or settlement.link.state != State.LINKED:
        return
    if remote.blocked != before.was_blocked:
        signal = signals.customer_blocked if remote.blocked else signals.customer_unblocked
        signal.send_robust(CustomerLink, link=settlement.link)
