"""Progress: a bar that comes and goes on a terminal, and a few plain lines anywhere else."""

from io import StringIO

import pytest
from django.core.management.base import OutputWrapper

from kohort_sync.management.verbs.console import Console
from kohort_sync.management.verbs.progress import Progress


class Terminal(StringIO):
    """Be a screen of one line."""

    def isatty(self) -> bool:
        return True

    @property
    def drawn(self) -> list[str]:
        """Return what stood in the line, one after the other."""
        return [line.rstrip() for line in self.getvalue().split("\r")[1:]]

    @property
    def line(self) -> str:
        """Return what stands in the line now."""
        shown = ""
        for written in self.getvalue().split("\r"):
            shown = written + shown[len(written) :]
        return shown.rstrip()


class Clock:
    """Be a clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def console(out: StringIO, err: StringIO, *, as_json: bool = False) -> Console:
    wrapped = OutputWrapper(err)
    wrapped.style_func = lambda text: f"<red>{text}</red>"  # as Django's stderr on a terminal
    return Console(OutputWrapper(out), wrapped, as_json=as_json, heading=str)


def test_a_terminal_shows_share_rate_and_time_left(clock: Clock) -> None:
    out, screen = StringIO(), Terminal()

    with Progress(console(out, screen), noun="user", now=clock) as progress:
        clock.seconds += 2
        progress.at(500, 2000)

    assert screen.drawn[0] == "[#####...............] 25%, 500 of 2000 users, 250/s, 6 s left"
    assert out.getvalue() == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_terminal_is_redrawn_ten_times_a_second_at_most(clock: Clock, *, as_json: bool) -> None:
    screen = Terminal()

    with Progress(console(StringIO(), screen, as_json=as_json), noun="user", now=clock) as progress:
        for done in range(1000):
            clock.seconds += 0.001
            progress.at(done, 1000)
        drawn = len(screen.drawn)

    assert 9 <= drawn <= 11


def test_the_bar_leaves_a_clean_line(clock: Clock) -> None:
    screen = Terminal()

    with Progress(console(StringIO(), screen), noun="user", now=clock) as progress:
        progress.at(1000, 2000)
        clock.seconds += 1
        progress.at(9, 10)
        shown = screen.line

    assert shown == "[##################..] 90%, 9 of 10 users, 9/s, 1 s left"
    assert screen.line == ""
    assert screen.getvalue().endswith("\r")


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError])
def test_the_bar_is_gone_however_it_ends(clock: Clock, end: type[BaseException]) -> None:
    screen = Terminal()

    def work() -> None:
        with Progress(console(StringIO(), screen), noun="user", now=clock) as progress:
            progress.at(1, 2)
            raise end

    with pytest.raises(end):
        work()

    assert screen.line == ""


def test_the_bar_fits_into_a_narrow_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    screen = Terminal()

    with Progress(console(StringIO(), screen), noun="user", now=clock) as progress:
        progress.at(500, 2000)

    assert len(screen.drawn[0]) <= 29


def test_where_nothing_is_told_nothing_is_written(clock: Clock) -> None:
    screen = Terminal()

    with Progress(console(StringIO(), screen), noun="user", now=clock):
        pass

    assert screen.getvalue() == ""


def test_elsewhere_a_plain_line_is_printed_now_and_then(clock: Clock) -> None:
    out, err = StringIO(), StringIO()

    with Progress(console(out, err), noun="user", now=clock) as progress:
        for done in range(1, 13):
            clock.seconds += 1
            progress.at(10 * done, 1200)

    assert out.getvalue().splitlines() == [
        "4%, 50 of 1200 users, 10/s, 2 min left",
        "8%, 100 of 1200 users, 10/s, 2 min left",
    ]
    assert err.getvalue() == ""


def test_a_program_hears_nothing_but_its_object(clock: Clock) -> None:
    out, err = StringIO(), StringIO()

    with Progress(console(out, err, as_json=True), noun="user", now=clock) as progress:
        clock.seconds += 60
        progress.at(1, 2)

    assert (out.getvalue(), err.getvalue()) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "done", "total", "left"),
    [(1, 1, 100, "99 s left"), (1, 1, 101, "2 min left"), (10, 1, 601, "2 h left"), (1, 10, 10, "0 s left")],
)
def test_the_time_left_is_said_in_a_unit_that_fits(
    clock: Clock, seconds: float, done: int, total: int, left: str
) -> None:
    screen = Terminal()

    with Progress(console(StringIO(), screen), noun="user", now=clock) as progress:
        clock.seconds += seconds
        progress.at(done, total)

    assert screen.drawn[0].endswith(left)


@pytest.mark.parametrize(
    ("done", "total", "share"), [(0, 0, "100%, 0 of 0 users"), (7, 5, "100%, 7 of 7 users")]
)
def test_more_or_fewer_than_were_counted_are_no_trouble(
    clock: Clock, done: int, total: int, share: str
) -> None:
    screen = Terminal()

    with Progress(console(StringIO(), screen), noun="user", now=clock) as progress:
        progress.at(done, total)

    assert share in screen.drawn[0]
