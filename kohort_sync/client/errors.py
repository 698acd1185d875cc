"""Errors of the service, by what may be done next.

KohortError
├── Unsent       nothing left this machine
│   ├── Unreachable   no name, no route, refused, too slow to connect
│   ├── TlsFailed     the other end could not prove who it is
│   └── OutOfTime     the caller's time was over before the call began
├── Refused      the service would not look at the request
│   ├── KeyRefused    the key, or what it belongs to, is not accepted
│   └── RateLimited   too many requests
├── Ambiguous    the request may have been carried out
│   ├── NoAnswer      silence, a reset, half an answer
│   ├── ServerError   the service failed, or something in front of it
│   └── Unreadable    a success that nobody can understand
├── Definitive   the service read the request and said no
│   ├── Invalid         the data is not accepted
│   ├── ReferenceTaken  another customer bears the reference, perhaps our own earlier attempt
│   ├── EmailTaken      another customer bears the e-mail address, perhaps our own earlier attempt
│   ├── NotFound        no such customer for this key
│   └── Rejected        any other no
└── Contract     the answer is not what was agreed; a person has to look
    ├── Redirected    the service sent us elsewhere; we did not go
    └── Mismatch      the answer speaks of somebody or something else
"""

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar, Final

from kohort_sync import redaction

RETRY_AFTER_CAP = 3600.0
_SECONDS = re.compile(r"[+-]?\d+(?:\s*,\s*[+-]?\d+)*")
_DIGITS_BELOW_CAP = 6


class Outcome(enum.StrEnum):
    """Say what one call may have changed at the service."""

    UNSENT = "unsent"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    DEFINITIVE = "definitive"
    CONTRACT = "contract"


class KohortError(Exception):
    """Stand for every failure of a call; one of the five kinds below always says more.

    `status` is the HTTP status (None without one), `retry_after` the seconds that the service asked for,
    `milliseconds` the duration of the call. `detail` is redacted: no key and no address gets into the text.
    """

    outcome: ClassVar[Outcome]
    code: ClassVar[str] = "kohort_error"
    may_retry: ClassVar[bool] = False
    may_have_arrived: ClassVar[bool] = True
    happened: ClassVar[str] = "The call to KohortPay failed"
    next_step: ClassVar[str] = "Run `manage.py check` and `manage.py kohort_sync status`."

    def __init__(
        self,
        detail: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        milliseconds: int = 0,
    ) -> None:
        self.detail = redaction.redact(detail)
        self.status = status
        self.retry_after = retry_after
        self.milliseconds = milliseconds
        super().__init__(self.detail)

    def __str__(self) -> str:
        status = f" (HTTP {self.status})" if self.status is not None else ""
        detail = f": {self.detail.rstrip('.')}" if self.detail else ""
        return f"{self.happened}{status}{detail}. {self.next_step}"


class Unsent(KohortError):
    """Nothing of the request left this machine: it cannot have arrived."""

    outcome = Outcome.UNSENT
    may_have_arrived = False


class Unreachable(Unsent):
    """No connection came about in time: it cannot have arrived, try again later."""

    code = "unreachable"
    may_retry = True
    happened = "KohortPay could not be reached"
    next_step = "It is tried again; if it lasts, check BASE_URL, the name server and the firewall."


class TlsFailed(Unsent):
    """The certificate or the handshake failed: it cannot have arrived, and a retry waits for a person."""

    code = "tls_failed"
    happened = "The identity of KohortPay's server could not be verified"
    next_step = "Check BASE_URL, the clock of this machine and CA_BUNDLE; it is then tried again."


class OutOfTime(Unsent):
    """The caller's lease would not outlast the call: it cannot have arrived, try again later."""

    code = "out_of_time"
    may_retry = True
    happened = "The time left was too short for another call"
    next_step = "It is tried again by itself."


class Refused(KohortError):
    """The service turned the request away unread: it has changed nothing."""

    outcome = Outcome.REFUSED
    may_have_arrived = False


class KeyRefused(Refused):
    """The key is not accepted (401, 403, some 400 and 404): nothing changed, a retry waits for a person."""

    code = "key_refused"
    happened = "KohortPay does not accept the API key"
    next_step = "Check API_KEY in the KOHORT_SYNC setting; it is then tried again."


class RateLimited(Refused):
    """Too many requests (429): nothing changed, try again after `retry_after` seconds."""

    code = "rate_limited"
    may_retry = True
    happened = "KohortPay asks for fewer requests"
    next_step = "The pace adapts by itself; lower MAX_RATE if it happens often."


class Ambiguous(KohortError):
    """The request may have been carried out: look before anything is created again."""

    outcome = Outcome.AMBIGUOUS
    may_retry = True


class NoAnswer(Ambiguous):
    """The request left and no whole answer came in time: it may have arrived, look and then try again."""

    code = "no_answer"
    happened = "KohortPay did not answer in time, or not to the end"
    next_step = (
        "The customer is looked up before anything is sent again; a live key may need a longer DEADLINE."
    )


class ServerError(Ambiguous):
    """The service or a router failed (408, 5xx): it may have arrived, look, then try again, not for ever."""

    code = "server_error"
    happened = "KohortPay failed while it handled the request"
    next_step = "The customer is looked up before anything is sent again; if it lasts, ask KohortPay."


UNWELL: Final = (Unsent, ServerError, NoAnswer)
"""What says that the service, or the way to it, is not well; nothing about what was sent."""


class Unreadable(Ambiguous):
    """A success came whose body cannot be understood: it may have arrived, look and then try again."""

    code = "unreadable"
    happened = "KohortPay's answer could not be understood"
    next_step = (
        "The customer is looked up before anything is sent again; check what stands between us and BASE_URL."
    )


class Definitive(KohortError):
    """The service read the request and said no: this request changed nothing, the same one fares no better.

    `remote_message` is what the service said, redacted.
    """

    outcome = Outcome.DEFINITIVE
    may_have_arrived = False
    remote_message: str = ""


class Invalid(Definitive):
    """The data is not accepted (400 with a list, 413, 422): nothing changed, try again with other data.

    `fields` names the documented fields that the service speaks of, never their values.
    """

    code = "invalid"
    happened = "KohortPay does not accept the data of this customer"
    next_step = "Correct the user's data; saving the user sends it again."

    def __init__(
        self,
        detail: str = "",
        *,
        fields: tuple[str, ...] = (),
        status: int | None = None,
        retry_after: float | None = None,
        milliseconds: int = 0,
    ) -> None:
        super().__init__(detail, status=status, retry_after=retry_after, milliseconds=milliseconds)
        self.fields = fields
        self.remote_message = self.detail


class ReferenceTaken(Definitive):
    """A customer bears the reference (400): this request changed nothing; look it up, do not retry."""

    code = "reference_taken"
    happened = "A customer with this reference exists at KohortPay already"
    next_step = "It is looked up by its reference; nothing needs to be done."


class EmailTaken(Definitive):
    """A customer bears the e-mail address (409): this request changed nothing; look up, do not retry."""

    code = "email_taken"
    happened = "A customer with this e-mail address exists at KohortPay already, perhaps a deleted one"
    next_step = "If the look-up by reference finds nothing, change the address of one of the two."


class NotFound(Definitive):
    """No customer with this id for this key (404, 410): nothing changed; confirm, then resolve again."""

    code = "not_found"
    happened = "KohortPay has no such customer for this key"
    next_step = "It is looked up once more before it is believed."


class Rejected(Definitive):
    """Any other no (4xx): nothing changed, do not retry before something has changed."""

    code = "rejected"
    happened = "KohortPay rejected the request"
    next_step = "Read what KohortPay said and correct the user's data; it is then tried again."

    def __init__(
        self,
        detail: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        milliseconds: int = 0,
    ) -> None:
        super().__init__(detail, status=status, retry_after=retry_after, milliseconds=milliseconds)
        self.remote_message = self.detail


class Contract(KohortError):
    """The answer is not what was agreed: it may have arrived, and everything waits for a person."""

    outcome = Outcome.CONTRACT


class Redirected(Contract):
    """The service sent us elsewhere (3xx), and we never go: it may have arrived, a person has to look."""

    code = "redirected"
    happened = "KohortPay's address answers with a redirect, which is never followed"
    next_step = "Check BASE_URL: it has to be the final address, with https and no path."


class Mismatch(Contract):
    """The answer speaks of something else: it may have arrived, a person checks key and address.

    `what` names the disagreement: `email`, `reference`, `reference_not_shown`, `livemode`, `organization`,
    `id`, or `address` (BASE_URL leads to something that knows no customers).
    """

    code = "mismatch"
    happened = "KohortPay's answer does not belong to the question"
    next_step = "Check API_KEY and BASE_URL; it is looked up again."

    def __init__(
        self,
        detail: str = "",
        *,
        what: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        milliseconds: int = 0,
    ) -> None:
        super().__init__(
            detail or what.replace("_", " "),
            status=status,
            retry_after=retry_after,
            milliseconds=milliseconds,
        )
        self.what = what


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Read `Retry-After`: seconds from 0 to 3600, or None when it is missing or makes no sense.

    A date is measured against the answer's own `Date`, because our clock may be wrong. Both forms are RFC
    9110's; the service documents neither.
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        # A header sent twice arrives joined by a comma: the longer wait is the safe one.
        return max(_bounded(part.strip()) for part in value.split(","))
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date(headers.get("Date", "")) or now or datetime.now(UTC)
    return min(max((until - since).total_seconds(), 0.0), RETRY_AFTER_CAP)


def _bounded(digits: str) -> float:
    if digits.startswith("-"):
        return 0.0
    significant = digits.lstrip("+0") or "0"
    if len(significant) > _DIGITS_BELOW_CAP:
        return RETRY_AFTER_CAP
    return min(float(significant), RETRY_AFTER_CAP)


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
