"""Break the service on purpose: what may go wrong, for which requests, and how often.

A fault chosen for an exchange takes the place of its answer, before the service did anything or
(`after_commit`) after it did it all.
"""

import dataclasses
import email.utils
import math
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http.client import responses as phrases
from typing import Any, Literal, get_args

from kohort_sync.testing import answers
from kohort_sync.testing.wire import Delivery, Response

Kind = Literal[
    "status",  # an error answer: `status` (503), `body`, `headers`
    "html",  # a router's own page: `status` (503)
    "rate_limit",  # 429 with Retry-After `seconds`, as a number or as a date
    "redirect",  # `status` (307) to `location`
    "garbage_json",  # the status of success and a body that is no JSON
    "delay",  # the right answer, `seconds` late; the work comes after the wait, or before (`after_commit`)
    "stall",  # the right answer; `seconds` pass between the check of the reference and the insert
    "reset",  # the connection is reset
    "drip",  # the right answer, its body byte by byte over `seconds`
    "drip_headers",  # the right answer, its headers byte by byte over `seconds`
    "truncated",  # the right answer, half of its body
    "old_list",  # a list as it was `seconds` ago: customers made since are not in it yet
]
KINDS: tuple[str, ...] = get_args(Kind)
# These need the real answer to spoil it, so the work is done.
_KEEP_ANSWER: dict[str, Delivery] = {
    "drip": Delivery.DRIP,
    "drip_headers": Delivery.DRIP_HEADERS,
    "truncated": Delivery.TRUNCATED,
}
# These change when or what the service answers, and not the answer on its way.
_AS_EVER = {"delay", "stall", "old_list"}
_STATUS = {"status": 503, "html": 503, "rate_limit": 429, "redirect": 307, "garbage_json": 200}
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr></body></html>"
_GARBAGE = '{"id": "cus_'


@dataclasses.dataclass(frozen=True)
class Fault:
    """Describe one fault; `times` is how often it strikes, None for ever.

    Filters narrow it: a method, the beginning of a path, an e-mail (in the body, in the search, or of the
    customer whose id the path names), a probability. `body` and `headers` replace what the kind would
    answer by itself.
    """

    kind: Kind
    _: dataclasses.KW_ONLY
    times: int | None = 1
    method: str | None = None
    path_prefix: str | None = None
    email: str | None = None
    probability: float = 1.0
    after_commit: bool = False
    status: int | None = None
    body: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    retry_after: Literal["seconds", "date"] = "seconds"
    seconds: float = 1.0
    location: str = "https://elsewhere.invalid/customers"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"No fault of kind {self.kind!r}; there are: {', '.join(KINDS)}.")
        if self.times is not None and self.times < 1:
            raise ValueError(
                "`times` is a positive number, or None for a fault that stays until it is removed."
            )

    @property
    def lets_through(self) -> bool:
        """Say whether the service does its work before the answer is spoilt."""
        return self.after_commit or self.kind in {*_KEEP_ANSWER, *_AS_EVER}

    def concerns(self, *, method: str, path: str, about: Callable[[str], bool]) -> bool:
        """Say whether the filters agree; `about` tells whether the request is about an e-mail address."""
        return (
            (self.kind != "stall" or method == "POST")  # nothing else has a check and an insert
            and (self.kind != "old_list" or (method == "GET" and path.strip("/") == "customers"))
            and (self.method is None or self.method.upper() == method)
            and path.startswith(self.path_prefix or "")
            and (self.email is None or about(self.email))
        )


class Faults:
    """Hold the faults that wait to strike, oldest first; safe for threads."""

    def __init__(self, *, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - dice, not a secret
        self._waiting: list[tuple[Fault, int | None]] = []

    def add(self, fault: Fault) -> None:
        """Let a fault wait behind those that already do."""
        with self._lock:
            self._waiting.append((fault, fault.times))

    def clear(self) -> int:
        """Remove all and return how many there were."""
        with self._lock:
            removed, self._waiting = len(self._waiting), []
            return removed

    def remove(self, fault: Fault) -> None:
        """Remove one that is equal; do nothing if it has struck for the last time."""
        with self._lock:
            self._waiting = [pair for pair in self._waiting if pair[0] != fault]

    def waiting(self) -> list[tuple[Fault, int | None]]:
        """Return the faults with the number of strikes left."""
        with self._lock:
            return list(self._waiting)

    def take(self, *, method: str, path: str, about: Callable[[str], bool]) -> Fault | None:
        """Return the first fault that strikes this request, and count the strike."""
        with self._lock:
            for place, (fault, left) in enumerate(self._waiting):
                if not fault.concerns(method=method, path=path, about=about):
                    continue
                if self._random.random() >= fault.probability:
                    continue
                self._waiting[place : place + 1] = (
                    [] if left == 1 else [(fault, None if left is None else left - 1)]
                )
                return fault
        return None


def from_json(payload: object) -> Fault:
    """Make a fault from the fields of a JSON object; raise ValueError with what is wrong."""
    if not isinstance(payload, dict):
        # One kind of error for whatever is wrong with the input.
        raise ValueError("A fault is a JSON object with at least a `kind`.")  # noqa: TRY004
    known = {field.name: field.type for field in dataclasses.fields(Fault) if field.name != "_"}
    if unknown := sorted(set(payload) - set(known)):
        raise ValueError(f"A fault has no {', '.join(unknown)}; it has: {', '.join(known)}.")
    for name, value in payload.items():
        if not _FITS[name](value):
            raise ValueError(f"`{name}` does not fit: {known[name]} is needed.")
    try:
        return Fault(**payload)
    except TypeError:
        raise ValueError(f"A fault needs a `kind`: one of {', '.join(KINDS)}.") from None


def spoil(fault: Fault, answer: Response | None, *, now: datetime) -> Response:
    """Return what the client gets instead of `answer`, which is None where the service did nothing."""
    if answer is not None and fault.kind in _AS_EVER:
        return answer
    if answer is not None and fault.kind in _KEEP_ANSWER:
        return dataclasses.replace(answer, delivery=_KEEP_ANSWER[fault.kind], drip_seconds=fault.seconds)
    if fault.kind == "reset":
        return Response(0, delivery=Delivery.RESET)
    status = fault.status or (
        answer.status if answer and fault.kind == "garbage_json" else _STATUS[fault.kind]
    )
    made = _made_up(fault, status, now=now)
    body = made.body if fault.body is None else fault.body.encode()
    return dataclasses.replace(made, headers={**made.headers, **fault.headers}, body=body)


def _made_up(fault: Fault, status: int, *, now: datetime) -> Response:
    if fault.kind == "html":
        return Response(
            status,
            {"Content-Type": "text/html"},
            _PAGE.format(f"{status} {phrases.get(status, '')}").encode(),
        )
    if fault.kind == "garbage_json":
        return Response(status, {"Content-Type": "application/json; charset=utf-8"}, _GARBAGE.encode())
    if fault.kind == "redirect":
        return Response(status, {"Location": fault.location, "Content-Type": "text/plain"})
    plain = answers.refusal(answers.RefusalError(status, phrases.get(status, "Unknown")))
    if fault.kind == "rate_limit":
        return dataclasses.replace(plain, headers={**plain.headers, "Retry-After": _retry_after(fault, now)})
    return plain


def _retry_after(fault: Fault, now: datetime) -> str:
    if fault.retry_after == "date":
        return email.utils.format_datetime(now + timedelta(seconds=fault.seconds), usegmt=True)
    return str(math.ceil(fault.seconds))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: dict[str, Callable[[Any], bool]] = {
    "kind": lambda value: isinstance(value, str),
    "times": lambda value: value is None or type(value) is int,
    "method": lambda value: isinstance(value, str | None),
    "path_prefix": lambda value: isinstance(value, str | None),
    "email": lambda value: isinstance(value, str | None),
    "probability": _is_number,
    "after_commit": lambda value: isinstance(value, bool),
    "status": lambda value: value is None or type(value) is int,
    "body": lambda value: isinstance(value, str | None),
    "headers": lambda value: (
        isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    ),
    "retry_after": lambda value: value in ("seconds", "date"),
    "seconds": _is_number,
    "location": lambda value: isinstance(value, str),
}
