"""The screen: one row per person, redrawn in place on a terminal, else one line per change."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

_UP_AND_CLEAR = "\x1b[{}F\x1b[J"
_COLOURS = {"good": "\x1b[32m", "waiting": "\x1b[33m", "quiet": "\x1b[36m"}
_PLAIN = "\x1b[0m"
_GAP = "  "


@dataclass(frozen=True, kw_only=True)
class Row:
    """Show one person. `seconds` since the form's answer; `tone` is good, waiting or quiet."""

    name: str
    special: str
    words: str
    tone: str
    kohort_id: str
    seconds: float | None
    passing: bool = False
    """Gone in a moment: not worth a line of its own."""

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the texts of the columns."""
        seconds = "" if self.seconds is None else f"{self.seconds:.1f}".rjust(len("seconds"))
        return (self.name, self.special, self.words, seconds, self.kohort_id)


_TITLES = ("Person", "What is special", "State", "Seconds", "KohortPay id")


class Screen:
    """Print to a stream; redraw rows in place where it is a terminal that may be painted on."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
        self.paints = stream.isatty() and not plain
        self.drawn = 0
        self.told: dict[str, tuple[str, str]] = {}

    def say(self, text: str = "") -> None:
        """Print a line below everything."""
        print(text, file=self.stream, flush=True)
        self.drawn = 0

    def show(self, rows: Sequence[Row]) -> None:
        """Show how things stand now."""
        size = shutil.get_terminal_size()
        # Rows that have scrolled away cannot be redrawn.
        if self.paints and len(rows) + 2 < size.lines:
            self._redraw(rows, width=size.columns)
        else:
            self._tell_changes(rows)

    def _redraw(self, rows: Sequence[Row], *, width: int) -> None:
        lines = table(rows, width=width)
        colours = [_COLOURS[row.tone] for row in rows]
        painted = [
            lines[0],
            *(f"{colour}{line}{_PLAIN}" for colour, line in zip(colours, lines[1:], strict=True)),
        ]
        up = _UP_AND_CLEAR.format(self.drawn) if self.drawn else ""
        print(up + "\n".join(painted), file=self.stream, flush=True)
        self.drawn = len(lines)

    def _tell_changes(self, rows: Sequence[Row]) -> None:
        for row in rows:
            now = (row.words, row.kohort_id)
            if row.words and not row.passing and self.told.get(row.name) != now:
                self.told[row.name] = now
                since = "" if row.seconds is None else f"{row.seconds:5.1f} s"
                special = f" ({row.special})" if row.special else ""
                known = f", {row.kohort_id}" if row.kohort_id else ""
                print(f"{since:>7}  {row.name}{special}: {row.words}{known}", file=self.stream, flush=True)


def table(rows: Sequence[Row], *, width: int) -> list[str]:
    """Lay the rows out under their titles; what is wider than the terminal is cut."""
    lines = [_TITLES, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (_GAP.join(map(str.ljust, cells, widths)) for cells in lines)
    return [line[: width - 1].rstrip() for line in padded]
