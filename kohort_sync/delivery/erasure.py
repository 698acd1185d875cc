"""Erasure: make a customer nobody at KohortPay, delete it there, and believe only what is then shown.

No deletion is known to succeed (observed), so the data is overwritten first. It may be repeated from any
point: each call leaves things as they are where they are so already.
"""

from datetime import datetime

from kohort_sync import mapping
from kohort_sync.client import errors
from kohort_sync.delivery.settlements import RESOLVED, Situation, conflict, failed, missing, settlement
from kohort_sync.delivery.steps import Done, Erase, LookUp, Result, Step
from kohort_sync.links import Settlement
from kohort_sync.models import CustomerLink, State


def plan(link: CustomerLink, *, now: datetime) -> Step:
    """Decide what is to be erased. A create whose outcome is unknown is looked up first."""
    if link.customer_id is None:
        nothing = erased(link, "erased_nothing", now=now)
        # Also after a conflict over customers that may be this user's.
        may_be_there = link.posts or link.conflict_ids
        return LookUp(link=link, otherwise=nothing) if may_be_there else Done(link=link, settlement=nothing)
    if link.settle_until is not None and link.settle_until > now:
        # An earlier create may still be under way, and the free address would let a second customer in.
        wait = (link.settle_until - now).total_seconds()
        return Done(link=link, settlement=settlement(link, State.ERASING, due_in=wait))
    unseen = [name for name in mapping.UNSEEN if name in link.fingerprint]
    return Erase(link=link, changes=mapping.nobody(link.client_reference_id, unseen=unseen))


def found(result: Result) -> Settlement:
    """Take note of the customer that an unresolved create has made; it is erased in the next turn."""
    link = result.step.link
    window = link.settle_until if link.posts > 1 else None
    return settlement(link, State.ERASING, due_in=0.0, result=result, settle_until=window, **RESOLVED)


def conclude(result: Result, situation: Situation) -> Settlement:
    """Decide whether a customer is erased: it is no longer shown, or what is shown tells nothing."""
    link, error = result.step.link, result.error
    if isinstance(error, errors.NotFound):
        if result.carried_out:
            return _believed(result, "erased_gone", situation=situation)
        # Never overwritten and not shown: gone already, or the wrong key. So a second look, as always.
        again = missing(result, error, State.ERASING, now=situation.now)
        return again or _believed(result, "erased_not_found", situation=situation)
    if isinstance(error, errors.Definitive):
        return conflict(result, "erasure_refused")
    if error is not None:
        return failed(link, State.ERASING, situation=situation, result=result)
    assert result.remote is not None  # noqa: S101 — no error means an answer
    if mapping.is_nobody(result.remote, reference=link.client_reference_id):
        return _believed(result, "erased_anonymised", situation=situation)
    return _may_be_undone(result, situation=situation) or conflict(result, "erasure_refused")


def _believed(result: Result, code: str, *, situation: Situation) -> Settlement:
    again = _may_be_undone(result, situation=situation)
    return again or erased(result.step.link, code, result=result, now=situation.now)


def _may_be_undone(result: Result, *, situation: Situation) -> Settlement | None:
    """Come back when nothing that was sent earlier can still arrive; None where nothing can."""
    link = result.step.link
    if link.look_again_at is None or link.look_again_at <= situation.began:
        return None
    wait = max(0.0, (link.look_again_at - situation.now).total_seconds())
    return settlement(link, State.ERASING, due_in=wait, result=result, **RESOLVED)


def erased(link: CustomerLink, code: str, *, now: datetime, result: Result | None = None) -> Settlement:
    """Leave a tombstone: reference, KohortPay id and dates; the code says what remains at KohortPay."""
    return settlement(
        link,
        State.ERASED,
        code=code,
        result=result,
        erased_at=now,
        # The names alone of what no answer shows, should it have to be overwritten once more.
        fingerprint={name: "" for name in mapping.UNSEEN if name in link.fingerprint},
        refused="",
        verify=False,
        look_again_at=None,
        settle_until=None,
        wants_block=None,
        wants_restore=False,
        wants_customer="",
        failing_since=None,
        attempts=0,
        **RESOLVED,
    )
