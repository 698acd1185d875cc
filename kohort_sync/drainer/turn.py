"""One turn: plan, look up, intend, send and settle one batch. Nothing is sent inside a transaction.

The threads of the pool send; whoever drains does all that concerns the database, for two turns by turns.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db import DataError, IntegrityError
from django.db.models import F

from kohort_sync import clock, delivery, links, mirror
from kohort_sync.bulk import AnyOf
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.drainer import announcing
from kohort_sync.drainer.line import Line
from kohort_sync.drainer.throttle import Throttle, outcome_of
from kohort_sync.drainer.watch import Watch
from kohort_sync.links import Batch, Intent, Settlement
from kohort_sync.models import CustomerLink, State
from kohort_sync.pacing import Ticket

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A batch that was begun within the budget may send this much longer: with one call of 35 seconds on top the
# task is still within its soft limit.
OVERTIME = 20.0
# A batch is a second of the pace. Where the service has become slow, what is not sent after so long is given
# back, so that a sign-up does not wait behind all of it.
_LONGEST = 5.0
_RENEW_EVERY = 0.5
_SETTLE_TRIES = 20
_SETTLE_PAUSE = 0.1


@dataclass(kw_only=True)
class Turn:
    """Work off one batch. `ends` is on the monotonic clock; `renew` keeps the drainer's lease."""

    batch: Batch
    line: Line
    watch: Watch
    throttle: Throttle
    pool: Executor
    ends: float
    renew: Callable[[], object]
    using: str
    has_company: Callable[[], bool] = lambda: False
    """Says whether another batch is under way."""
    _first_sent_at: float = field(default=math.inf, init=False)
    _settlements: list[Settlement] = field(default_factory=list, init=False)
    _allowed: set[int] = field(default_factory=set, init=False)
    _sent: list[Future[delivery.Result]] = field(default_factory=list, init=False)

    def begin(self) -> None:
        """Plan, look up and intend; let the pool send, and do not wait for it."""
        steps = self._plan()
        look_ups = [step for step in steps if isinstance(step, delivery.LookUp)]
        if look_ups:
            asked: list[Future[delivery.Result]] = []
            self._send(look_ups, asked)
            looked_up, situation = self._results(asked)
            steps = [step for step in steps if not isinstance(step, delivery.LookUp)]
            steps += self._each(looked_up, lambda r: delivery.after_look_up(r, situation=situation))

        self._settlements = [step.settlement for step in steps if isinstance(step, delivery.Done)]
        to_send = [step for step in steps if not isinstance(step, delivery.Done)]
        # What only reads needs not be written down before it.
        self._allowed = {step.link.pk for step in to_send if not step.operation}
        self._allowed |= links.intend(self.batch, _intents(to_send), using=self.using)
        self._settlements += [_unchanged(step.link) for step in to_send if step.link.pk not in self._allowed]
        self._send([step for step in to_send if step.link.pk in self._allowed], self._sent)

    def wait(self) -> None:
        """Wait for the answers to what was sent."""
        self._wait(self._sent)

    def finish(self) -> dict[int, str]:
        """Wait for the answers and write down what came; return how each settled link stands, by its key."""
        results, situation = self._results(self._sent)
        settlements = self._settlements
        settlements += self._each(results, lambda r: delivery.conclude(r, situation=situation))
        self.line.learn(s.remote for s in settlements if s.remote is not None)
        outcomes, late = self._settle(settlements, now=situation.now)
        links.report_late(self.batch, late & self._allowed, using=self.using)
        freed = {kohort_id for result in results if (kohort_id := delivery.gave_up_address(result))}
        links.try_addresses_again(freed, account=self.batch.account, using=self.using)
        return outcomes

    def _plan(self) -> list[delivery.Step]:
        users = _users(self.batch.links, using=self.using)
        situation = self._situation((), now=self.batch.claimed_at)
        steps: list[delivery.Step] = []
        for link in self.batch.links:
            # The functions of the host may be slow: who is not reached in time is given back.
            if steps and time.monotonic() > self.ends:
                steps.append(delivery.Done(link=link, settlement=_unchanged(link)))
                continue
            user = users.get(link.user_id)
            with suppress(_Fault):
                steps.append(_guarded(partial(delivery.plan, link, user, situation=situation)))
        return steps

    def _situation(self, results: Sequence[delivery.Result], *, now: datetime) -> delivery.Situation:
        wanted = {email for result in results if (email := delivery.taken_email(result))}
        holders = mirror.holders(wanted, account=self.batch.account, using=self.using)
        # Who got the address in this very batch is not in the mirror yet.
        for result in results:
            email = result.remote.email_address if result.remote else None
            if email in wanted and result.remote is not None:
                holders[email] = mirror.Holder(kohort_id=result.remote.kohort_id, is_ours=True)
        return delivery.Situation(
            now=now,
            began=self.batch.claimed_at,
            last_success_at=self.watch.last_success_at,
            holders=holders,
            others_under_way=self.has_company(),
        )

    def _each(self, results: Sequence[delivery.Result], decide: Callable[[delivery.Result], T]) -> list[T]:
        """Decide about each result; a fault of ours in one row stops nobody else."""
        decided = []
        for result in results:
            with suppress(_Fault):
                decided.append(_guarded(partial(decide, result)))
        return decided

    def _send(self, steps: Sequence[delivery.Step], sent: list[Future[delivery.Result]]) -> None:
        """Let the pool send these, side by side as the pace allows; note each at once in `sent`."""
        for step in steps:
            sent.append(self.pool.submit(self._send_one, step))  # noqa: PERF401 — the pool may fail half-way

    def _send_one(self, step: delivery.Step) -> delivery.Result:
        """Do what one step says, in a thread."""
        ticket = self.throttle.enter(may_go=self._may_go)
        self._first_sent_at = min(self._first_sent_at, time.monotonic())
        result = None
        try:
            result = delivery.send(step, self.line.customers, may_send=self._clearance())
            self.watch.see(result)
            return result
        finally:
            if ticket is not None:
                self._leave(ticket, result)

    def _leave(self, ticket: Ticket, result: delivery.Result | None) -> None:
        if result is None:
            self.throttle.leave(ticket, None)
            return
        several = len(result.attempts) > 1
        latency = (result.attempts[0].milliseconds or 0) / 1000 if several else None
        self.throttle.leave(ticket, outcome_of(result.error), latency=latency)

    def _clearance(self) -> Callable[[float], bool]:
        """Return what answers a sender before each call; the first has the pace's leave already."""
        first = iter([True])

        def may_send(seconds: float) -> bool:
            may_go = partial(self._may_go, seconds)
            return (next(first, False) or self.throttle.follow(may_go=may_go)) and may_go()

        return may_send

    def _may_go(self, seconds: float = 0.0) -> bool:
        """Say whether a call of so many seconds may begin."""
        ends = min(self.ends + OVERTIME, self._first_sent_at + _LONGEST)
        in_time = time.monotonic() < ends and self.batch.has_time_for(seconds)
        return in_time and not self.watch.halted.is_set()

    def _wait(self, sent: Sequence[Future[delivery.Result]]) -> None:
        """Wait for what was sent, and renew the drainer's lease meanwhile."""
        while wait(sent, timeout=_RENEW_EVERY).not_done:
            self.renew()

    def _results(
        self, sent: Sequence[Future[delivery.Result]]
    ) -> tuple[list[delivery.Result], delivery.Situation]:
        """Wait for what was sent; return what came of it, and how things stand then."""
        self._wait(sent)
        results = []
        for future in sent:
            with suppress(_Fault):
                results.append(_guarded(future.result))
        now = clock.now(using=self.using)
        self.watch.conclude(results, now=now)
        return results, self._situation(results, now=now)

    def _settle(self, settlements: list[Settlement], *, now: datetime) -> tuple[dict[int, str], set[int]]:
        """Write outcomes and mirror together.

        Returns how each settled link stands, and the keys of the links that were no longer ours.
        """
        before = {s.link.pk: announcing.Before.of(s.link) for s in settlements}
        outcomes: dict[int, str] = {}
        ours: set[int] = set()
        for _ in range(_SETTLE_TRIES):
            settled = self._write(settlements, now=now)
            for settlement in settlements:
                if settlement.link.pk in settled:
                    outcomes[settlement.link.pk] = _outcome_of(settlement.link)
                    announcing.announce(settlement, before=before[settlement.link.pk])
            settlements = [s for s in settlements if s.link.pk not in settled]
            ours = links.still_ours(self.batch, [s.link.pk for s in settlements], using=self.using)
            if not ours:
                break
            # Somebody else's open transaction holds these rows; it is never waited for under a lock.
            time.sleep(_SETTLE_PAUSE)
        return outcomes, {s.link.pk for s in settlements} - ours

    def _write(self, settlements: Sequence[Settlement], *, now: datetime) -> set[int]:
        """Write what can be written; return the keys of the links.

        An outcome that the database refuses is tried alone, and then left with its lease: the row is claimed
        alone after it, and holds up nobody.
        """
        try:
            with links.writing(using=self.using):
                mirrored = partial(self._mirror, now=now)
                settled = links.settle(self.batch, settlements, mirror=mirrored, now=now, using=self.using)
                erased = [s.link for s in settlements if s.link.pk in settled and s.state == State.ERASED]
                mirror.scrub(erased, using=self.using)
                return settled
        except (DataError, IntegrityError) as failure:
            if len(settlements) > 1:
                return {pk for settlement in settlements for pk in self._write([settlement], now=now)}
            logger.error(  # noqa: TRY400 — a traceback may hold personal data
                "The database refuses an answer of KohortPay about link %s: %s.",
                settlements[0].link.pk,
                type(failure).__name__,
                extra={"link": settlements[0].link.pk, "failure": type(failure).__name__},
            )
            return set()

    def _mirror(self, remotes: list[RemoteCustomer], *, now: datetime) -> dict[str, int]:
        account = self.line.account
        return mirror.write(
            remotes, account=account.key, livemode=account.livemode, now=now, using=self.using
        )


class _Fault(Exception):
    pass


def _guarded(decide: Callable[[], T]) -> T:
    """Do what concerns one row. After a fault of ours the row stays leased, and is claimed alone later."""
    try:
        return decide()
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
    users = get_user_model()._base_manager.using(using)
    return {user.pk: user for user in users.filter(AnyOf(F("pk"), keys))}


def _intents(steps: Iterable[delivery.Step]) -> list[Intent]:
    return [
        Intent(
            link=step.link,
            operation=step.operation,
            version=step.link.desired_version,
            email=step.sent.email_address if isinstance(step, delivery.Create) else None,
        )
        for step in steps
        if step.operation
    ]


def _unchanged(link: CustomerLink) -> Settlement:
    """Give a row back as it is: there was no time left, or its last create has not settled."""
    return Settlement(link=link, state=State(link.state), due_in=1.0)
