"""Sending: do what a step says at the service. In a thread, without a database connection."""

import time
from collections.abc import Callable
from typing import Any

from kohort_sync import conf, mapping
from kohort_sync.client import errors
from kohort_sync.client.customers import Customers
from kohort_sync.client.records import Answer
from kohort_sync.delivery.settlements import id_of
from kohort_sync.delivery.steps import Adopt, Block, Create, Erase, LookUp, Result, Step, Update, Verify
from kohort_sync.models import SyncAttempt, WorkClass


def send(step: Step, customers: Customers, *, may_send: Callable[[float], bool]) -> Result:
    """Do what a step says. Never raises a `KohortError`: the result holds it.

    `may_send(seconds)` says whether the row's lease surely lasts that long; it is asked before each call.
    """
    return _SENT[type(step)](_Courier(step, customers, may_send), step)


class _Courier:
    """Make the calls of one step and note each."""

    def __init__(self, step: Step, customers: Customers, may_send: Callable[[float], bool]) -> None:
        self.step, self.customers, self._may_send = step, customers, may_send
        self.attempts: list[SyncAttempt] = []

    def call(self, operation: str, request: Callable[[], Any]) -> tuple[Any, errors.KohortError | None]:
        """Make one call; return what came back, or the error."""
        started = time.monotonic()
        value, error = None, None
        try:
            if not self._may_send(conf.deadline()):
                raise errors.OutOfTime
            value = request()
        except errors.KohortError as raised:
            error = raised
        if not isinstance(error, errors.OutOfTime):  # then there was no exchange
            self._note(operation, value, error, seconds=time.monotonic() - started)
        return value, error

    def _note(self, operation: str, value: Any, error: errors.KohortError | None, *, seconds: float) -> None:
        link = self.step.link
        self.attempts.append(
            SyncAttempt(
                link_id=link.pk,
                operation=operation,
                outcome=error.outcome if error else "ok",
                status=error.status if error else getattr(value, "status", 200),
                milliseconds=int(seconds * 1000),
                error_code=error.code if error else "",
                trigger=WorkClass(link.work_class).name.lower(),
            )
        )

    def get(self) -> Result:
        """Read the customer of the link."""
        link = self.step.link
        # One that was adopted does not bear our reference before the next update.
        bears_another = mapping.REFERENCE in link.fingerprint
        reference = None if bears_another else link.client_reference_id
        return self.result(*self.call("get", lambda: self.customers.get(id_of(link), reference=reference)))

    def look_up(self, *, refusal: errors.Definitive | None = None) -> Result:
        """Look for customers with the link's reference."""
        reference = self.step.link.client_reference_id
        found, error = self.call("look_up", lambda: self.customers.find(reference=reference))
        return Result(
            step=self.step, found=found, error=error, refusal=refusal, attempts=tuple(self.attempts)
        )

    def result(
        self, answer: Answer | None, error: errors.KohortError | None, *, carried_out: bool = False
    ) -> Result:
        """Put together what came of the step."""
        return Result(
            step=self.step,
            remote=answer.customer if answer else None,
            error=error,
            carried_out=carried_out,
            attempts=tuple(self.attempts),
        )


def _look_up(courier: _Courier, _: LookUp) -> Result:
    return courier.look_up()


def _verify(courier: _Courier, _: Verify) -> Result:
    return courier.get()


def _create(courier: _Courier, step: Create) -> Result:
    reference = step.link.client_reference_id
    answer, error = courier.call("create", lambda: courier.customers.create(step.sent, reference=reference))
    if isinstance(error, errors.Definitive):
        # A refusal may mean that an earlier create of ours has worked: look before it is believed.
        return courier.look_up(refusal=error)
    return courier.result(answer, error)


def _update(courier: _Courier, step: Update) -> Result:
    def request() -> Answer:
        return courier.customers.update(
            id_of(step.link),
            step.changes,
            reference=step.link.client_reference_id,
            email=step.data.email_address if step.data else None,
            about=step.data,
        )

    return courier.result(*courier.call("update", request))


def _block(courier: _Courier, step: Block) -> Result:
    """Ask, block or unblock where it is not so yet, and ask again: only what is shown is believed."""
    shown = courier.get()
    if shown.remote is None or shown.remote.blocked is step.block:
        return shown
    operation, call = (
        ("block", courier.customers.block) if step.block else ("unblock", courier.customers.unblock)
    )
    _, error = courier.call(operation, lambda: call(id_of(step.link)))
    return courier.get() if error is None else courier.result(None, error)


def _erase(courier: _Courier, step: Erase) -> Result:
    kohort_id = id_of(step.link)
    # The answer is not compared: what counts is what is shown in the end.
    _, error = courier.call(
        "anonymise",
        lambda: courier.customers.update(kohort_id, step.changes, reference=None, email=None),
    )
    if error is not None and not isinstance(error, errors.NotFound):
        return courier.result(None, error)
    anonymised = error is None
    if anonymised:
        _, error = courier.call("delete", lambda: courier.customers.delete(kohort_id))
        if error is not None and not isinstance(error, errors.Definitive):
            return courier.result(None, error)
    answer, error = courier.call("get", lambda: courier.customers.get(kohort_id))
    return courier.result(answer, error, carried_out=anonymised)


def _adopt(courier: _Courier, step: Adopt) -> Result:
    if step.kohort_id:
        return courier.result(*courier.call("adopt", lambda: courier.customers.get(step.kohort_id)))
    email = step.data.email_address if step.data else ""
    try:
        found, error = courier.call("adopt", lambda: courier.customers.find_by_email(email=email))
    except ValueError:  # an address that the service's search could misread is never searched for
        found, error = (), None
    return Result(step=step, found=found, error=error, attempts=tuple(courier.attempts))


_SENT: dict[type[Step], Callable[[_Courier, Any], Result]] = {
    LookUp: _look_up,
    Verify: _verify,
    Create: _create,
    Update: _update,
    Block: _block,
    Erase: _erase,
    Adopt: _adopt,
}
