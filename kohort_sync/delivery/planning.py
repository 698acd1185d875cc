"""Planning: what a link needs, from the row and the user as the database has them now."""

import logging
from dataclasses import replace
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser

from kohort_sync import conf, context, mapping, retry
from kohort_sync.client.records import CustomerData
from kohort_sync.delivery import erasure
from kohort_sync.delivery.settlements import Situation, as_it_stands, failed, parked, settlement, where
from kohort_sync.delivery.steps import Adopt, Block, Create, Done, LookUp, Step, Update, Verify
from kohort_sync.links import Settlement
from kohort_sync.models import FINAL, CustomerLink, State

logger = logging.getLogger(__name__)

# A conflict that may be over once the user's data is another; every other kind waits for a person.
_CURED_BY_DATA = ("email_in_use",)
_REFUSALS = ("invalid", "rejected", "email_in_use")


def plan(link: CustomerLink, user: AbstractBaseUser | None, *, situation: Situation) -> Step:
    """Decide what a link needs. Calls SHOULD_SYNC, CUSTOMER_DATA and EMAIL_VERIFIED of the host."""
    step = _plan_without_asking(link, now=situation.now)
    if step is not None:
        return step
    data, problem = _present_data(link, user, situation=situation)
    if data is None:
        assert problem is not None  # noqa: S101 — one of the two is always there
        return _plan_without_data(link, problem, situation=situation)
    if link.wants_customer:
        return Adopt(link=link, data=data, kohort_id=link.wants_customer)
    if link.customer_id is not None:
        return _plan_linked(link, data, situation=situation)
    return _plan_unlinked(link, data, user)


def foretell(user: AbstractBaseUser, *, account: str, now: datetime) -> tuple[State, str]:
    """Say how a user without a link will stand, and with which code, if KohortPay takes what it is sent."""
    step = plan(CustomerLink(account=account), user, situation=Situation(now=now, began=now))
    if isinstance(step, Done):
        return step.settlement.state, step.settlement.changes["last_error_code"]
    return State.LINKED, ""


def _plan_without_asking(link: CustomerLink, *, now: datetime) -> Step | None:
    """Decide what can be decided without the user's data, so without any function of the host."""
    if link.crashes > retry.MOST_CRASHES:
        # Taken up again it has one life left, so that it costs no more than one process a day.
        crashed = parked(link, code="crash_loop", crashes=retry.MOST_CRASHES - 1)
        return Done(link=link, settlement=crashed)
    if _waits_for_a_person(link) or link.state in FINAL:
        return Done(link=link, settlement=as_it_stands(link))
    if link.erase_asked_at is not None:
        return erasure.plan(link, now=now)
    if link.wants_block is not None and link.customer_id is not None:
        return Block(link=link, block=link.wants_block)
    return None


def _waits_for_a_person(link: CustomerLink) -> bool:
    """Say whether only a person ends this conflict; one about a user who is gone concerns nobody any more."""
    is_over = link.user_pk is None and link.erase_asked_at is None
    return link.state == State.CONFLICT and link.conflict_kind not in _CURED_BY_DATA and not is_over


def _plan_unlinked(link: CustomerLink, data: CustomerData, user: AbstractBaseUser | None) -> Step:
    if link.posts:
        return LookUp(link=link, data=data)
    if _was_refused(link, data):
        return Done(link=link, settlement=as_it_stands(link))
    if link.last_error_code == "email_taken" and _is_same_as_refused(link, data) and _may_adopt(link, user):
        return Adopt(link=link, data=data)
    return Create(link=link, data=data, sent=data)


def _plan_without_data(link: CustomerLink, problem: Settlement, *, situation: Situation) -> Step:
    if link.customer_id is None:
        if link.posts:
            return LookUp(link=link, otherwise=problem)
        return Done(link=link, settlement=problem)
    # Linked stays linked: the words change, nothing more is pushed. It is read still, unless its user is
    # gone.
    if link.user_pk is not None and _is_to_be_compared(link, situation):
        return Verify(link=link)
    if link.user_pk is None and link.look_again_at is not None and link.look_again_at <= situation.began:
        problem = replace(problem, changes=problem.changes | {"look_again_at": None})
    return Done(link=link, settlement=problem)


def _is_to_be_compared(link: CustomerLink, situation: Situation) -> bool:
    return link.verify or (link.look_again_at is not None and link.look_again_at <= situation.began)


def _plan_linked(link: CustomerLink, data: CustomerData, *, situation: Situation) -> Step:
    if link.wants_restore:
        # What is deleted there is not shown, so it cannot be compared first.
        restored = data.payload() | {"deletedAt": None}
        return Update(link=link, data=data, changes=restored)
    if _is_to_be_compared(link, situation):
        return Verify(link=link, data=data)
    changes = mapping.changes(data, confirmed=link.fingerprint, salt=link.client_reference_id)
    if mapping.REFERENCE in link.fingerprint:
        changes[mapping.REFERENCE] = link.client_reference_id
    if not changes:
        outcome = settlement(link, State.LINKED, synced_version=link.desired_version, refused="")
        return Done(link=link, settlement=outcome)
    if _was_refused(link, data):
        return Done(link=link, settlement=as_it_stands(link))
    if "emailAddress" in changes and link.settle_until is not None and link.settle_until > situation.now:
        # An earlier create may still be under way; with a free address it could become a second customer.
        wait = (link.settle_until - situation.now).total_seconds()
        return Done(link=link, settlement=settlement(link, State.LINKED, due_in=wait))
    return Update(link=link, data=data, changes=changes)


def _was_refused(link: CustomerLink, data: CustomerData) -> bool:
    """Say whether just this was refused before; the same again would fare no better."""
    return link.last_error_code in _REFUSALS and _is_same_as_refused(link, data)


def _is_same_as_refused(link: CustomerLink, data: CustomerData) -> bool:
    return link.refused != "" and link.refused == mapping.digest(data, salt=link.client_reference_id)


def _may_adopt(link: CustomerLink, user: AbstractBaseUser | None) -> bool:
    """Say whether the customer who has the user's address may be taken for the user: the person's part."""
    if not conf.adopts_by_email() or user is None:
        return False
    try:
        with context.paused():
            return mapping.email_verified(user)
    except (Exception, SystemExit) as failure:  # noqa: BLE001 — as in _present_data; what is not shown is not so
        _log(link, failure)
        return False


def _present_data(
    link: CustomerLink, user: AbstractBaseUser | None, *, situation: Situation
) -> tuple[CustomerData | None, Settlement | None]:
    """Return the data to send, or how an unlinked user without any stands."""
    if user is None:
        return None, _unsent(link, State.SKIPPED, code="user_deleted")
    try:
        # A function that saves the user must not make the user due again, for ever.
        with context.paused():
            wanted = mapping.wanted(user)
            if not wanted.yes:
                return None, _unsent(link, State.SKIPPED, code=wanted.code)
            return mapping.customer_data(user), None
    except mapping.Unsendable as unsendable:
        return None, _unsent(link, State.REJECTED, code=unsendable.code, text=str(unsendable))
    except (Exception, SystemExit) as failure:  # noqa: BLE001 — the host's functions may raise anything; one row must not stop the rest
        _log(link, failure)
        state = State.LINKED if link.customer_id is not None else State.PENDING
        return None, failed(link, state, situation=situation, code="host_function_failed", is_its_own=True)


def _unsent(link: CustomerLink, state: State, *, code: str, text: str = "") -> Settlement:
    """Say why a user is not sent; for one who is linked only the words count."""
    state = State.LINKED if link.customer_id is not None else state
    return settlement(link, state, code=code, text=text, attempts=0, failing_since=None, parkings=0)


def _log(link: CustomerLink, failure: BaseException) -> None:
    logger.error(
        "SHOULD_SYNC, CUSTOMER_DATA or EMAIL_VERIFIED failed for the user of link %s: %s in %s."
        " It is tried again.",
        link.pk or "(none yet)",
        type(failure).__name__,
        # No traceback: one of the host's function may hold personal data.
        where(failure),
        extra={"link": link.pk, "failure": type(failure).__name__},
    )
