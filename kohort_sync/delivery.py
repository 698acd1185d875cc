"""Deliveries: what to send for one link, and how the link stands after the answer. Decisions only, no rows.

plan ──> Done                                   nothing to send
     ├─> LookUp ──> answered ──> Done           found, or too early to send again
     │                       └─> Create         nothing there, and the settle window is over
     ├─> Create ──┐
     ├─> Update ──┼─> send ──> conclude ──> Settlement
     └─> Verify ──┘
"""

import logging
import random
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser

from kohort_sync import conf, context, mapping, retry
from kohort_sync.client import errors
from kohort_sync.client.customers import Customers
from kohort_sync.client.records import Answer, CustomerData, RemoteCustomer
from kohort_sync.links import FINAL, Settlement
from kohort_sync.models import CustomerLink, State, SyncAttempt, WorkClass

logger = logging.getLogger(__name__)

_SECOND_SIGHT = 15 * 60.0
"""Seconds between two answers "not found" before a customer counts as missing."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Say what one link needs next."""

    link: CustomerLink
    data: CustomerData | None = field(default=None, repr=False)
    """The user's present data; None where the user is gone, not wanted or cannot be sent."""


@dataclass(frozen=True, kw_only=True)
class Done(Step):
    settlement: Settlement


@dataclass(frozen=True, kw_only=True)
class LookUp(Step):
    otherwise: Settlement | None = None
    """How the link stands if nothing is found and the user is not to be sent any more."""


@dataclass(frozen=True, kw_only=True)
class Verify(Step):
    pass


@dataclass(frozen=True, kw_only=True)
class Create(Step):
    sent: CustomerData = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Update(Step):
    changes: dict[str, object] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold what came of sending one step; and each exchange.

    `refusal` is the service's definitive no to a create, after which was looked: `found` and `error` then
    speak of the look-up.
    """

    step: Step
    remote: RemoteCustomer | None = None
    found: tuple[RemoteCustomer, ...] | None = None
    error: errors.KohortError | None = None
    refusal: errors.Definitive | None = None
    attempts: tuple[SyncAttempt, ...] = ()


# Planning


def plan(link: CustomerLink, user: AbstractBaseUser | None, *, now: datetime) -> Step:
    """Decide what a link needs, from the row and the user as the database has them now."""
    waits_for_a_person = link.state == State.CONFLICT and link.conflict_kind not in _CURED_BY_DATA
    if waits_for_a_person or link.state in (*FINAL, State.ERASING):
        return Done(link=link, settlement=Settlement(link=link, state=State(link.state)))
    data, problem = _present_data(link, user)
    if link.customer_id is not None:
        return _plan_linked(link, data, problem, now=now)
    if link.posts:
        return LookUp(link=link, data=data, otherwise=problem)
    if data is None:
        assert problem is not None  # noqa: S101 — one of the two is always there
        return Done(link=link, settlement=problem)
    return Create(link=link, data=data, sent=data)


# A conflict that may be over once the user's data is another; every other kind waits for a person.
_CURED_BY_DATA = ("email_in_use",)


def _plan_linked(
    link: CustomerLink, data: CustomerData | None, problem: Settlement | None, *, now: datetime
) -> Step:
    if data is None:
        assert problem is not None  # noqa: S101 — one of the two is always there
        # Linked stays linked: the words change, and nothing more is pushed.
        settlement = Settlement(link=link, state=State.LINKED, changes=problem.changes, due_in=problem.due_in)
        return Done(link=link, settlement=settlement)
    if link.verify:
        return Verify(link=link, data=data)
    changes = mapping.changes(data, confirmed=link.fingerprint, salt=link.client_reference_id)
    if not changes:
        settlement = _settlement(link, State.LINKED, synced_version=link.desired_version)
        return Done(link=link, settlement=settlement)
    if "emailAddress" in changes and link.settle_until is not None and link.settle_until > now:
        # An earlier create may still be under way; with a free address it could become a second customer.
        wait = (link.settle_until - now).total_seconds()
        return Done(link=link, settlement=_settlement(link, State.LINKED, due_in=wait))
    return Update(link=link, data=data, changes=changes)


def _present_data(
    link: CustomerLink, user: AbstractBaseUser | None
) -> tuple[CustomerData | None, Settlement | None]:
    """Return the data to send, or how an unlinked user without any stands."""
    if user is None:
        return None, _settlement(link, State.SKIPPED, code="user_deleted")
    try:
        # A function that saves the user must not make the user due again, for ever.
        with context.paused():
            wanted = mapping.wanted(user)
            if not wanted.yes:
                return None, _settlement(link, State.SKIPPED, code=wanted.code)
            return mapping.customer_data(user), None
    except mapping.Unsendable as unsendable:
        return None, _settlement(link, State.REJECTED, code=unsendable.code, text=str(unsendable))
    except (Exception, SystemExit) as failure:  # noqa: BLE001 — the host's functions may raise anything; one row must not stop the rest
        logger.error(  # noqa: TRY400 — a traceback of the host's function may hold personal data
            "SHOULD_SYNC or CUSTOMER_DATA failed for the user of link %s: %s in %s. It is tried again.",
            link.pk,
            type(failure).__name__,
            where(failure),
            extra={"link": link.pk, "failure": type(failure).__name__},
        )
        return None, _failed(link, State.PENDING, code="host_function_failed", charged=True)


def where(failure: BaseException) -> str:
    """Name the place where something failed: file and line, without any value."""
    *_, last = traceback.extract_tb(failure.__traceback__) or [None]
    return f"{last.filename}:{last.lineno}" if last is not None else "an unknown place"


# Sending: in a thread, with no database connection and no transaction


def send(step: Step, customers: Customers, *, may_send: Callable[[float], bool]) -> Result:
    """Do what a step says at the service. Never raises a `KohortError`: the result holds it.

    `may_send(seconds)` says whether the row's lease surely lasts that long; it is asked before each call.
    """
    courier = _Courier(step, may_send)
    if isinstance(step, LookUp):
        return courier.look_up(customers)
    if isinstance(step, Verify):
        reference = step.link.client_reference_id
        return courier.call("get", lambda: customers.get(_id_of(step.link), reference=reference))
    if isinstance(step, Update):
        return courier.call(
            "update",
            lambda: customers.update(
                _id_of(step.link),
                step.changes,
                reference=step.link.client_reference_id,
                email=step.data.email_address if step.data else None,
            ),
        )
    if isinstance(step, Create):
        result = courier.call(
            "create", lambda: customers.create(step.sent, reference=step.link.client_reference_id)
        )
        if isinstance(result.error, errors.Definitive):
            # A refusal may mean that an earlier create of ours has worked: look before it is believed.
            return courier.look_up(customers, refusal=result.error)
        return result
    raise TypeError(step)


class _Courier:
    """Make the calls of one step and note each."""

    def __init__(self, step: Step, may_send: Callable[[float], bool]) -> None:
        self.step, self.may_send = step, may_send
        self.attempts: list[SyncAttempt] = []

    def call(self, operation: str, request: Callable[[], Answer]) -> Result:
        answer, error = self._try(operation, request)
        return Result(
            step=self.step,
            remote=answer.customer if answer else None,
            error=error,
            attempts=tuple(self.attempts),
        )

    def look_up(self, customers: Customers, *, refusal: errors.Definitive | None = None) -> Result:
        reference = self.step.link.client_reference_id
        found, error = self._try("look_up", lambda: customers.find(reference=reference))
        return Result(
            step=self.step, found=found, error=error, refusal=refusal, attempts=tuple(self.attempts)
        )

    def _try(self, operation: str, request: Callable[[], Any]) -> tuple[Any, errors.KohortError | None]:
        started = time.monotonic()
        value, error = None, None
        try:
            if not self.may_send(conf.deadline()):
                raise errors.OutOfTime
            value = request()
        except errors.KohortError as raised:
            error = raised
        link = self.step.link
        self.attempts.append(
            SyncAttempt(
                link_id=link.pk,
                operation=operation,
                outcome=error.outcome if error else "ok",
                status=error.status if error else getattr(value, "status", 200),
                milliseconds=int((time.monotonic() - started) * 1000),
                error_code=error.code if error else "",
                trigger=WorkClass(link.work_class).name.lower(),
            )
        )
        return value, error


# Concluding

_NOBODY: Mapping[str, str] = {}


def after_look_up(result: Result, *, now: datetime) -> Step:
    """Decide what follows a look-up of an unresolved create: it is settled, or may be sent once more."""
    link, step = result.step.link, result.step
    if result.error is None and not result.found and _has_settled(link, now):
        if step.data is not None:
            # The address stays the one of the first try: a changed one could become a second customer.
            frozen = link.intent_email or step.data.email_address
            return Create(link=link, data=step.data, sent=mapping.with_email(step.data, frozen))
        if isinstance(step, LookUp) and step.otherwise is not None:
            return Done(link=link, settlement=_resolved(step.otherwise, result))
    return Done(link=link, settlement=conclude(result, now=now))


def taken_email(result: Result) -> str | None:
    """Return the address of which the service says that another customer has it."""
    if not isinstance(result.refusal or result.error, errors.EmailTaken):
        return None
    data = result.step.sent if isinstance(result.step, Create) else result.step.data
    return data.email_address if data else None


def conclude(result: Result, *, now: datetime, holders: Mapping[str, str] = _NOBODY) -> Settlement:
    """Decide how the link stands after its step. `holders` maps addresses to the ids of their customers."""
    step, error = result.step, result.error
    if result.found:
        return _found(result)
    if isinstance(error, errors.Mismatch) and error.what == "reference_not_shown":
        return _conflict(result, "reference_not_shown")
    if isinstance(step, Create):
        return _created(result, step) if result.remote else _not_created(result, now=now, holders=holders)
    if isinstance(step, LookUp):
        return _still_uncertain(result, now=now)
    if isinstance(step, Update):
        return (
            _updated(result, step) if error is None else _not_updated(result, error, now=now, holders=holders)
        )
    if isinstance(step, Verify):
        return _verified(result) if error is None else _not_updated(result, error, now=now, holders=holders)
    raise TypeError(step)


def _created(result: Result, step: Create) -> Settlement:
    if _is_deleted(result):
        return _conflict(result, "deleted_remotely")
    return _linked(result, confirmed=mapping.fingerprint(step.sent, salt=step.link.client_reference_id))


def _found(result: Result) -> Settlement:
    """Adopt the one living customer that carries our reference; anything else is for a person."""
    found = result.found or ()
    living = [remote for remote in found if remote.deleted_at is None]
    if len(living) > 1:
        return _conflict(result, "duplicate_remote", ids=[remote.kohort_id for remote in living])
    if not living:
        return _conflict(result, "deleted_remotely", ids=[remote.kohort_id for remote in found])
    shown = mapping.remote_fingerprint(living[0], salt=result.step.link.client_reference_id)
    return _linked(replace(result, remote=living[0]), confirmed=shown)


def _linked(result: Result, *, confirmed: dict[str, str]) -> Settlement:
    """Link, and come back at once for whatever the service does not have as the user has it now."""
    link, data = result.step.link, result.step.data
    same = data is not None and not mapping.changes(data, confirmed=confirmed, salt=link.client_reference_id)
    return _settlement(
        link,
        State.LINKED,
        due_in=None if same else 0.0,
        result=result,
        fingerprint=confirmed,
        synced_version=link.desired_version if same else link.synced_version,
        verify=False,
        # While an earlier create may still be under way, the window stays: see _plan_linked.
        settle_until=link.settle_until if link.posts > 1 else None,
        **_RESOLVED,
    )


def _not_created(result: Result, *, now: datetime, holders: Mapping[str, str]) -> Settlement:
    link, error, refusal = result.step.link, result.error, result.refusal
    if refusal is None and isinstance(error, errors.Unsent | errors.Refused) and link.posts == 1:
        # Surely nothing was made: as if it had never been sent.
        return _failed(
            link, State.PENDING, code=error.code, result=result, charged=_is_charged(error), **_RESOLVED
        )
    if refusal is None or error is not None or isinstance(refusal, errors.ReferenceTaken):
        return _still_uncertain(result, now=now)
    if isinstance(refusal, errors.EmailTaken):
        return _email_in_use(result, holders)
    return _settlement(link, State.REJECTED, code=refusal.code, text=str(refusal), result=result, **_RESOLVED)


def _still_uncertain(result: Result, *, now: datetime) -> Settlement:
    """Wait and look again. The window restarts when this process has just sent and cannot send any more."""
    link = result.step.link
    window = link.settle_until or now
    if isinstance(result.step, Create):
        window = now + _seconds(conf.settle_window())
    error = result.refusal or result.error
    return _settlement(
        link,
        State.UNCERTAIN,
        # An empty look-up is no news: what stood on the link still does.
        code=error.code if error else link.last_error_code or "no_answer",
        text=str(error) if error else link.last_error,
        due_in=retry.look_up_delay(
            looks=link.attempts, until_settled=(window - now).total_seconds(), chance=_chance
        ),
        result=result,
        work_class=WorkClass.LOOK_UP,
        attempts=link.attempts + (result.error is None or _is_charged(result.error)),
        settle_until=window,
    )


def _updated(result: Result, step: Update) -> Settlement:
    link = step.link
    if _is_deleted(result):
        return _conflict(result, "deleted_remotely")
    assert step.data is not None  # noqa: S101 — an update is planned from data
    return _settlement(
        link,
        State.LINKED,
        result=result,
        fingerprint=mapping.fingerprint(step.data, salt=link.client_reference_id),
        synced_version=link.desired_version,
        **_RESOLVED,
    )


def _verified(result: Result) -> Settlement:
    """Take over what the service shows. The next turn sends what differs, or finds nothing to send."""
    link, remote = result.step.link, result.remote
    assert remote is not None  # noqa: S101 — no error means an answer
    if _is_deleted(result):
        return _conflict(result, "deleted_remotely")
    shown = mapping.remote_fingerprint(remote, salt=link.client_reference_id)
    unseen = {name: link.fingerprint[name] for name in mapping.UNSEEN if name in link.fingerprint}
    # A wrong answer to an update stays in mind until one succeeds: no row closes the gate again and again.
    wrong_before = link.last_error_code == errors.Mismatch.code
    return _settlement(
        link,
        State.LINKED,
        code=link.last_error_code if wrong_before else "",
        text=link.last_error if wrong_before else "",
        due_in=retry.backoff(attempts=link.attempts, chance=_chance) if wrong_before else 0.0,
        result=result,
        fingerprint=shown | unseen,
        verify=False,
        **_RESOLVED,
    )


def _not_updated(
    result: Result, error: errors.KohortError, *, now: datetime, holders: Mapping[str, str]
) -> Settlement:
    link = result.step.link
    if isinstance(error, errors.EmailTaken):
        return _email_in_use(result, holders)
    if isinstance(error, errors.NotFound):
        return _missing(result, error, now=now)
    if isinstance(error, errors.Definitive):
        return _settlement(link, State.LINKED, code=error.code, text=str(error), result=result, **_RESOLVED)
    # An update that may still arrive late could undo a newer one: compare before the next is sent.
    verify = link.verify or error.may_have_arrived
    return _failed(
        link, State.LINKED, code=error.code, result=result, charged=_is_charged(error), verify=verify
    )


def _missing(result: Result, error: errors.NotFound, *, now: datetime) -> Settlement:
    """Believe that a customer is gone only after a second look, a while after the first."""
    link = result.step.link
    looked_before = link.last_error_code == error.code and link.settle_until is not None
    second_look = link.settle_until if looked_before and link.settle_until else now + _seconds(_SECOND_SIGHT)
    if second_look <= now:
        return _conflict(result, "remote_missing", ids=[_id_of(link)])
    return _settlement(
        link,
        State.LINKED,
        code=error.code,
        due_in=(second_look - now).total_seconds(),
        result=result,
        verify=True,
        settle_until=second_look,
    )


def _email_in_use(result: Result, holders: Mapping[str, str]) -> Settlement:
    holder = holders.get(taken_email(result) or "")
    return _conflict(result, "email_in_use", ids=[holder] if holder else [])


def _conflict(result: Result, kind: str, *, ids: list[str] | None = None) -> Settlement:
    return _settlement(
        result.step.link,
        State.CONFLICT,
        code=kind,
        result=result,
        conflict_kind=kind,
        conflict_ids=ids or ([result.remote.kohort_id] if result.remote else []),
        **_RESOLVED,
    )


def _resolved(settlement: Settlement, result: Result) -> Settlement:
    """Close an unresolved create whose user is no longer to be sent: nothing was found, nothing will come."""
    return Settlement(
        link=settlement.link,
        state=settlement.state,
        changes=settlement.changes | _RESOLVED,
        due_in=settlement.due_in,
        attempts=result.attempts,
    )


_RESOLVED: dict[str, Any] = {
    "intent": "",
    "intent_email": None,
    "intent_version": None,
    "posts": 0,
}


def _failed(
    link: CustomerLink,
    state: State,
    *,
    code: str,
    charged: bool,
    result: Result | None = None,
    **changes: Any,
) -> Settlement:
    """Try again later; behind the others, so that a failing row holds up nobody."""
    return _settlement(
        link,
        state,
        code=code,
        text=str(result.error or "") if result else "",
        due_in=retry.backoff(attempts=link.attempts, chance=_chance) if charged else 0.0,
        result=result,
        work_class=WorkClass.BULK if charged else link.work_class,
        attempts=link.attempts + charged,
        **changes,
    )


def _settlement(
    link: CustomerLink,
    state: State,
    *,
    code: str = "",
    text: str = "",
    due_in: float | None = None,
    result: Result | None = None,
    **changes: Any,
) -> Settlement:
    """Put together what every settlement writes: a success wipes old errors and counters away."""
    if state != State.CONFLICT:
        changes = {"conflict_kind": "", "conflict_ids": []} | changes
    if not code:
        changes = {"attempts": 0} | changes
    return Settlement(
        link=link,
        state=state,
        changes={"last_error_code": code, "last_error": text} | changes,
        due_in=due_in,
        remote=result.remote if result else None,
        attempts=result.attempts if result else (),
    )


_chance = random.Random()  # noqa: S311 — spreads retries, guards nothing


def _is_charged(error: errors.KohortError) -> bool:
    """Say whether a failure counts against the row: a refused key or a slow-down is not the row's fault."""
    return not isinstance(error, errors.Refused | errors.Redirected | errors.OutOfTime)


def _is_deleted(result: Result) -> bool:
    """Read `deletedAt` in every answer: a deleted customer is changed as if it lived (observed)."""
    return result.remote is not None and result.remote.deleted_at is not None


def _has_settled(link: CustomerLink, now: datetime) -> bool:
    return link.settle_until is None or link.settle_until <= now


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _id_of(link: CustomerLink) -> str:
    assert link.customer is not None  # noqa: S101 — only linked rows come here
    return link.customer.kohort_id
