"""Start the demo: `python -m project.demo [--once]`.

This module keeps the demo's manners: one at a time, a clean folder, and nothing left behind on any way out.
The story itself is in `story`.
"""

import argparse
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType

import requests

from project.demo.processes import Failed, Processes
from project.demo.screen import Screen
from project.demo.story import Story
from project.demo.visitor import Refused

ROOT = Path(__file__).resolve().parents[2]


class Interrupted(Exception):
    """Say that a signal asked the demo to end."""


class Signals:
    """Note the signals that ask the demo to end; they act only where it waits."""

    def __init__(self) -> None:
        self.number = 0
        self._asked = Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def pause(self, seconds: float) -> None:
        """Wait. Raises Interrupted once a signal has come."""
        if self._asked.wait(seconds):
            raise Interrupted

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        self._asked.set()


def main() -> int:
    """Run the demo; return a shell's exit code."""
    once = _arguments().once
    state = Path(os.environ.get("PROJECT_STATE_DIR") or ROOT / ".demo").resolve()
    signals, screen = Signals(), Screen(sys.stdout)
    try:
        with _state_folder(state):
            processes = Processes(logs=state / "logs", directory=ROOT, pause=signals.pause)
            story = Story(processes, screen, state=state)
            try:
                good = story.tell()
                if not once:
                    story.stay_up()
            except Interrupted:
                screen.say("\nEnding everything that was started.")
                return 0 if story.is_told else 128 + signals.number
            finally:
                processes.end()
    except (Failed, Refused, requests.RequestException, OSError) as failure:
        screen.say(f"\nThe demo could not go on. {failure}")
        return 1
    return 0 if good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m project.demo",
        description="Sign people up on the demo site and watch them become KohortPay customers.",
        epilog="With KOHORT_API_KEY and KOHORT_BASE_URL set, that service is used instead of the sandbox.",
    )
    parser.add_argument("--once", action="store_true", help="end after the verdict: 0 if all is well, else 1")
    return parser.parse_args()


@contextmanager
def _state_folder(state: Path) -> Iterator[None]:
    """Keep the folder to ourselves, and begin with nothing from the last run."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"Another demo is running in {state}. End it first: Ctrl-C where it runs.") from None
        # By name: the folder may be one that somebody chose, with other things in it.
        for name in ("broker", "logs"):
            shutil.rmtree(state / name, ignore_errors=True)
        for path in state.glob("db.sqlite3*"):
            path.unlink()
        yield


if __name__ == "__main__":
    sys.exit(main())
