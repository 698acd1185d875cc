"""The console: what a verb says to a person or to a program, and how it is stopped or ends early."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from kohort_sync.management.verbs.verb import BAD_USAGE, NEEDS_A_PERSON


class Console:
    """Speak to a person in lines, or with `--json` to a program in one object."""

    def __init__(
        self, out: OutputWrapper, err: OutputWrapper, *, as_json: bool, heading: Callable[[str], str]
    ) -> None:
        self.out, self.err, self.as_json, self.heading = out, err, as_json, heading

    def say(self, *lines: str) -> None:
        """Print lines for a person."""
        if not self.as_json:
            for line in lines:
                self.out.write(line)
            self.out.flush()

    def show(self, value: Mapping[str, Any]) -> None:
        """Print one object for a program."""
        if self.as_json:
            self.print_json(value)

    def print_json(self, value: Mapping[str, Any]) -> None:
        """Print one object, whoever reads it."""
        self.out.write(json.dumps(value, indent=2, default=str))
        self.out.flush()


def for_a_person(message: str) -> CommandError:
    """Make the error that ends a verb because somebody has to act; the message says how."""
    return CommandError(message, returncode=NEEDS_A_PERSON)


def bad_usage(message: str) -> CommandError:
    """Make the error that ends a verb because it was called wrongly; the message says how to call it."""
    return CommandError(message, returncode=BAD_USAGE)


def number(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@contextmanager
def stoppable() -> Iterator[Event]:
    """Turn the first SIGINT or SIGTERM into a polite stop; a second one ends the process as usual."""
    stop = Event()
    if current_thread() is not main_thread():  # Python listens to signals in the main thread alone
        yield stop
        return
    usual = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def listen_as_usual() -> None:
        for each, handler in usual.items():
            signal.signal(each, handler)

    def stop_politely(*_: object) -> None:
        stop.set()
        listen_as_usual()

    for each in usual:
        signal.signal(each, stop_politely)
    try:
        yield stop
    finally:
        listen_as_usual()
