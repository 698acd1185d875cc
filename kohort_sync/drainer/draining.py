"""Draining: hold the account's lease, look at the gate, claim, and work batch after batch off."""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from kohort_sync import conf, gate, links, transactions
from kohort_sync.client import errors
from kohort_sync.drainer.line import Line
from kohort_sync.drainer.turn import Turn
from kohort_sync.drainer.watch import Watch
from kohort_sync.links import Batch
from kohort_sync.models import WorkClass
from kohort_sync.pacing import Pace

BUDGET = 15.0
"""Seconds of one task, so that a site's only worker keeps serving the site."""
LINGER = 1.5
"""Seconds of looking on after the last row: longer than wake-ups are coalesced for, so none is missed."""

_POLL = 0.1
_ANOTHER_ORGANIZATION_FOR = 30.0
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
    transactions.reconnect_if_lost(using=using)
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
        self.claims = 0

    def run(self, *, budget: float, linger: float, stop: Callable[[], bool]) -> None:
        row = gate.account_row(self.account.key, using=self.using)
        self.line = Line(self.account, row, threads=self.pace.concurrency, using=self.using)
        self.watch = Watch(row, using=self.using)
        self.ends = time.monotonic() + budget
        with ThreadPoolExecutor(self.pace.concurrency, thread_name_prefix="kohort_sync") as pool:
            self.report.ended = self._work(pool, linger=linger, stop=stop)

    def _work(self, pool: Executor, *, linger: float, stop: Callable[[], bool]) -> str:
        """Work until there is a reason to end; return it."""
        idle_since: float | None = None
        while time.monotonic() < self.ends and not stop():
            now = self._gate()
            if not now.open and not self._is_worth_waiting(now):
                return "closed"
            batch = self._claim() if now.open else None
            if batch is not None:
                self.report.outcomes |= self._turn(batch, pool)
                idle_since = time.monotonic()
            elif now.open and (idle_since is None or time.monotonic() - idle_since > linger):
                return "done"
            else:
                time.sleep(_POLL)
            if not self._renew():
                return "busy"
        return "budget"

    def _turn(self, batch: Batch, pool: Executor) -> dict[int, str]:
        turn = Turn(
            batch=batch,
            line=self.line,
            watch=self.watch,
            pool=pool,
            ends=self.ends,
            renew=self._renew,
            using=self.using,
        )
        return turn.run()

    def _gate(self) -> gate.Gate:
        """Look at the gate; after a closure, or with a new key, ask something harmless first."""
        key = self.account.key
        now = gate.read(key, using=self.using)
        if not now.open:
            return now
        try:
            if now.probe_first:
                self.line.probe()
            if not self.line.opens_our_organization():
                seconds = _ANOTHER_ORGANIZATION_FOR
                gate.close(key, reason="other_organization", seconds=seconds, using=self.using)
                return gate.read(key, using=self.using)
        except errors.KohortError as error:
            self.watch.probe_failed(error)
            return gate.read(key, using=self.using)
        if now.probe_first:
            self.watch.reopen()
        return gate.Gate(open=True)

    def _is_worth_waiting(self, now: gate.Gate) -> bool:
        """Say whether the gate opens within this drain's time for rows that wait behind it."""
        opens_soon = now.opens_in is not None and now.opens_in < self.ends - time.monotonic()
        return opens_soon and links.any_due(account=self.account.key, using=self.using)

    def _claim(self) -> Batch | None:
        self.claims += 1
        order = list(WorkClass)
        if self.claims % _LOWEST_FIRST_EVERY == 0:
            order.reverse()
        limit = self.watch.rows_at_once(self.pace.batch)
        return links.claim(account=self.account.key, limit=limit, order=order, using=self.using)

    def _renew(self) -> bool:
        return gate.take_drainer_lease(self.account.key, token=self.token, using=self.using)
