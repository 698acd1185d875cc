"""The drainer: the one process at a time that sends for an account, batch by batch, until nothing is due."""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DataError, IntegrityError

from kohort_sync import clock, conf, connection, delivery, gate, links, mirror, references, retry, signals
from kohort_sync.client import errors
from kohort_sync.links import Batch, Intent, Settlement
from kohort_sync.models import CustomerLink, State, WorkClass
from kohort_sync.pacing import Pace

logger = logging.getLogger(__name__)

BUDGET = 15.0
"""Seconds of one task, so that a site's only worker keeps serving the site."""
LINGER = 1.5
"""Seconds of looking on after the last row: longer than wake-ups are coalesced for, so none is missed."""

# A batch that was begun within the budget may send this much longer: with one call of 35 seconds on top the
# task is still within its soft limit.
_OVERTIME = 20.0
_POLL = 0.1
_RENEW_EVERY = 5.0
_SETTLE_TRIES = 20
_LONGEST_ID = 64
_CLOSED_FOR: dict[type[errors.KohortError], float] = {
    errors.KeyRefused: 60.0,
    errors.TlsFailed: 60.0,
    errors.Contract: 300.0,
}
_FAILURES_IN_A_ROW = 5
_UNAVAILABLE_FOR = 30.0
# One claim in ten begins with the lowest class, so that nothing waits for ever.
_LOWEST_FIRST_EVERY = 10


@dataclass
class Report:
    """Say what a drain did and why it ended: nothing due, another drainer, a closed gate, or its budget."""

    account: str
    ended: str = "done"
    outcomes: dict[int, str] = field(default_factory=dict)
    """How each link stands that was settled, by its key: the state, and the error where there was one."""
    work_left: bool = False

    @property
    def settled(self) -> Counter[str]:
        """Count the outcomes."""
        return Counter(self.outcomes.values())


def drain(
    alias: str,
    *,
    budget: float = BUDGET,
    linger: float = LINGER,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Send what is due for one account until nothing is, or for `budget` seconds.

    Raises RuntimeError inside a transaction, before anything is read or sent: what is noted down there
    could be rolled back after a customer was made. Raises ValueError where the key or address is malformed.
    """
    using = links.database()
    _refuse_transaction(using)
    account = conf.accounts().get(alias)
    if account is None:
        return Report(account=alias, ended="idle")
    drainer = _Drainer(account, using)
    gate.account_row(account.key, using=using)
    if not gate.take_drainer_lease(account.key, token=drainer.token, using=using):
        return Report(account=account.key, ended="busy")
    try:
        drainer.run(budget=budget, linger=linger, stop=stop)
    finally:
        gate.give_drainer_lease_back(account.key, token=drainer.token, using=using)
    # A row that came in while the lease was still ours found nobody to wake: look once more.
    drainer.report.work_left = drainer.report.ended != "closed" and links.any_due(
        account=account.key, using=using
    )
    return drainer.report


def _refuse_transaction(using: str) -> None:
    try:
        with links.writing(using=using):
            pass
    except RuntimeError:
        raise RuntimeError(
            "kohort_sync was asked to call KohortPay inside transaction.atomic() or with autocommit off. Call"
            " it after the commit, for example with transaction.on_commit(), or let the Celery task do it."
        ) from None


class _Drainer:
    """Work for one account while holding its lease."""

    def __init__(self, account: conf.AccountSettings, using: str) -> None:
        self.account, self.using = account, using
        self.token = secrets.token_hex(16)
        self.report = Report(account=account.key)
        self.pace = Pace().capped(concurrency=int(conf.get("MAX_CONCURRENCY")))
        self.halted = Event()
        self.failures = 0
        self.claims = 0

    def run(self, *, budget: float, linger: float, stop: Callable[[], bool]) -> None:
        row = gate.account_row(self.account.key, using=self.using)
        self.known_key = row.key_fingerprint
        self._use_organization(row.organization_id)
        ends = self.ends = time.monotonic() + budget
        idle_since: float | None = None
        with ThreadPoolExecutor(self.pace.concurrency, thread_name_prefix="kohort_sync") as self.pool:
            while time.monotonic() < ends and not stop():
                gate_now = self._gate()
                if not gate_now.open and not self._is_worth_waiting(gate_now, until=ends):
                    self.report.ended = "closed"
                    return
                batch = self._claim() if gate_now.open else None
                if batch is not None:
                    self._turn(batch)
                    idle_since = time.monotonic()
                elif gate_now.open and (idle_since is None or time.monotonic() - idle_since > linger):
                    return
                else:
                    time.sleep(_POLL)
                if not self._renew():
                    self.report.ended = "busy"
                    return
        self.report.ended = "budget"

    def _gate(self) -> gate.Gate:
        """Look at the gate; after a closure, or with a new key, ask something harmless first."""
        key = self.account.key
        now = gate.read(key, using=self.using)
        if not now.open:
            return now
        try:
            if now.probe_first:
                self._probe()
            if not self._opens_our_organization():
                gate.close(key, reason="other_organization", seconds=_UNAVAILABLE_FOR, using=self.using)
                return gate.read(key, using=self.using)
        except errors.KohortError as error:
            self.failures = _FAILURES_IN_A_ROW  # one failed probe is enough to stay closed
            self._close(error)
            return gate.read(key, using=self.using)
        if now.probe_first:
            self.failures = 0
            gate.reopen(key, using=self.using)
        return gate.Gate(open=True)

    def _probe(self) -> None:
        """Look up a reference that cannot exist: it shows nobody's data."""
        nobody = references.new(prefix=conf.reference_prefix())
        try:
            self.customers.find(reference=nobody)
        except errors.Mismatch as error:
            if not _answers(error):
                raise

    def _opens_our_organization(self) -> bool:
        """Find out whether a new key opens the same organization, before anybody is sent there."""
        fingerprint = self.account.api_key.fingerprint
        if self.known_key in ("", fingerprint):
            return True
        linked = mirror.any_linked_id(self.account.key, using=self.using)
        if linked is not None:
            try:
                self.customers.get(linked)
            except (errors.NotFound, errors.Mismatch):
                return False
        else:
            self._use_organization("")
        self.known_key = fingerprint
        gate.note_organization(
            self.account.key,
            organization_id=self.organization_id,
            key_fingerprint=fingerprint,
            using=self.using,
        )
        return True

    def _use_organization(self, organization_id: str) -> None:
        self.organization_id = organization_id
        self.customers = connection.customers(
            self.account, organization_id=organization_id, threads=self.pace.concurrency
        )

    def _is_worth_waiting(self, now: gate.Gate, *, until: float) -> bool:
        """Say whether the gate opens within this drain's time for rows that wait behind it."""
        opens_soon = now.opens_in is not None and now.opens_in < until - time.monotonic()
        return opens_soon and links.any_due(account=self.account.key, using=self.using)

    def _claim(self) -> Batch | None:
        self.claims += 1
        order = list(WorkClass)
        if self.claims % _LOWEST_FIRST_EVERY == 0:
            order.reverse()
        return links.claim(account=self.account.key, limit=self.pace.batch, order=order, using=self.using)

    def _renew(self) -> bool:
        return gate.take_drainer_lease(self.account.key, token=self.token, using=self.using)

    # One batch: plan, look up, intend, send, settle. No transaction is open while anything is sent.

    def _turn(self, batch: Batch) -> None:
        self.halted.clear()
        users = _users(batch.links, using=self.using)
        now = clock.now(using=self.using)
        steps: list[delivery.Step] = []
        for link in batch.links:
            # The functions of the host may be slow: who is not reached in time is given back.
            too_late = bool(steps) and time.monotonic() > self.ends
            steps.append(
                delivery.Done(link=link, settlement=_unchanged(link))
                if too_late
                else delivery.plan(link, users.get(link.user_id), now=now)
            )
        looked_up = self._send(batch, [step for step in steps if isinstance(step, delivery.LookUp)])
        now = clock.now(using=self.using)
        steps = [step for step in steps if not isinstance(step, delivery.LookUp)]
        steps += [delivery.after_look_up(result, now=now) for result in looked_up]

        settlements = [step.settlement for step in steps if isinstance(step, delivery.Done)]
        to_send = [step for step in steps if not isinstance(step, delivery.Done)]
        # A verification only reads, so nothing has to be written down before it.
        allowed = {step.link.pk for step in to_send if isinstance(step, delivery.Verify)}
        allowed |= links.intend(batch, _intents(to_send), using=self.using)
        settlements += [_unchanged(step.link) for step in to_send if step.link.pk not in allowed]
        results = self._send(batch, [step for step in to_send if step.link.pk in allowed])
        now = clock.now(using=self.using)
        holders = mirror.holders(
            {email for result in results if (email := delivery.taken_email(result))},
            account=self.account.key,
            using=self.using,
        )
        settlements += [delivery.conclude(result, now=now, holders=holders) for result in results]
        self._note_organization(settlements)
        late = self._settle(batch, settlements)
        links.report_late(batch, late & allowed, using=self.using)

    def _send(self, batch: Batch, steps: Sequence[delivery.Step]) -> list[delivery.Result]:
        """Send side by side, and renew the drainer's lease meanwhile."""

        def may_send(seconds: float) -> bool:
            in_time = time.monotonic() < self.ends + _OVERTIME and batch.has_time_for(seconds)
            return in_time and not self.halted.is_set()

        def send(step: delivery.Step) -> delivery.Result:
            result = delivery.send(step, self.customers, may_send=may_send)
            self._watch(result)
            return result

        waiting: set[Future[delivery.Result]] = {self.pool.submit(send, step) for step in steps}
        results = []
        while waiting:
            done, waiting = wait(waiting, timeout=_RENEW_EVERY)
            for future in done:
                # A fault of ours in one row: it stays leased, is claimed alone later, and stops nobody.
                with suppress(_Fault):
                    results.append(_outcome(future))
            if waiting:
                self._renew()
        failed = [result for result in results if result.error is not None]
        # One is enough: closing for each would only say the same again.
        concerning = next(
            (r for r in failed if _closes(r.error, r.step.link)), failed[-1] if failed else None
        )
        if concerning is not None and concerning.error is not None:
            self._close(concerning.error, concerning.step.link)
        if any(result.error is None for result in results):
            gate.forget_closures(self.account.key, using=self.using)
        return results

    def _watch(self, result: delivery.Result) -> None:
        """Stop what is not sent yet as soon as an answer concerns the whole account. Runs in a thread."""
        error = result.error
        if isinstance(error, errors.OutOfTime):
            return
        if isinstance(error, errors.Unsent | errors.ServerError | errors.NoAnswer):
            self.failures += 1
        else:
            self.failures = 0
        if self.failures >= _FAILURES_IN_A_ROW or _closes(error, result.step.link):
            self.halted.set()

    def _close(self, error: errors.KohortError, link: CustomerLink | None = None) -> None:
        key = self.account.key
        if isinstance(error, errors.RateLimited):
            closures = gate.account_row(key, using=self.using).gate_closures
            seconds = retry.slow_down(retry_after=error.retry_after, closures=closures)
            gate.close(key, reason=error.code, seconds=seconds, using=self.using)
        elif _closes(error, link):
            seconds = next(seconds for kind, seconds in _CLOSED_FOR.items() if isinstance(error, kind))
            gate.close(key, reason=error.code, seconds=seconds, using=self.using)
        elif self.failures >= _FAILURES_IN_A_ROW:
            gate.close(key, reason="unavailable", seconds=_UNAVAILABLE_FOR, using=self.using)
        else:
            return
        logger.warning(
            "Sending to %s is paused: %s.", key, error.code, extra={"account": key, "code": error.code}
        )

    def _note_organization(self, settlements: Iterable[Settlement]) -> None:
        if self.organization_id:
            return
        seen = (s.remote.organization_id for s in settlements if s.remote is not None)
        # One that is longer than any that was ever seen is not worth a row's failure.
        organization_id = next((value for value in seen if value and len(value) <= _LONGEST_ID), None)
        if organization_id is not None:
            self._use_organization(organization_id)
            self.known_key = self.account.api_key.fingerprint
            gate.note_organization(
                self.account.key,
                organization_id=organization_id,
                key_fingerprint=self.known_key,
                using=self.using,
            )

    def _settle(self, batch: Batch, settlements: list[Settlement]) -> set[int]:
        """Write outcomes and mirror together; return the keys of the links that were no longer ours."""
        before = {s.link.pk: (s.link.linked_at, s.link.state) for s in settlements}
        for _ in range(_SETTLE_TRIES):
            settled = self._write(batch, settlements)
            for settlement in settlements:
                if settlement.link.pk in settled:
                    self.report.outcomes[settlement.link.pk] = _outcome_of(settlement.link)
                    _announce(settlement, was=before[settlement.link.pk])
            settlements = [s for s in settlements if s.link.pk not in settled]
            ours = links.still_ours(batch, [s.link.pk for s in settlements], using=self.using)
            if not ours:
                break
            # Somebody else's open transaction holds these rows; it is never waited for under a lock.
            time.sleep(_POLL)
        return {s.link.pk for s in settlements} - ours

    def _write(self, batch: Batch, settlements: Sequence[Settlement]) -> set[int]:
        """Write what can be written; return the keys of the links.

        An outcome that the database refuses is tried alone, and then left with its lease: the row is claimed
        alone after it, and holds up nobody.
        """
        try:
            with links.writing(using=self.using):
                mirrored = mirror.write(
                    [s.remote for s in settlements if s.remote is not None],
                    account=self.account.key,
                    livemode=self.account.livemode,
                    using=self.using,
                )
                return links.settle(batch, settlements, mirrored=mirrored, using=self.using)
        except (DataError, IntegrityError) as failure:
            if len(settlements) > 1:
                return {pk for settlement in settlements for pk in self._write(batch, [settlement])}
            logger.error(  # noqa: TRY400 — a traceback may hold personal data
                "The database refuses an answer of KohortPay about link %s: %s.",
                settlements[0].link.pk,
                type(failure).__name__,
                extra={"link": settlements[0].link.pk, "failure": type(failure).__name__},
            )
            return set()


class _Fault(Exception):
    pass


def _outcome(future: Future[delivery.Result]) -> delivery.Result:
    try:
        return future.result()
    except Exception as fault:  # noqa: BLE001 — whatever it is, it must not stop the other rows
        # No traceback: it may hold personal data.
        logger.error(  # noqa: TRY400
            "A link could not be processed because of a fault in kohort_sync: %s in %s.",
            type(fault).__name__,
            delivery.where(fault),
            extra={"failure": type(fault).__name__},
        )
        raise _Fault from None


def _outcome_of(link: CustomerLink) -> str:
    return f"{link.state} ({link.last_error_code})" if link.last_error_code else str(link.state)


def _users(batch: Iterable[CustomerLink], *, using: str) -> dict[Any, Any]:
    """Load the users as they are now, past any manager of the host's that hides some."""
    keys = [link.user_id for link in batch if link.user_id is not None]
    return get_user_model()._base_manager.using(using).in_bulk(keys)


def _intents(steps: Iterable[delivery.Step]) -> list[Intent]:
    intents = []
    for step in steps:
        version = step.link.desired_version
        if isinstance(step, delivery.Create):
            email = step.sent.email_address
            intents.append(Intent(link=step.link, operation="create", version=version, email=email))
        elif isinstance(step, delivery.Update):
            intents.append(Intent(link=step.link, operation="update", version=version))
    return intents


def _unchanged(link: CustomerLink) -> Settlement:
    """Give a row back as it is: there was no time left, or its last create has not settled."""
    return Settlement(link=link, state=State(link.state), due_in=1.0)


def _answers(error: errors.KohortError) -> bool:
    """Say whether the service answers as it always does, although not what was hoped for."""
    return isinstance(error, errors.Mismatch) and error.what == "reference_not_shown"


def _closes(error: errors.KohortError | None, link: CustomerLink | None) -> bool:
    """Say whether an error concerns the whole account.

    A wrong answer does, the first time; when the same link meets it again, it is that link's own trouble.
    """
    if isinstance(error, errors.Mismatch):
        repeated = link is not None and link.last_error_code == error.code
        return not (repeated or _answers(error))
    return isinstance(error, (*_CLOSED_FOR, errors.RateLimited))


def _announce(settlement: Settlement, *, was: tuple[Any, str]) -> None:
    """Tell the host, after the commit; a receiver that fails is logged by Django and stops nothing."""
    link = settlement.link
    linked_before, state_before = was
    if link.state == State.LINKED and linked_before is None:
        signals.customer_linked.send_robust(CustomerLink, link=link)
    elif link.state == State.LINKED and settlement.remote is not None and not link.last_error_code:
        signals.customer_updated.send_robust(CustomerLink, link=link)
    elif link.state == State.CONFLICT and state_before != State.CONFLICT:
        signals.conflict_found.send_robust(CustomerLink, link=link, kind=link.conflict_kind)
    elif link.state == State.REJECTED and state_before != State.REJECTED:
        signals.push_failed.send_robust(CustomerLink, link=link, code=link.last_error_code)
