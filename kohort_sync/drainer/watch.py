"""The watch: what single answers mean for the whole account. It closes the gate, and opens it slowly."""

import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Event

from kohort_sync import gate, retry
from kohort_sync.client import errors
from kohort_sync.delivery import Result
from kohort_sync.drainer.line import answers_as_ever
from kohort_sync.models import Account, CustomerLink
from kohort_sync.pacing import MOST_ROWS

logger = logging.getLogger(__name__)

_chance = random.Random()  # noqa: S311 — spreads probes, guards nothing

_CLOSED_FOR: dict[type[errors.KohortError], float] = {
    errors.KeyRefused: 60.0,
    errors.TlsFailed: 60.0,
    errors.Contract: 300.0,
}
_FAILURES_IN_A_ROW = 5
_UNAVAILABLE_FOR = 30.0
_NEWS_AFTER = timedelta(seconds=10)


class Watch:
    """Count failures in a row over all drains; say how many rows may be sent at once after a closure."""

    def __init__(self, row: Account, *, using: str) -> None:
        self.key, self.using = row.key, using
        self.halted = Event()
        self.failures = row.failures
        self.last_success_at = row.last_success_at
        self._opening = 1 if row.gate_closures else None
        self._noted_failures = row.failures
        self._noted_success_at: datetime | None = None

    @property
    def is_at_ease(self) -> bool:
        """Say whether another batch may begin before the answers to the last one are known."""
        return self._opening is None and not self.halted.is_set()

    def rows_at_once(self, usual: int) -> int:
        """Return how many rows to claim: one after a closure, then two, four, up to the usual number."""
        return usual if self._opening is None else min(usual, self._opening)

    def reopen(self) -> None:
        """Open the gate after a probe that was answered; the next failure closes it at once."""
        self.failures = min(self.failures, _FAILURES_IN_A_ROW - 1)
        self._opening = 1
        gate.reopen(self.key, using=self.using)

    def see(self, result: Result) -> None:
        """Stop what is not sent yet as soon as an answer concerns the whole account. Runs in a thread."""
        error = result.error
        if isinstance(error, errors.OutOfTime):
            return
        self._count(error)
        if self.failures >= _FAILURES_IN_A_ROW or _closes(error, result.step.link):
            self.halted.set()

    def conclude(self, results: Sequence[Result], *, now: datetime) -> None:
        """Write down what the answers of one batch say about the account, and close the gate if need be."""
        failed = [result for result in results if result.error is not None]
        # One is enough, the one that asks for the longest wait: closing for each would say the same again.
        concerning = max(
            (result for result in failed if _closes(result.error, result.step.link)),
            key=lambda result: getattr(result.error, "retry_after", None) or 0.0,
            default=failed[-1] if failed else None,
        )
        if any(map(_was_accepted, results)):
            self._note_success(now)
        if results and not failed and self._opening is not None:
            self._opening = self._opening * 2 if self._opening < MOST_ROWS else None
        self._note_failures()
        if concerning is not None and concerning.error is not None:
            self.close(concerning.error, concerning.step.link)

    def hear(self, error: errors.KohortError | None) -> None:
        """Heed the answer to a question that concerns no link: None where it was a good one."""
        self._count(error)
        self._note_failures()
        if error is not None:
            self.close(error)

    def _count(self, error: errors.KohortError | None) -> None:
        self.failures = self.failures + 1 if isinstance(error, errors.UNWELL) else 0

    def _note_success(self, now: datetime) -> None:
        """Remember that something was accepted; in the row where that is news there."""
        self.last_success_at, noted_at = now, self._noted_success_at
        if noted_at is None or self._noted_failures or now - noted_at > _NEWS_AFTER:
            gate.note_success(self.key, at=now, using=self.using)
            self._noted_success_at, self._noted_failures = now, 0

    def _note_failures(self) -> None:
        if self.failures != self._noted_failures:
            gate.note_failures(self.key, failures=self.failures, using=self.using)
            self._noted_failures = self.failures

    def close(self, error: errors.KohortError, link: CustomerLink | None = None) -> None:
        """Close the gate if the error concerns the account, for as long as that kind of error wants."""
        asked = getattr(error, "retry_after", None) or 0.0
        if isinstance(error, errors.RateLimited):
            closures = gate.account_row(self.key, using=self.using).gate_closures
            reason, seconds = error.code, retry.slow_down(retry_after=asked, closures=closures)
        elif _closes(error, link):
            kind = next((kind for kind in _CLOSED_FOR if isinstance(error, kind)), None)
            reason, seconds = (error.code, _CLOSED_FOR[kind]) if kind else ("unavailable", asked)
        elif self.failures >= _FAILURES_IN_A_ROW:
            reason, seconds = "unavailable", asked
        else:
            return
        if reason == "unavailable" and self.failures >= _FAILURES_IN_A_ROW:
            seconds = max(seconds, _UNAVAILABLE_FOR)
        seconds = retry.spread(seconds, chance=_chance)
        self._noted_success_at = None  # the next one is news
        gate.close(self.key, reason=reason, seconds=seconds, using=self.using)
        logger.warning(
            "Sending to %s is paused: %s.",
            self.key,
            error.code,
            extra={"account": self.key, "code": error.code},
        )

    def probe_failed(self, error: errors.KohortError) -> None:
        """Stay closed: one failed probe is enough."""
        self.failures = max(self.failures, _FAILURES_IN_A_ROW)
        self.close(error)


def _was_accepted(result: Result) -> bool:
    """Say whether the service has dealt with a change; that it can be read from proves less."""
    return bool(result.step.operation) and (
        result.error is None or isinstance(result.error, errors.Definitive)
    )


def _closes(error: errors.KohortError | None, link: CustomerLink | None) -> bool:
    """Say whether an error concerns the whole account.

    A wrong answer does, the first time; when the same link meets it again, it is that link's own trouble.
    """
    if isinstance(error, errors.Mismatch):
        repeated = link is not None and link.last_error_code == error.code
        return not (repeated or answers_as_ever(error))
    if isinstance(error, errors.ServerError):
        return bool(error.retry_after)
    return isinstance(error, (*_CLOSED_FOR, errors.RateLimited))
