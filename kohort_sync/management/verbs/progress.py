"""Progress: how far a long verb has got, as a bar on a terminal, elsewhere as a line now and then."""

import math
import shutil
import time
from collections.abc import Callable
from typing import Self

from kohort_sync.management.verbs.console import Console, number

_REDRAWN_EVERY = 0.1
_LINE_EVERY = 5.0
_LENGTH = 20
_HURRIED, _PATIENT = 100, 6000  # seconds up to which seconds, and minutes, are told


class Progress:
    """Draw on stderr, so that stdout may be a file; the bar is gone when the block ends, however it ends."""

    def __init__(self, console: Console, *, noun: str, now: Callable[[], float] = time.monotonic) -> None:
        self._console, self._noun, self._now = console, noun, now
        self._is_bar = console.err.isatty()
        self._began = now()
        self._due = self._began + (0.0 if self._is_bar else _LINE_EVERY)
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._draw("")

    def at(self, done: int, total: int) -> None:
        """Tell how many of how many are done, unless that was told a moment ago."""
        now = self._now()
        if now < self._due:
            return
        self._due = now + (_REDRAWN_EVERY if self._is_bar else _LINE_EVERY)
        line = self._line(done, max(done, total), seconds=now - self._began)
        if self._is_bar:
            self._draw(line)
        else:
            self._console.say(line)

    def _line(self, done: int, total: int, *, seconds: float) -> str:
        share = done / total if total else 1.0
        bar = f"[{'#' * int(_LENGTH * share):.<{_LENGTH}}] " if self._is_bar else ""
        line = f"{bar}{share:.0%}, {done} of {number(total, self._noun)}"
        if not (done and seconds):
            return line
        rate = done / seconds
        return f"{line}, {rate:.0f}/s, {_duration((total - done) / rate)} left"

    def _draw(self, line: str) -> None:
        """Write over what stands in the line. Spaces erase it on any terminal."""
        line = line[: shutil.get_terminal_size().columns - 1]
        if self._width or line:
            blank = " " * (self._width - len(line))
            self._console.err.write(f"\r{line}{blank}" if line else f"\r{blank}\r", str, ending="")
            self._console.err.flush()
        self._width = len(line)


def _duration(seconds: float) -> str:
    if seconds < _HURRIED:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < _PATIENT else f"{math.ceil(seconds / 3600)} h"
