"""Refusals: what an unsuccessful answer means; its words count only where the status leaves a doubt."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

from kohort_sync import redaction
from kohort_sync.client import errors
from kohort_sync.client.records import FIELDS, CustomerData, RemoteCustomer, decoded, facts_of
from kohort_sync.client.transport import Exchange


@dataclass(frozen=True)
class Question:
    """What a call asked about, for its answer to be compared with and its refusal to be understood by."""

    kohort_id: str | None = None
    reference: str | None = None
    email: str | None = None
    writes: bool = False
    sent: CustomerData | Mapping[str, object] | None = None
    # Whom it is about, so that a refusal that tells of the person can be stripped of it.
    about: CustomerData | None = None

    def __repr__(self) -> str:
        return f"Question(kohort_id={self.kohort_id!r})"

    def body(self) -> Mapping[str, object]:
        return self.sent.payload() if isinstance(self.sent, CustomerData) else self.sent or {}

    def disagreement(self, customer: RemoteCustomer) -> str | None:
        """Name what a customer shows differently from what was asked; what is not shown does not disagree."""
        for what, asked, shown in (
            ("id", self.kohort_id, customer.kohort_id),
            ("reference", self.reference, customer.client_reference_id),
            ("email", self.email, customer.email_address),
        ):
            if asked is not None and shown is not None and asked != shown:
                return what
        return None


_KEY_TALK = re.compile(
    r"\b(?:authori[sz]ation|authentication|bearer|api[ _-]?key|(?:secret|access) (?:key|token))\b",
    re.IGNORECASE,
)
_KEY_SHOWN = re.compile(r"[sp]k_(?:test|live)_")
_NO_ORGANIZATION = re.compile(r"organi[sz]ation not found", re.IGNORECASE)
_REFERENCE_TAKEN = re.compile(r"client reference id .*already exists", re.IGNORECASE | re.DOTALL)
_BY_EITHER_NAME: Final = {**{camel: camel for camel in FIELDS.values()}, **FIELDS}
_PERSONAL: Final = ("emailAddress", "firstName", "lastName", "phoneNumber", "address", "shippingAddress")
_MESSAGES_READ: Final = 20
_ABOUT_DATA: Final = (413, 422)  # their names in http.HTTPStatus change with the version of Python


def check_status(exchange: Exchange, question: Question) -> None:
    """Raise what an unsuccessful status means; the message decides where one status means several things."""
    status, facts = exchange.status, facts_of(exchange)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise errors.RateLimited(retry_after=errors.retry_after(exchange.headers), **facts)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        waits = status == HTTPStatus.SERVICE_UNAVAILABLE
        raise errors.ServerError(retry_after=errors.retry_after(exchange.headers) if waits else None, **facts)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise errors.KeyRefused(**facts)
    if status < HTTPStatus.BAD_REQUEST:  # 1xx: the transport has dealt with 3xx
        raise errors.Unreadable("it is not a final answer", **facts)
    raise _refusal(status, _Messages.read(exchange), facts, question)


def _refusal(
    status: int, messages: "_Messages", facts: dict[str, Any], question: Question
) -> errors.KohortError:
    about = question.about.payload() if question.about is not None else question.body()
    talk = redaction.redact(messages.text, known=_personal_texts(about))
    # Where it is not known whom the service may speak of, its words are not kept.
    said = talk if question.about is not None else ""
    bad_request = status == HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.CONFLICT and question.writes:
        return errors.EmailTaken(**facts)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return _missing(messages, facts, question)
    if bad_request and _REFERENCE_TAKEN.search(messages.text):
        return errors.ReferenceTaken(**facts)
    if status in _ABOUT_DATA or (bad_request and messages.is_list):
        return errors.Invalid(said, fields=messages.fields(), **facts)
    # Of the talk only what is not a person's own words: somebody's address may begin with "bearer".
    if bad_request and (_KEY_TALK.search(talk) or _KEY_SHOWN.search(messages.text)):
        return errors.KeyRefused(**facts)
    return errors.Rejected(said, **facts)


def _missing(messages: "_Messages", facts: dict[str, Any], question: Question) -> errors.KohortError:
    # Observed: a key whose organization is gone is a 404 on every call.
    if _NO_ORGANIZATION.search(messages.text):
        return errors.KeyRefused(**facts)
    if question.kohort_id is not None:
        return errors.NotFound(**facts)
    # The list of customers itself cannot be missing: whoever answers is not KohortPay's API.
    return errors.Mismatch(what="address", **facts)


@dataclass(frozen=True)
class _Messages:
    """What a refusal says (observed: `error.message`, one text or a list of them)."""

    texts: tuple[str, ...]
    is_list: bool

    def __repr__(self) -> str:
        return f"_Messages({len(self.texts)})"

    @classmethod
    def read(cls, exchange: Exchange) -> Self:
        raw = decoded(exchange.body)
        error = raw.get("error", raw) if isinstance(raw, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, list):
            texts = tuple(text for text in message[:_MESSAGES_READ] if isinstance(text, str))
            return cls(texts, is_list=True)
        return cls((message,) if isinstance(message, str) else (), is_list=False)

    @property
    def text(self) -> str:
        return "; ".join(self.texts)

    def fields(self) -> tuple[str, ...]:
        """Name the documented fields that the messages speak of, each once."""
        named = [name for text in self.texts for name in _fields_in(text)]
        return tuple(dict.fromkeys(named))


def _fields_in(text: str) -> Iterable[str]:
    # Observed: a message begins with its field ("emailAddress must be …"), a nested one with its path. Only
    # where it does not are other words looked at: "address" is an ordinary word too.
    words = re.findall(r"[A-Za-z_]+", text[:1000])
    names = [_BY_EITHER_NAME[word] for word in words if word in _BY_EITHER_NAME]
    return names[:1] if words and words[0] in _BY_EITHER_NAME else names


def _personal_texts(payload: Mapping[str, object]) -> tuple[str, ...]:
    """List the texts about a person in what was sent."""
    found: list[str] = []
    for name in _PERSONAL:
        value = payload.get(name)
        parts = value.values() if isinstance(value, Mapping) else (value,)
        found += [part for part in parts if isinstance(part, str)]
    return tuple(found)
