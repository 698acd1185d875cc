"""Walking: read for a run what KohortPay has, while nothing else is due, and write down how it differs.

The threads of the pool ask for pages; whoever drains writes them into the mirror, together with how far it
has got. A walk goes on for as long as it may, and in any process after it.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, TypeVar

from django.db import DataError, IntegrityError

from kohort_sync import clock, gate, links, reconcile, signals
from kohort_sync.client import errors
from kohort_sync.client.customers import PAGE_SIZE
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.drainer.line import Line
from kohort_sync.drainer.throttle import Throttle, outcome_of
from kohort_sync.drainer.watch import Watch
from kohort_sync.models import Customer, CustomerLink, State, SyncRun

logger = logging.getLogger(__name__)

T = TypeVar("T")

WALKERS = 8
"""Ranges that are read side by side, where the pace allows."""

_LEAST_FOR_RANGES = 2 * WALKERS * PAGE_SIZE
_WRITTEN_AT_ONCE = 500
_WRITTEN_EVERY = 1.0
_LOOKS_EVERY = 0.5
_COMPARED_AT_ONCE = 500
# What changed while the last run read may bear an earlier moment than what that run saw last.
_OVERLAP = timedelta(minutes=5)
# A page of an expensive key takes half a second, of another one a fiftieth of that.
_EXPENSIVE = 0.2
_KEPT_FINDINGS = 2000
_KEPT_STRANGERS = 100
# Whatever else an error says about the answer to a question for a page, it says about that question alone.
_CONCERNS_THE_ACCOUNT = (*errors.UNWELL, errors.KeyRefused, errors.RateLimited, errors.TlsFailed)


@dataclass
class _Read:
    """Hold what one question brought: the part as it then stood, and the customers."""

    at: int
    part: dict[str, Any]
    customers: list[RemoteCustomer]
    strangers: tuple[str, ...]


@dataclass
class _Stopped:
    """Say why a part was not read on: an error, or a row out of place."""

    error: errors.KohortError | None


@dataclass(kw_only=True)
class Walk:
    """Go on with a run. `ends` is on the monotonic clock; `renew` keeps the drainer's lease."""

    run: SyncRun
    line: Line
    watch: Watch
    throttle: Throttle
    pool: Executor
    ends: float
    stop: Callable[[], bool]
    renew: Callable[[], bool]
    using: str
    _told: "SimpleQueue[_Read | _Stopped]" = field(default_factory=SimpleQueue, init=False)

    def go_on(self) -> None:
        """Do what comes next, until something else is due; the run is saved as far as it has got."""
        steps = {"plan": self._plan, "read": self._read, "refer": self._refer, "compare": self._compare}
        try:
            steps[self._progress["step"]]()
        except errors.KohortError as error:
            self._heed(error)

    # What is to be read

    def _plan(self) -> None:
        kept = gate.account_row(self.run.account, using=self.using).checkpoint
        if not self.run.scope["full"] and not self._progress.get("full") and "newest" in kept:
            since = datetime.fromisoformat(kept["newest"]) - _OVERLAP
            self._begin([reconcile.Changes(since=reconcile.spelled(since))], complete=False)
            return
        page = self._asked(lambda: self.line.customers.page(take=1))
        self.watch.hear(None)
        count = page.count
        users = CustomerLink.objects.using(self.using).filter(account=self.run.account, state=State.LINKED)
        latency = self.throttle.pace.latency
        if latency is not None and latency > _EXPENSIVE and 2 * users.count() < count:
            # Asked by reference, 25 cost what a page does; who has no user here is then not found.
            self._save(step="refer", after=0, count=count, complete=True, by_reference=True)
            return
        boundaries: list[str] = []
        if count >= _LEAST_FOR_RANGES:
            for at in range(1, WALKERS):
                skip = at * count // WALKERS
                page = self._asked(lambda skip=skip: self.line.customers.page(take=1, skip=skip))  # type: ignore[misc]
                boundaries += page.ids
        self._begin(reconcile.ranges(boundaries), complete=True, count=count)

    def _begin(self, parts: Sequence[reconcile.Part], **known: Any) -> None:
        self._save(step="read", parts=[part.as_json() for part in parts], **known)

    def _asked(self, question: Callable[[], T]) -> T:
        """Ask something alone, at the account's pace. Raises `KohortError`."""
        if not self.throttle.follow(may_go=self._may_go):
            raise errors.OutOfTime
        return question()

    def _may_go(self) -> bool:
        return time.monotonic() < self.ends and not self.watch.halted.is_set() and not self.stop()

    # Reading

    def _read(self) -> None:
        parts = [reconcile.from_json(kept) for kept in self._progress["parts"]]
        unread = [at for at, part in enumerate(parts) if not part.done]
        # After a closure one question at a time is enough to see whether the service is well.
        walkers = WALKERS if self.watch.is_at_ease else 1
        stop = Event()
        walking = [self.pool.submit(self._follow, at, parts[at], stop) for at in unread[:walkers]]
        try:
            stopped = self._write_what_comes(walking, stop)
        finally:
            stop.set()
        for future in walking:
            future.result()  # a fault of ours is not passed over
        if stopped is not None and stopped.error is None:
            self._read_in_another_way()
        elif stopped is not None and stopped.error is not None:
            raise stopped.error
        elif all(part.done for part in parts):
            self._has_read()

    def _follow(self, at: int, part: reconcile.Part, stop: Event) -> None:
        """Read one part page by page, in a thread."""
        while not part.done and not stop.is_set():
            ticket = self.throttle.enter(may_go=lambda: self._may_go() and not stop.is_set())
            if ticket is None:
                return
            outcome = None
            try:
                page = part.ask(self.line.customers)
                outcome = outcome_of(None)
                customers = part.take(page)
                self._told.put(_Read(at, part.as_json(), customers, page.strangers))
            except errors.KohortError as error:
                outcome = outcome_of(error)
                self._told.put(_Stopped(error))
                stop.set()
            except reconcile.Misplaced:
                self._told.put(_Stopped(None))
                stop.set()
            finally:
                self.throttle.leave(ticket, outcome)

    def _write_what_comes(self, walking: Sequence[Future[None]], stop: Event) -> _Stopped | None:
        """Write pages as they come until nobody reads any more; return why it stopped, if for a reason."""
        stopped: _Stopped | None = None
        pages: list[_Read] = []
        looked = written = time.monotonic()
        while True:
            is_last = all(future.done() for future in walking)
            try:
                told = self._told.get(timeout=0.05)
            except Empty:
                if is_last:
                    break
            else:
                if isinstance(told, _Stopped):
                    stopped = stopped or told
                else:
                    pages.append(told)
            now = time.monotonic()
            if sum(len(page.customers) for page in pages) >= _WRITTEN_AT_ONCE or (
                pages and now - written > _WRITTEN_EVERY
            ):
                self._take_over(pages)
                pages, written = [], now
            if now - looked > _LOOKS_EVERY:
                looked = now
                if not self.renew() or self._is_other_work_due() or self.run.finished_at is not None:
                    stop.set()
        self._take_over(pages)
        return stopped

    def _is_other_work_due(self) -> bool:
        return links.any_due(account=self.run.account, using=self.using)

    def _take_over(self, pages: Sequence[_Read]) -> None:
        """Write the customers of some pages, and how far the parts have got, both or neither."""
        if not pages:
            return
        self.watch.hear(None)
        customers = [customer for page in pages for customer in page.customers]
        self.line.learn(customers)
        progress = dict(self._progress)
        progress["parts"] = list(progress.get("parts", ()))
        for page in pages:
            if page.part:
                progress["parts"][page.at] = page.part
        strangers = {*progress.get("strangers", ()), *(one for page in pages for one in page.strangers)}
        progress["strangers"] = sorted(strangers)[:_KEPT_STRANGERS]
        moments = [customer.updated_at.isoformat() for customer in customers if customer.updated_at]
        progress["newest"] = max([*moments, progress.get("newest", "")])
        counters = Counter(self.run.counters) + Counter(pages=len(pages), customers=len(customers))
        try:
            with links.writing(using=self.using):
                flips = self._mirror(customers)
                goes_on = reconcile.save(
                    self.run, progress=progress, counters=dict(counters), using=self.using
                )
        except (DataError, IntegrityError):
            flips = self._mirror_one_by_one(customers)
            goes_on = reconcile.save(self.run, progress=progress, counters=dict(counters), using=self.using)
        self._announce(flips)
        if not goes_on:
            self._finish({"ended": "cancelled"})

    def _mirror(self, customers: Sequence[RemoteCustomer]) -> list[reconcile.Flip]:
        account, now = self.line.account, clock.now(using=self.using)
        return reconcile.take_over(
            customers, account=account.key, livemode=account.livemode, now=now, using=self.using
        )

    def _mirror_one_by_one(self, customers: Sequence[RemoteCustomer]) -> list[reconcile.Flip]:
        """Leave out the customer that the database refuses: it must not keep all others from being read."""
        flips = []
        for customer in customers:
            try:
                with links.writing(using=self.using):
                    flips += self._mirror([customer])
            except (DataError, IntegrityError) as failure:
                logger.error(  # noqa: TRY400 — a traceback may hold personal data
                    "The database refuses the customer %s of KohortPay: %s.",
                    customer.kohort_id,
                    type(failure).__name__,
                    extra={"customer": customer.kohort_id, "failure": type(failure).__name__},
                )
        return flips

    def _announce(self, flips: Sequence[reconcile.Flip]) -> None:
        rows = CustomerLink.objects.using(self.using).select_related("customer")
        known = rows.in_bulk([flip.link for flip in flips])
        for flip in flips:
            signal = signals.customer_blocked if flip.blocked else signals.customer_unblocked
            if flip.link in known:
                signal.send_robust(CustomerLink, link=known[flip.link])

    def _read_in_another_way(self) -> None:
        """Read by page numbers what could not be read by ids, and everything where changes were not told."""
        if self._progress["parts"][0]["kind"] == reconcile.Changes.kind:
            self._save(step="plan", full=True)
        else:
            self._begin([reconcile.Pages()], walks=1)

    def _has_read(self) -> None:
        by_numbers = self._progress["parts"][0]["kind"] == reconcile.Pages.kind
        if by_numbers and self._progress["walks"] == 1 and self._seen() < self._progress["count"]:
            # Rows that moved between two pages were missed: once more.
            self._begin([reconcile.Pages()], walks=2)
            return
        self._save(step="compare", after=0)

    def _seen(self) -> int:
        rows = Customer.objects.using(self.using).filter(account=self.run.account)
        strangers = len(self._progress.get("strangers", ()))
        return rows.filter(mirrored_at__gte=self._began).count() + strangers

    # Asking by reference

    def _refer(self) -> None:
        """Ask for the customers of the next users, by their references."""
        while self._may_go() and not self._is_other_work_due() and self.run.finished_at is None:
            rows = CustomerLink.objects.using(self.using).filter(account=self.run.account, state=State.LINKED)
            next_ = rows.filter(pk__gt=self._progress["after"]).order_by("pk")
            found = list(next_.values_list("pk", "client_reference_id")[: WALKERS * PAGE_SIZE])
            if not found:
                self._save(step="compare", after=0)
                return
            groups = [found[at : at + PAGE_SIZE] for at in range(0, len(found), PAGE_SIZE)]
            asked = [self.pool.submit(self._find, [reference for _, reference in group]) for group in groups]
            customers = [customer for future in asked for customer in future.result()]
            self._progress["after"] = found[-1][0]
            self._take_over([_Read(0, {}, customers, ())])
            if not self.renew():
                return

    def _find(self, references: Sequence[str]) -> tuple[RemoteCustomer, ...]:
        ticket = self.throttle.enter(may_go=self._may_go)
        if ticket is None:
            raise errors.OutOfTime
        outcome = None
        try:
            found = self.line.customers.find_many(references=references)
        except errors.KohortError as error:
            outcome = outcome_of(error)
            raise
        else:
            outcome = outcome_of(None)
            return found
        finally:
            self.throttle.leave(ticket, outcome)

    # Comparing

    def _compare(self) -> None:
        """Compare users with what was read, some at a time."""
        while self._may_go() and not self._is_other_work_due():
            compared = reconcile.next_links(
                self.run.account,
                after=self._progress["after"],
                limit=_COMPARED_AT_ONCE,
                seen_since=self._began,
                complete=self._progress["complete"],
                using=self.using,
            )
            if not compared:
                self._finish(self._report())
                return
            # First: a function of the host that kills this process is not met again.
            if not self._save(after=compared[-1].pk):
                return
            self._tell(reconcile.compare(compared, seen_since=self._began, using=self.using), compared)
            if not self.renew():
                return

    def _tell(self, found: Sequence[reconcile.Finding], compared: Sequence[CustomerLink]) -> None:
        """Count findings and keep them; what differs is compared by the drainer, and ours sent."""
        counters = Counter(self.run.counters) + Counter(finding.kind for finding in found)
        kept = [*self.run.report.get("findings", ())]
        kept += [finding.as_json() for finding in found if finding.kind != "equal"]
        by_key = {link.pk: link for link in compared}
        differing = {
            finding.link
            for finding in found
            if finding.kind in ("drifted", "missing", "deleted") and finding.link is not None
        }
        if not self.run.scope["report_only"]:
            to_ask = [key for key in differing if not by_key[key].refused]
            links.ask_to_compare(to_ask, using=self.using)
        reconcile.save(
            self.run,
            counters=dict(counters),
            report={"findings": kept[:_KEPT_FINDINGS]},
            using=self.using,
        )
        for finding in found:
            if finding.kind == "drifted" and finding.link is not None:
                signals.drift_found.send_robust(
                    CustomerLink, link=by_key[finding.link], fields=finding.fields
                )

    def _report(self) -> dict[str, Any]:
        """Add who belongs to no user here, and say what was read."""
        counters = Counter(self.run.counters)
        kept = [*self.run.report.get("findings", ())]
        if not self._progress.get("by_reference"):
            for kind, rows in reconcile.unknown(self.run.account, seen_since=self._began, using=self.using):
                counters[kind] = rows.count()
                left = max(0, _KEPT_FINDINGS - len(kept))
                ids = rows.order_by("pk").values_list("kohort_id", flat=True)[:left]
                kept += [reconcile.Finding(kind=kind, kohort_id=one).as_json() for one in ids]
        strangers = self._progress.get("strangers", [])
        counters["stranger"] = len(strangers)
        kept += [reconcile.Finding(kind="stranger", kohort_id=one).as_json() for one in strangers]
        self.run.counters = dict(counters)
        counted = self._progress.get("count")
        unseen = max(0, counted - self._seen()) if counted is not None and "walks" in self._progress else 0
        return {
            "ended": "done",
            "complete": self._progress["complete"],
            "by_reference": bool(self._progress.get("by_reference")),
            "not_shown": unseen,
            "findings": kept[:_KEPT_FINDINGS],
        }

    # The run

    @property
    def _progress(self) -> dict[str, Any]:
        progress: dict[str, Any] = self.run.progress
        return progress

    @property
    def _began(self) -> datetime:
        return datetime.fromisoformat(self._progress["began"])

    def _save(self, **known: Any) -> bool:
        """Write down how far it has got; False where somebody has called the run off."""
        goes_on = reconcile.save(self.run, progress=self._progress | known, using=self.using)
        if not goes_on:
            self._finish({"ended": "cancelled"})
        return goes_on

    def _finish(self, report: dict[str, Any]) -> None:
        is_done = report["ended"] == "done"
        checkpoint: dict[str, Any] = {}
        if is_done and self._progress.get("newest"):
            checkpoint["newest"] = self._progress["newest"]
        if is_done and self._progress["complete"]:
            checkpoint["full_at"] = self._progress["began"]
        reconcile.finish(self.run, report=report, checkpoint=checkpoint, using=self.using)

    def _heed(self, error: errors.KohortError) -> None:
        """Close the gate where an error concerns the account; any other ends this run and nothing else."""
        if isinstance(error, errors.OutOfTime):
            return
        if isinstance(error, _CONCERNS_THE_ACCOUNT):
            self.watch.hear(error)
        else:
            self._finish({"ended": "failed", "code": error.code, "said": str(error)})
