"""Settlements: the few ways in which a turn can end, and what each of them writes."""

import random
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kohort_sync import conf, retry
from kohort_sync.client import errors
from kohort_sync.delivery.steps import Result
from kohort_sync.links import Settlement
from kohort_sync.mirror import Holder
from kohort_sync.models import CustomerLink, State, WorkClass

RESOLVED: dict[str, Any] = {
    "intent": "",
    "intent_email": None,
    "intent_version": None,
    "posts": 0,
}
"""What is written when it is known what became of the last request."""

chance = random.Random()  # noqa: S311 — spreads retries, guards nothing


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Hold what has to be known beside a link: the time, how the account fares, who has which address."""

    now: datetime
    began: datetime
    """When the rows were claimed: what could still arrive then is not over because time has passed since."""
    last_success_at: datetime | None = None
    holders: Mapping[str, Holder] = field(default_factory=dict, repr=False)
    others_under_way: bool = False
    """Whether another batch is being sent, so that who has got an address may not be known yet."""

    def has_worked_since(self, moment: datetime | None) -> bool:
        """Say whether KohortPay has accepted anything from this account since then, and lately.

        What was accepted before an outage of the account does not make the outage a single row's fault.
        """
        if moment is None or self.last_success_at is None:
            return False
        lately = self.now - timedelta(seconds=retry.LONGEST_DELAY)
        return self.last_success_at > max(moment, lately)


def settlement(
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
        changes = {"conflict_kind": ""} | changes
    if state not in (State.CONFLICT, State.ERASING):
        changes = {"conflict_ids": []} | changes
    if not code:
        changes = {"attempts": 0, "failing_since": None, "parkings": 0} | changes
    return Settlement(
        link=link,
        state=state,
        changes={"last_error_code": code, "last_error": text} | changes,
        due_in=due_in,
        remote=result.remote if result else None,
        attempts=result.attempts if result else (),
    )


def as_it_stands(link: CustomerLink) -> Settlement:
    """Leave a link as it is: a person has to act, or what would be sent was refused already."""
    return Settlement(link=link, state=State(link.state))


def conflict(result: Result, kind: str, *, ids: list[str] | None = None, **changes: Any) -> Settlement:
    """Leave a link to a person."""
    return settlement(
        result.step.link,
        State.CONFLICT,
        code=kind,
        result=result,
        conflict_kind=kind,
        conflict_ids=ids or ([result.remote.kohort_id] if result.remote else []),
        wants_customer="",
        wants_restore=False,
        attempts=0,
        failing_since=None,
        **RESOLVED | changes,
    )


def failed(
    link: CustomerLink,
    state: State,
    *,
    situation: Situation,
    result: Result | None = None,
    code: str = "",
    is_its_own: bool = False,
    due_in: float | None = None,
    **changes: Any,
) -> Settlement:
    """Try again later; behind the others, so that a failing row holds up nobody.

    What fails again and again while others succeed, or is the link's own fault, is given up for now.
    """
    error = (result.refusal or result.error) if result else None
    # Without an error, as after an empty look-up, there is no news: what stood on the link still does.
    code = code or (error.code if error else link.last_error_code or "no_answer")
    text = str(error) if error else link.last_error if result else ""
    if isinstance(error, errors.OutOfTime):  # nothing was tried
        code, text = link.last_error_code, link.last_error
    charged = is_its_own or error is None or is_charged(error)
    attempts, since = link.attempts + charged, link.failing_since or situation.now
    alone = is_its_own or situation.has_worked_since(link.failing_since)
    if due_in is None:
        due_in = retry.backoff(attempts=link.attempts, chance=chance, alone=alone) if charged else 0.0
    failing_for = (situation.now - since).total_seconds()
    if charged and alone and retry.is_hopeless(attempts=attempts, failing_for=failing_for):
        return parked(link, code=code, text=text, result=result, attempts=attempts, **changes)
    return settlement(
        link,
        state,
        code=code,
        text=text,
        due_in=due_in,
        result=result,
        **{
            "work_class": WorkClass.BULK if charged else link.work_class,
            "attempts": attempts,
            "failing_since": since if charged else link.failing_since,
        }
        | changes,
    )


def parked(
    link: CustomerLink, *, code: str, text: str = "", result: Result | None = None, **changes: Any
) -> Settlement:
    """Give a link up for now: it is taken up again a day later, for two weeks; then a person has to."""
    return settlement(
        link,
        State.PARKED,
        code=code,
        text=text,
        due_in=retry.DAY if link.parkings < retry.MOST_PARKINGS else None,
        result=result,
        **{"work_class": WorkClass.BULK, "parkings": link.parkings + 1} | changes,
    )


def unresolved(link: CustomerLink) -> dict[str, Any]:
    """Return the changes that leave the last request open: what became of it is still not known."""
    return {name: getattr(link, name) for name in RESOLVED}


def missing(result: Result, error: errors.NotFound, state: State, *, now: datetime) -> Settlement | None:
    """Look once more, a while after the first look; None where that was the second: then it is believed."""
    link = result.step.link
    looked_before = link.last_error_code == error.code and link.failing_since is not None
    first_look = link.failing_since if looked_before and link.failing_since else now
    wait = (first_look + _SECOND_SIGHT - now).total_seconds()
    if wait <= 0:
        return None
    return settlement(
        link,
        state,
        code=error.code,
        due_in=wait,
        result=result,
        verify=True,
        failing_since=first_look,
        **RESOLVED,
    )


_SECOND_SIGHT = timedelta(minutes=15)


def is_charged(error: errors.KohortError) -> bool:
    """Say whether a failure counts against the row: what concerns the whole account does not."""
    return not isinstance(error, errors.Refused | errors.Redirected | errors.TlsFailed | errors.OutOfTime)


def settle_window() -> timedelta:
    return timedelta(seconds=conf.settle_window())


def id_of(link: CustomerLink) -> str:
    assert link.customer is not None  # noqa: S101 — only linked rows come here
    return link.customer.kohort_id


def where(failure: BaseException) -> str:
    """Name the place where something failed: file and line, without any value."""
    *_, last = traceback.extract_tb(failure.__traceback__) or [None]
    return f"{last.filename}:{last.lineno}" if last is not None else "an unknown place"
