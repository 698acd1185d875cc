"""Processes: each started in a session of its own, watched through its log, and ended by its id."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TIED = Path(__file__).with_name("tied.py")
_KEY = re.compile(r"[sp]k_(test|live)_\w+")
_POLL = 0.05
_POLITELY = 3.0
"""Seconds between asking a process to end and ending it. Celery would take five to close its idle pool."""


class Failed(Exception):
    """Say what could not be started, or ended too early; the message shows the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """Hold one process that was started."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def says(self) -> str:
        """Return everything that it has written."""
        return self.log.read_text(errors="replace")

    def tail(self, *, lines: int = 12) -> str:
        """Return its last lines, with keys masked."""
        last = [line for line in self.says().splitlines() if line.strip()][-lines:]
        return "\n".join(f"    {_KEY.sub('***', line)}" for line in last) or "    (it wrote nothing)"


class Processes:
    """Start processes and end them all. `pause` waits some seconds; it may raise to interrupt a wait."""

    def __init__(self, *, logs: Path, directory: Path, pause: Callable[[float], None] = time.sleep) -> None:
        self.logs, self.directory, self.pause = logs, directory, pause
        self.running: list[Process] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, *arguments: str, environment: Mapping[str, str]) -> Process:
        """Start Python with these arguments. Its output goes into a log of its own."""
        log = self.logs / f"{name}.log"
        command = [sys.executable, str(_TIED), str(os.getpid()), sys.executable, *arguments]
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                cwd=self.directory,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A session of its own: Ctrl-C reaches the demo alone, which then ends them in order.
                start_new_session=True,
            )
        process = Process(name=name, popen=popen, log=log)
        self.running.append(process)
        return process

    def run(self, name: str, *arguments: str, environment: Mapping[str, str], seconds: float = 60.0) -> str:
        """Run a command to its end and return what it wrote. Raises Failed where it fails or takes longer."""
        process = self.start(name, *arguments, environment=environment)
        ends = time.monotonic() + seconds
        while process.popen.poll() is None:
            if time.monotonic() > ends:
                raise Failed(f"{name} did not end within {seconds:.0f} seconds. It wrote:\n{process.tail()}")
            self.pause(_POLL)
        self.running.remove(process)
        if process.popen.returncode:
            raise Failed(_ended(process))
        return process.says()

    def wait_for(self, process: Process, pattern: str, *, seconds: float = 60.0) -> re.Match[str]:
        """Wait until a process writes what the pattern describes. Raises Failed where it does not."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            ended = process.popen.poll() is not None
            if found := re.search(pattern, process.says()):
                return found
            if ended:
                raise Failed(_ended(process))
            self.pause(_POLL)
        raise Failed(
            f"{process.name} was not ready within {seconds:.0f} seconds. It wrote:\n{process.tail()}"
        )

    def check(self) -> None:
        """Raise Failed if a process has ended that should be running."""
        for process in self.running:
            if process.popen.poll() is not None:
                raise Failed(_ended(process))

    def end(self) -> None:
        """End every process, politely first; nothing of them is left when this returns."""
        for process in reversed(self.running):
            # Its leader alone: a worker ends its pool itself, and would replace children that end before it.
            if process.popen.poll() is None:
                process.popen.terminate()
        ends = time.monotonic() + _POLITELY
        while self.running:
            process = self.running[-1]
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(timeout=max(ends - time.monotonic(), 0))
            # Whatever is left of its session, or nothing.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait()
            self.running.pop()


def _ended(process: Process) -> str:
    return f"{process.name} ended with exit code {process.popen.returncode}. It wrote:\n{process.tail()}"
