"""Deciding: what a person wants of one link. The drainer carries it out, and takes the wish away."""

from typing import Any

from django.db.models import Q

from kohort_sync import clock
from kohort_sync.links.recording import changed, erasure_asked_for
from kohort_sync.links.rows import second_look
from kohort_sync.models import CustomerLink, State, WorkClass


class BeingSent(Exception):
    """A worker is sending this row just now, so nothing can be decided about it: try again in a moment."""


_AFRESH: dict[str, Any] = {
    "conflict_kind": "",
    "conflict_ids": [],
    "last_error_code": "",
    "last_error": "",
    "refused": "",
    "attempts": 0,
    "crashes": 0,
    "parkings": 0,
    "failing_since": None,
}


def decide(link: CustomerLink, *, using: str, **wishes: Any) -> None:
    """Take a link up again, with the wishes of a person: nothing that failed before counts any more.

    Raises `BeingSent`.
    """
    if link.customer_id is not None:
        state, verify = State.LINKED, True
    else:
        state, verify = State.UNCERTAIN if link.posts else State.PENDING, link.verify
    if link.erase_asked_at is not None:
        # The customers that were in the way stay in mind: one of them may be the one to erase.
        state, wishes = State.ERASING, wishes | {"conflict_ids": link.conflict_ids}
    _write(link, using=using, state=state, verify=verify, **_AFRESH | wishes)


def create_anew(link: CustomerLink, *, using: str) -> None:
    """Part with a customer that is gone, so that a new one is created. Raises `BeingSent`."""
    _write(
        link,
        using=using,
        **_AFRESH,
        state=State.PENDING,
        customer=None,
        linked_at=None,
        fingerprint={},
        synced_version=0,
        verify=False,
        posts=0,
        intent="",
        intent_email=None,
        intent_version=None,
    )


def ignore(link: CustomerLink, *, using: str) -> None:
    """Leave a user out until somebody decides otherwise. Raises `BeingSent`."""
    _write(link, using=using, **_AFRESH, state=State.IGNORED, next_attempt_at=None)


def ask_for_block(link: CustomerLink, *, block: bool, using: str) -> None:
    """Want the customer to be blocked, or unblocked. May be asked while the row is being sent."""
    CustomerLink.objects.using(using).filter(pk=link.pk).update(
        wants_block=block, **changed(WorkClass.CHANGE)
    )


def ask_for_erasure(link: CustomerLink, *, using: str) -> None:
    """Want the customer to be erased. May be asked while the row is being sent."""
    CustomerLink.objects.using(using).filter(pk=link.pk).exclude(state=State.ERASED).update(
        **erasure_asked_for(), **changed(WorkClass.CHANGE)
    )


def _write(link: CustomerLink, *, using: str, **columns: Any) -> None:
    """Write a decision where nobody is sending, and fence off whoever was and has not come back."""
    free = Q(lease_until=None) | Q(lease_until__lte=clock.now(using=using))
    rows = CustomerLink.objects.using(using).filter(
        free, pk=link.pk, state=link.state, lease_token=link.lease_token
    )
    values = changed(WorkClass.CHANGE) | {"lease_token": "", "lease_until": None} | columns
    if link.lease_token:
        values |= second_look(link)
    if not rows.update(**values):
        raise BeingSent(
            "This user is being sent to KohortPay at this moment, or has just changed; look again and repeat."
        )
