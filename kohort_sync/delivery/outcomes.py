"""Outcomes: how a link stands after the answer to its step."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kohort_sync import conf, mapping, retry
from kohort_sync.client import errors
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.delivery import erasure
from kohort_sync.delivery.settlements import (
    RESOLVED,
    Situation,
    chance,
    conflict,
    failed,
    id_of,
    missing,
    settle_window,
    settlement,
    unresolved,
)
from kohort_sync.delivery.steps import (
    Adopt,
    Block,
    Create,
    Done,
    Erase,
    LookUp,
    Result,
    Step,
    Update,
    Verify,
)
from kohort_sync.links import Settlement
from kohort_sync.models import CustomerLink, State, WorkClass

# A holder of ours may be about to give the address up: so often is it tried before a person has to decide.
_TRIES_FOR_AN_ADDRESS = 3


def after_look_up(result: Result, *, situation: Situation) -> Step:
    """Decide what follows a look-up of an unresolved create: it is settled, or may be sent once more."""
    link, step = result.step.link, result.step
    if result.error is None and not result.found and _has_settled(link, situation.now):
        if step.data is not None:
            # The address stays the one of the first try: a changed one could become a second customer.
            frozen = link.intent_email or step.data.email_address
            return Create(link=link, data=step.data, sent=mapping.with_email(step.data, frozen))
        if isinstance(step, LookUp) and step.otherwise is not None:
            return Done(link=link, settlement=_resolved(step.otherwise, result))
    return Done(link=link, settlement=conclude(result, situation=situation))


def taken_email(result: Result) -> str | None:
    """Return the address of which the service says that another customer has it."""
    if not isinstance(result.refusal or result.error, errors.EmailTaken):
        return None
    data = result.step.sent if isinstance(result.step, Create) else result.step.data
    return data.email_address if data else None


def gave_up_address(result: Result) -> str | None:
    """Return the id of the customer whose address has become free, where a step did that."""
    step = result.step
    changes_it = isinstance(step, Update) and "emailAddress" in step.changes and result.error is None
    if changes_it or (isinstance(step, Erase) and result.carried_out):
        return id_of(step.link)
    return None


def conclude(result: Result, *, situation: Situation) -> Settlement:
    """Decide how the link stands after its step."""
    return _CONCLUDED[type(result.step)](result, situation)


# A link without a customer


def _created(result: Result, situation: Situation) -> Settlement:
    assert isinstance(result.step, Create)  # noqa: S101 — as _CONCLUDED says
    if result.remote is None:
        return _looked_up(result) or _not_created(result, situation=situation)
    if _is_deleted(result):
        return conflict(result, "deleted_remotely")
    step = result.step
    confirmed = mapping.fingerprint(step.sent, salt=step.link.client_reference_id)
    return _linked(result, confirmed=confirmed, is_same=step.sent == step.data)


def _awaited(result: Result, situation: Situation) -> Settlement:
    return _looked_up(result) or _still_uncertain(result, situation=situation)


def _looked_up(result: Result) -> Settlement | None:
    """Decide by what a look-up has shown; None where it has shown nobody."""
    if result.found:
        return _found(result)
    if isinstance(result.error, errors.Mismatch) and result.error.what == "reference_not_shown":
        return conflict(result, "reference_not_shown", **unresolved(result.step.link))
    return None


def _found(result: Result) -> Settlement:
    """Take over the one living customer that carries our reference; anything else is for a person."""
    found = result.found or ()
    living = [remote for remote in found if remote.deleted_at is None]
    is_to_be_erased = result.step.link.erase_asked_at is not None
    if len(living) > 1:
        ids = [remote.kohort_id for remote in living]
        # Whoever is erased is looked for once more when a person has left one of them there.
        kept = unresolved(result.step.link) if is_to_be_erased else {}
        return conflict(result, "duplicate_remote", ids=ids, **kept)
    if is_to_be_erased:
        return erasure.found(replace(result, remote=(living or list(found))[0]))
    if not living:
        return conflict(result, "deleted_remotely", ids=[remote.kohort_id for remote in found])
    shown = mapping.remote_fingerprint(living[0], salt=result.step.link.client_reference_id)
    return _linked(replace(result, remote=living[0]), confirmed=shown)


def _linked(result: Result, *, confirmed: dict[str, str], is_same: bool = False) -> Settlement:
    """Link, and come back at once for whatever the service does not have as the user has it now."""
    link, data = result.step.link, result.step.data
    same = is_same or (
        data is not None
        and mapping.REFERENCE not in confirmed
        and not mapping.changes(data, confirmed=confirmed, salt=link.client_reference_id)
    )
    return settlement(
        link,
        State.LINKED,
        due_in=None if same else 0.0,
        result=result,
        fingerprint=confirmed,
        refused="",
        synced_version=link.desired_version if same else link.synced_version,
        verify=False,
        wants_customer="",
        # While an earlier create may still be under way, the window stays: see _plan_linked.
        settle_until=link.settle_until if link.posts > 1 else None,
        **RESOLVED,
    )


def _not_created(result: Result, *, situation: Situation) -> Settlement:
    link, error, refusal = result.step.link, result.error, result.refusal
    if refusal is None and isinstance(error, errors.Unsent | errors.Refused) and link.posts == 1:
        # Surely nothing was made: as if it had never been sent.
        return failed(link, State.PENDING, situation=situation, result=result, **RESOLVED)
    if refusal is None or error is not None or isinstance(refusal, errors.ReferenceTaken):
        return _still_uncertain(result, situation=situation)
    if _was_frozen(result):
        # What was refused is the address of the first try; nobody has asked for the present one yet.
        return settlement(link, State.PENDING, due_in=0.0, result=result, **RESOLVED)
    if isinstance(refusal, errors.EmailTaken):
        return _email_taken(result, State.PENDING, situation=situation)
    return settlement(
        link,
        State.REJECTED,
        code=refusal.code,
        text=str(refusal),
        result=result,
        refused=_digest(result),
        **RESOLVED,
    )


def _was_frozen(result: Result) -> bool:
    step = result.step
    return isinstance(step, Create) and step.sent != step.data


def _still_uncertain(result: Result, *, situation: Situation) -> Settlement:
    """Wait and look again. The window restarts when this process has just sent and cannot send any more."""
    link, now = result.step.link, situation.now
    window = link.settle_until or now
    if isinstance(result.step, Create):
        window = now + settle_window()
    delay = retry.look_up_delay(
        looks=link.attempts,
        until_settled=(window - now).total_seconds(),
        chance=chance,
        alone=situation.has_worked_since(link.failing_since),
    )
    return failed(
        link,
        State.UNCERTAIN if link.erase_asked_at is None else State.ERASING,
        situation=situation,
        result=result,
        due_in=delay,
        work_class=WorkClass.LOOK_UP,
        settle_until=window,
    )


def _adopted(result: Result, situation: Situation) -> Settlement:
    """Take over a customer whom a person chose; or who has the user's address, with every proof."""
    link, error = result.step.link, result.error
    if isinstance(error, errors.NotFound):
        return conflict(result, "adoption_failed", ids=[link.wants_customer])
    if error is not None:
        state = State.LINKED if link.customer_id is not None else State(_resting(link))
        return failed(link, state, situation=situation, result=result)
    remote = result.remote or _provably_the_users(result)
    if remote is None:
        ids = [remote.kohort_id for remote in result.found or ()]
        return conflict(result, "email_in_use", ids=ids, refused=_digest(result))
    if remote.deleted_at is not None:
        return conflict(result, "deleted_remotely", ids=[remote.kohort_id])
    shown = mapping.remote_fingerprint(remote, salt=link.client_reference_id)
    if remote.client_reference_id != link.client_reference_id:
        shown[mapping.REFERENCE] = ""
    return _linked(replace(result, remote=remote), confirmed=shown)


def _resting(link: CustomerLink) -> State:
    return State.UNCERTAIN if link.posts else State.PENDING


def _provably_the_users(result: Result) -> RemoteCustomer | None:
    """Return the one customer with exactly the user's address that nobody else has a claim on.

    That the address is the user's own was asked before (`EMAIL_VERIFIED`); that no other link has the
    customer is looked at when it is written down.
    """
    found = result.found or ()
    if len(found) != 1:
        return None
    (remote,) = found
    is_free = remote.client_reference_id in (None, "", result.step.link.client_reference_id)
    return remote if is_free and not remote.blocked and remote.deleted_at is None else None


# A linked link


def _answered(result: Result, situation: Situation) -> Settlement:
    """Decide about a step on a customer that we know: what all of them have in common comes first."""
    if result.error is not None:
        return _not_updated(result, result.error, situation=situation)
    assert result.remote is not None  # noqa: S101 — no error means an answer
    if _is_deleted(result):
        return conflict(result, "deleted_remotely")
    return _BY_ANSWER[type(result.step)](result, result.remote, situation)


def _updated(result: Result, _: RemoteCustomer, __: Situation) -> Settlement:
    link, data = result.step.link, result.step.data
    assert data is not None  # noqa: S101 — an update is planned from data
    return settlement(
        link,
        State.LINKED,
        result=result,
        fingerprint=mapping.fingerprint(data, salt=link.client_reference_id),
        refused="",
        synced_version=link.desired_version,
        wants_restore=False,
        **RESOLVED,
    )


def _verified(result: Result, remote: RemoteCustomer, situation: Situation) -> Settlement:
    """Take over what the service shows. The next turn sends what differs, or finds nothing to send."""
    link = result.step.link
    kept = (*mapping.not_shown(remote), mapping.REFERENCE)
    unseen = {name: link.fingerprint[name] for name in kept if name in link.fingerprint}
    # A wrong answer to an update stays in mind until one succeeds: no row closes the gate again and again.
    wrong_before = link.last_error_code == errors.Mismatch.code
    stays = wrong_before or link.refused != ""
    return settlement(
        link,
        State.LINKED,
        code=link.last_error_code if stays else "",
        text=link.last_error if stays else "",
        due_in=retry.backoff(attempts=link.attempts, chance=chance) if wrong_before else 0.0,
        result=result,
        fingerprint=mapping.remote_fingerprint(remote, salt=link.client_reference_id) | unseen,
        verify=False,
        look_again_at=None if _is_over(link, situation.began) else link.look_again_at,
        # That a customer can be read says nothing about the change that failed: only its success does.
        attempts=link.attempts,
        failing_since=link.failing_since,
        parkings=link.parkings,
        **RESOLVED,
    )


def _blocked(result: Result, remote: RemoteCustomer, situation: Situation) -> Settlement:
    """Believe a block, or its end, when it is shown."""
    link = result.step.link
    if remote.blocked is not link.wants_block:
        return failed(link, State.LINKED, situation=situation, result=result, code="block_not_shown")
    return settlement(link, State.LINKED, due_in=0.0, result=result, wants_block=None, **RESOLVED)


def _not_updated(result: Result, error: errors.KohortError, *, situation: Situation) -> Settlement:
    link = result.step.link
    if isinstance(error, errors.EmailTaken):
        return _email_taken(result, State.LINKED, situation=situation)
    if isinstance(error, errors.NotFound):
        again = missing(result, error, State.LINKED, now=situation.now)
        return again or conflict(result, "remote_missing", ids=[id_of(link)])
    if isinstance(error, errors.Definitive):
        return settlement(
            link,
            State.LINKED,
            code=error.code,
            text=str(error),
            result=result,
            refused=_digest(result),
            wants_block=None,
            **RESOLVED,
        )
    if not (error.may_have_arrived and result.step.operation):
        return failed(link, State.LINKED, situation=situation, result=result)
    # An update that may still arrive late could undo a newer one: compare before the next is sent, and once
    # more when it can no longer arrive.
    again_at = situation.now + settle_window()
    return failed(link, State.LINKED, situation=situation, result=result, verify=True, look_again_at=again_at)


# Either


def _email_taken(result: Result, state: State, *, situation: Situation) -> Settlement:
    """Leave an address that somebody has to a person; unless it will be free soon, or may be adopted."""
    link = result.step.link
    holder = situation.holders.get(taken_email(result) or "")
    is_ours = holder is not None and holder.is_ours
    leaves = holder is not None and holder.is_leaving and link.attempts + 1 < _TRIES_FOR_AN_ADDRESS
    adopts = link.customer_id is None and not is_ours and conf.adopts_by_email()
    tried = link.last_error_code == errors.EmailTaken.code and link.refused == _digest(result)
    if leaves:
        return failed(link, state, situation=situation, result=result, **RESOLVED)
    if adopts and not tried:
        # Written down what was refused, so that no other address is searched for: see planning.
        changes = {"refused": _digest(result)} | RESOLVED
        return failed(link, state, situation=situation, result=result, due_in=0.0, **changes)
    if holder is None and situation.others_under_way and not tried:
        changes = {"refused": _digest(result)} | RESOLVED
        return failed(link, state, situation=situation, result=result, due_in=1.0, **changes)
    own = [id_of(link)] if link.customer_id is not None else []
    ids = [*own, holder.kohort_id] if holder is not None else own
    return conflict(result, "email_in_use", ids=ids, refused=_digest(result))


def _resolved(otherwise: Settlement, result: Result) -> Settlement:
    """Close an unresolved create whose user is no longer to be sent: nothing was found, nothing will come."""
    return replace(otherwise, changes=otherwise.changes | RESOLVED, attempts=result.attempts)


def _digest(result: Result) -> str:
    data, link = result.step.data, result.step.link
    return mapping.digest(data, salt=link.client_reference_id) if data is not None else ""


def _is_deleted(result: Result) -> bool:
    """Read `deletedAt` in every answer: a deleted customer is changed as if it lived (observed)."""
    return result.remote is not None and result.remote.deleted_at is not None


def _has_settled(link: CustomerLink, now: datetime) -> bool:
    return link.settle_until is None or link.settle_until <= now


def _is_over(link: CustomerLink, began: datetime) -> bool:
    """Say whether nothing could arrive any more when this turn began."""
    return link.look_again_at is not None and link.look_again_at <= began


_BY_ANSWER: dict[type[Step], Callable[[Result, RemoteCustomer, Situation], Settlement]] = {
    Update: _updated,
    Verify: _verified,
    Block: _blocked,
}
_CONCLUDED: dict[type[Step], Callable[[Result, Situation], Settlement]] = {
    Create: _created,
    LookUp: _awaited,
    Adopt: _adopted,
    Update: _answered,
    Verify: _answered,
    Block: _answered,
    Erase: erasure.conclude,
}
