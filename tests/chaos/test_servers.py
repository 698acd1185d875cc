"""Servers and processes of a run end with it, however it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from project.demo import tied
from tests.chaos import servers

ROOT = Path(__file__).resolve().parent.parent.parent
_RUNNER = f"""
import os, subprocess, sys, time
from tests.chaos import servers
sleeper = subprocess.Popen(
    [sys.executable, {tied.__file__!r}, str(os.getpid()), "/bin/sleep", "60"], start_new_session=True
)
time.sleep(0.5)
with servers.frozen([sleeper.pid]):
    print(sleeper.pid, flush=True)
    time.sleep(60)
"""


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its starter")
def test_what_is_frozen_does_not_outlive_a_runner_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _RUNNER], cwd=ROOT, stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        runner.kill()
    ends = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < ends:
        time.sleep(0.05)

    left = _lives(pid)

    servers.signal_all([pid], signal.SIGKILL)
    assert not left
