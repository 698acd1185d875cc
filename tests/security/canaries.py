"""Canaries: values that occur nowhere else, to be looked for wherever they must not be."""

import base64
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.views.debug import ExceptionReporter

from kohort_sync.testing.service import Service
from kohort_sync.testing.wire import Request, Response

KEY = "sk_test_canary4711quetzal"
FIRST_NAME = "Quillcanary"
LAST_NAME = "Canarywing"
PHONE = "+33699471147"
ORGANIZATION = "org_canaries"

# What is looked for: the part of each that survives quoting, splitting and another spelling of the rest.
_CORES = {
    "key": "4711quetzal",
    "e-mail": "embercanary",
    "domain": "quokka-canary",
    "first name": "quillcanary",
    "last name": "canarywing",
    "phone": "699471147",
}


def email(name: str) -> str:
    """Return a canary address of somebody."""
    return f"EmberCanary.{name}@quokka-canary.example"


def person(name: str) -> dict[str, str]:
    """Return the fields of a user whose every value is a canary but the name for logging in."""
    return {
        "email": email(name),
        "first_name": FIRST_NAME,
        "last_name": LAST_NAME,
        "phone_number": PHONE,
    }


def tale(name: str) -> str:
    """Return a text that tells everything about somebody, as a careless program would."""
    return f"{FIRST_NAME} {LAST_NAME} <{email(name)}>, {PHONE}"


def seen_in(text: str, *, but: tuple[str, ...] = ()) -> list[str]:
    """Name the canaries that a text shows, also in base64, with some of the text around each."""
    low = text.lower()
    found = [f"{what}: …{_around(low, core)}…" for what, core in _CORES.items() if core in low]
    found += [
        f"{what}, encoded"
        for what, value in (("key", KEY), ("first name", FIRST_NAME), ("last name", LAST_NAME))
        if any(spelling in text for spelling in _in_base64(value))
    ]
    return [one for one in found if not one.startswith(but)] if but else found


def _around(text: str, core: str) -> str:
    at = text.index(core)
    return text[max(at - 120, 0) : at + len(core) + 20]


def _in_base64(value: str) -> Iterator[str]:
    """Spell what all encodings of a text around the value have in common, for each place it may begin at."""
    for before in range(3):
        encoded = base64.b64encode(b" " * before + value.encode()).decode().rstrip("=")
        yield encoded[(0, 2, 3)[before] : -1]


class Listening(Service):
    """A simulated service that keeps every address that it was asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(keys={KEY: ORGANIZATION}, **options)
        self.targets: list[str] = []

    def handle(self, request: Request) -> Response:
        self.targets.append(request.target)
        return super().handle(request)


class Log(logging.Handler):
    """Keep all that any logger of this process is told, as a log, an error tracker or an e-mail shows it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.shown: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name)
        told = {name: value for name, value in vars(record).items() if name != "exc_info"}
        parts = [self.format(record), repr(told)]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append(with_locals(record.exc_info[1]))
        self.shown.append(f"{record.name}: {' '.join(parts)}")


# SQL shows what is stored, and being asked for it is the only reason to switch this logger on.
_SHOWS_WHAT_IS_STORED = "django.db.backends"


@contextmanager
def all_logs() -> Iterator[Log]:
    """Switch every logger to its most talkative for the block."""
    log = Log()
    known = [logging.root, *filter(_is_logger, logging.root.manager.loggerDict.values())]
    before = {
        one: (one.level, one.propagate, one.disabled) for one in known if isinstance(one, logging.Logger)
    }
    for one in before:
        if not one.name.startswith(_SHOWS_WHAT_IS_STORED):
            one.level, one.propagate, one.disabled = logging.DEBUG, True, False
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]
    logging.root.addHandler(log)
    try:
        yield log
    finally:
        logging.root.removeHandler(log)
        for one, (level, propagate, disabled) in before.items():
            one.level, one.propagate, one.disabled = level, propagate, disabled
        logging.root.manager._clear_cache()  # type: ignore[attr-defined]


def _is_logger(one: object) -> bool:
    return isinstance(one, logging.Logger)


def with_locals(error: BaseException, *, of: str = "") -> str:
    """Print an exception as an error tracker does, with local variables; without the frames of tests.

    `of` narrows it to files that have this in their path.
    """
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = [repr(error)]
    seen: list[traceback.TracebackException] = []
    waiting: list[traceback.TracebackException | None] = [told]
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        parts += one.format_exception_only()
        frames = [f for f in one.stack if "/tests/" not in f.filename and of in f.filename]
        parts += [f"{frame.filename} {frame.locals}" for frame in frames]
        waiting += [one.__cause__, one.__context__]
    return "\n".join(parts)


def as_django_reports(error: BaseException) -> str:
    """Print an exception as Django's error mails and its technical page do, as far as it is not of tests."""
    reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
    frames: list[Mapping[str, Any]] = reporter.get_traceback_data().get("frames", [])
    return repr([frame["vars"] for frame in frames if "/tests/" not in frame["filename"]])
