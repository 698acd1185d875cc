"""Draining: hold the account's lease, look at the gate, claim, and work batch after batch off."""

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from kohort_sync import conf, gate, links, reconcile, redaction, transactions
from kohort_sync.client import errors
from kohort_sync.drainer import home
from kohort_sync.drainer.line import Line
from kohort_sync.drainer.throttle import Throttle
from kohort_sync.drainer.turn import OVERTIME, Turn
from kohort_sync.drainer.walking import Walk
from kohort_sync.drainer.watch import Watch
from kohort_sync.models import WorkClass
from kohort_sync.pacing import Pace

BUDGET = 15.0
"""Seconds of one task, so that a site's only worker keeps serving the site."""
LINGER = 1.5
"""Seconds of looking on after the last row: longer than wake-ups are coalesced for, so none is missed."""

_POLL = 0.1
_RENEWED_AFTER = 5.0
_ANOTHER_ORGANIZATION_FOR = 30.0
# One claim in ten begins with the lowest class, so that nothing waits for ever.
_LOWEST_FIRST_EVERY = 10
_ENDS_IT = (Exception, KeyboardInterrupt, SystemExit)


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


@redaction.frames_emptied()
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
    drainer.report.work_left = drainer.report.ended != "closed" and (
        links.any_due(account=account.key, using=using) or bool(reconcile.due(account.key, using=using))
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
        self.claims = self.walked_at = 0
        self.to_read = ""
        self.renewed = time.monotonic()
        self.turns: deque[Turn] = deque()
        """Begun and not finished, the older one first. While its requests are under way the next begins."""

    def run(self, *, budget: float, linger: float, stop: Callable[[], bool]) -> None:
        row = gate.account_row(self.account.key, using=self.using)
        if not home.is_here(self.account, row, using=self.using):
            self.report.ended = "closed"
            return
        most = conf.max_concurrency()
        self.pace = Pace(row.pace, most=most, most_rate=conf.get("MAX_RATE"))
        self.throttle = Throttle(self.pace)
        self.line = Line(self.account, row, threads=most, using=self.using)
        self.watch = Watch(row, using=self.using)
        self.ends, self.stop = time.monotonic() + budget, stop
        self.to_read = reconcile.due(self.account.key, using=self.using)
        with ThreadPoolExecutor(most, thread_name_prefix="kohort_sync") as pool:
            try:
                self.report.ended = self._work(pool, linger=linger, stop=stop)
                self._finish_all()
            except _ENDS_IT:
                self.watch.halted.set()
                self._finish_all()  # what was sent is written down all the same
                raise
        gate.note_pace(self.account.key, before=row.pace, now=self.pace.as_json(), using=self.using)
        if self.report.ended == "budget" and not stop():
            self._look_on(linger)

    def _look_on(self, linger: float) -> None:
        """Wait until something is due or the time of looking on is over: a wake-up may have been left out."""
        ends = time.monotonic() + linger
        while time.monotonic() < ends and not links.any_due(account=self.account.key, using=self.using):
            time.sleep(_POLL)

    def _work(self, pool: Executor, *, linger: float, stop: Callable[[], bool]) -> str:
        """Work until there is a reason to end; return it. What was begun last may be unfinished."""
        idle_since: float | None = None
        while time.monotonic() < self.ends and not stop():
            begun = len(self.turns)
            # Where one answer concerns the whole account, or may, those under way are waited for first.
            if not begun or self.watch.is_at_ease:
                now = self._gate()
                if now.open:
                    self._begin(pool)
                elif not begun and not self._is_worth_waiting(now):
                    return "closed"
            if begun:
                self._finish()
                idle_since = time.monotonic()
            elif not self.turns:
                if now.open and self._walk(pool):
                    idle_since = time.monotonic()
                    continue
                if now.open and (idle_since is None or time.monotonic() - idle_since > linger):
                    return "done"
                time.sleep(_POLL)
            if not self._renew():
                return "busy"
        return "budget"

    def _walk(self, pool: Executor) -> bool:
        """Go on with a reconciliation, where one is under way or due; say whether there was one."""
        self.walked_at = self.claims
        if not self.to_read:
            return False
        account = self.account.key
        run = reconcile.begin(account, full=self.to_read == "full", using=self.using)
        self.watch.halted.clear()
        before = run.progress
        Walk(
            run=run,
            line=self.line,
            watch=self.watch,
            throttle=self.throttle,
            pool=pool,
            ends=self.ends,
            stop=self.stop,
            renew=self._renew,
            using=self.using,
        ).go_on()
        if run.progress is before:
            time.sleep(_POLL)  # rows that are due may be locked, and then neither goes on
        self.to_read = reconcile.due(account, using=self.using)
        return True

    def _begin(self, pool: Executor) -> None:
        """Claim a batch and let the pool send it, if anything is due."""
        if self.to_read and self.claims - self.walked_at >= _LOWEST_FIRST_EVERY:
            if self.turns:
                return  # alone, as every question that is not about a link
            self._walk(pool)
        if not self.turns:
            self.watch.halted.clear()
        batch = self._claim()
        if batch is None:
            return
        turn = Turn(
            batch=batch,
            line=self.line,
            watch=self.watch,
            throttle=self.throttle,
            pool=pool,
            ends=self.ends,
            renew=self._renew,
            using=self.using,
            has_company=lambda: bool(self.turns),
        )
        self.turns.append(turn)
        turn.begin()

    def _finish(self) -> None:
        # Whatever interrupts the waiting, what was sent is still there to be written down.
        self.turns[0].wait()
        self.report.outcomes |= self.turns.popleft().finish()

    def _finish_all(self) -> None:
        """Finish each, also where another one fails."""
        while self.turns:
            try:
                self.report.outcomes |= self.turns.popleft().finish()
            except _ENDS_IT:
                self._finish_all()
                raise

    def _gate(self) -> gate.Gate:
        """Look at the gate; after a closure, or with a new key, ask something harmless first."""
        key = self.account.key
        now = gate.read(key, using=self.using)
        if not now.open:
            return now
        try:
            if now.probe_first:
                self._take_leave()
                self.line.probe()
            if not self.line.opens_our_organization(before=self._take_leave):
                seconds = _ANOTHER_ORGANIZATION_FOR
                gate.close(key, reason="other_organization", seconds=seconds, using=self.using)
                return gate.read(key, using=self.using)
        except errors.OutOfTime:
            return gate.Gate(open=False)
        except errors.KohortError as error:
            self.watch.probe_failed(error)
            return gate.read(key, using=self.using)
        if now.probe_first:
            self.watch.reopen()
        return gate.Gate(open=True)

    def _take_leave(self) -> None:
        """Let the pace allow a question for the whole account, which is asked alone. Raises OutOfTime."""
        if self.turns or not self.throttle.follow(may_go=lambda: time.monotonic() < self.ends + OVERTIME):
            raise errors.OutOfTime

    def _is_worth_waiting(self, now: gate.Gate) -> bool:
        """Say whether the gate opens within this drain's time for rows that wait behind it."""
        opens_soon = now.opens_in is not None and now.opens_in < self.ends - time.monotonic()
        return opens_soon and links.any_due(account=self.account.key, using=self.using)

    def _claim(self) -> links.Batch | None:
        order = list(WorkClass)
        if (self.claims + 1) % _LOWEST_FIRST_EVERY == 0:
            order.reverse()
        batch = links.claim(
            account=self.account.key,
            limit=self.watch.rows_at_once(self.pace.rows),
            order=order,
            using=self.using,
            beside=self.turns[0].batch if self.turns else None,
        )
        # One that came to nothing, because it would not have been alone, is made again.
        self.claims += batch is not None
        return batch

    def _renew(self) -> bool:
        """Keep the lease; False where another process has it. A part of it has to be over first."""
        if self.stop():
            self.watch.halted.set()  # what is not sent yet is left to the next drain
        if time.monotonic() - self.renewed <= _RENEWED_AFTER:
            return True
        self.renewed = time.monotonic()
        is_ours = gate.take_drainer_lease(self.account.key, token=self.token, using=self.using)
        if not is_ours:
            self.watch.halted.set()  # what is not sent yet, another drainer sends
        return is_ours
