"""A verb: its name, what it does, an example, its options, and the function that runs it."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass

OK, NEEDS_A_PERSON, BAD_USAGE = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Describe one verb. `run` gets the console and the options by name, and returns the exit code."""

    name: str
    about: str
    example: str
    run: Callable[..., int]
    options: Callable[[ArgumentParser], None] = lambda _parser: None
    details: str = ""
    takes_account: bool = True


def positive(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
