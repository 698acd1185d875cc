"""The demo's manners: what it prints, what it says of a failure, and that it leaves nothing behind."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from project.demo.processes import Failed, Processes
from project.demo.screen import Row, Screen, table

ROOT = Path(settings.BASE_DIR)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(logs=tmp_path / "logs", directory=ROOT)
    yield started
    started.end()


def row(words: str, *, seconds: float = 1.0) -> Row:
    return Row(name="Ada", special="", words=words, tone="good", kohort_id="cus_1", seconds=seconds)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_change_is_one_line() -> None:
    screen = Screen(io.StringIO())

    for words in ("", "pending", "pending", "linked"):
        screen.show([row(words)])

    assert screen.stream.getvalue().splitlines() == [  # type: ignore[attr-defined]  # a StringIO
        "  1.0 s  Ada: pending, cus_1",
        "  1.0 s  Ada: linked, cus_1",
    ]


def test_a_terminal_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    screen = Screen(terminal)

    screen.show([row("pending")])
    screen.show([row("linked")])

    assert terminal.getvalue().count("\x1b[2F") == 1


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_paint_gets_none(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    terminal = Terminal()

    Screen(terminal).show([row("linked")])

    assert "\x1b" not in terminal.getvalue()


def test_no_line_is_wider_than_the_terminal() -> None:
    assert max(map(len, table([row("x" * 200)], width=80))) < 80


def test_a_process_that_ends_too_early_is_told_with_its_last_words(processes: Processes) -> None:
    program = "print('key sk_test_abc123'); raise SystemExit('port taken')"
    process = processes.start("site", "-c", program, environment=os.environ)

    with pytest.raises(Failed, match="site ended with exit code 1") as failed:
        processes.wait_for(process, "ready", seconds=20)

    assert "port taken" in str(failed.value)
    assert "sk_test_" not in str(failed.value)


def test_a_process_that_is_never_ready_is_told(processes: Processes) -> None:
    process = processes.start("site", "-c", "import time; time.sleep(60)", environment=os.environ)

    with pytest.raises(Failed, match="site was not ready within 0 seconds"):
        processes.wait_for(process, "ready", seconds=0.1)


def test_a_process_that_does_not_listen_is_ended_with_its_children(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("project.demo.processes._POLITELY", 0.2)
    program = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print('ready', flush=True);"
        "signal.pause()"
    )
    process = processes.start("deaf", "-c", program, environment=os.environ)
    processes.wait_for(process, "ready")

    processes.end()

    assert in_groups({process.popen.pid}) == set()


LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux ties processes to the one that starts them"
)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 128 + signal.SIGINT),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=LINUX),
    ],
)
def test_a_demo_that_is_interrupted_leaves_no_process(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    environment = {**os.environ, "PROJECT_STATE_DIR": str(tmp_path)}
    with (tmp_path / "output").open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "project.demo"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    groups: set[int] = set()
    try:
        wait_until(lambda: (tmp_path / "logs" / "worker.log").exists() or demo.poll() is not None)
        groups = {group for group, parent in listed() if parent == demo.pid}
        demo.send_signal(number)

        assert demo.wait(timeout=30) == code, (tmp_path / "output").read_text()
        assert len(groups) >= 3
        wait_until(lambda: not in_groups(groups))
        assert in_groups(groups) == set()
    finally:
        for group in in_groups({demo.pid, *groups}):
            os.killpg(group, signal.SIGKILL)
        demo.wait()


def test_a_second_demo_in_the_same_folder_says_that_there_is_one(tmp_path: Path) -> None:
    holder = (
        "import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with first:
        assert first.stdout is not None
        first.stdout.readline()
        second = subprocess.run(
            [sys.executable, "-m", "project.demo", "--once"],
            cwd=ROOT,
            env={**os.environ, "PROJECT_STATE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        first.communicate()

    assert second.returncode == 1
    assert "Another demo is running" in second.stdout


def wait_until(true: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Wait until a function returns something true, or for too long."""
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.05)


def listed() -> list[tuple[int, int]]:
    """Return the process group and the parent of each process that runs."""
    told = subprocess.run(
        ["ps", "-A", "-o", "pgid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split() for line in told.splitlines())
    return [(int(group), int(parent)) for group, parent, state in rows if not state.startswith("Z")]


def in_groups(groups: set[int]) -> set[int]:
    """Return those of the groups that have a process."""
    return groups & {group for group, _ in listed()}
