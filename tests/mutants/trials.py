"""Trials: tests that run on a copy of the code, each in a process of its own.

The processes are forks of this one, which has loaded the libraries already: half of what a short test takes.
"""

import compileall
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
# None of ours and no plugin of pytest: those are loaded from the copy, and where pytest can rewrite them.
_LIBRARIES = (
    "celery.app.base",
    "celery.app.task",
    "django.core.management",
    "django.db.backends.sqlite3.base",
    "django.test.client",
    "kombu.transport.memory",
    "requests.adapters",
)
_OPTIONS = ("-q", "--tb=line", "--show-capture=no", "-p", "no:cacheprovider", "-p", "no:randomly")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Say what pytest gets, on which mutant (on the code as it is without one), and for how long at most."""

    arguments: tuple[str, ...]
    mutant: Mutant | None = None
    environment: Mapping[str, str]
    seconds: int


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Say how a trial ended: pytest's exit code, None where it did not end in time, and what it said."""

    trial: Trial
    code: int | None
    said: str
    seconds: float


def run(trials: Sequence[Trial], *, folder: Path, at_once: int) -> Iterator[Ended]:
    """Run trials in copies below `folder`, the first ones first; give each out as it ends."""
    for library in _LIBRARIES:
        import_module(library)
    clean = folder / "clean"
    _copy_to(clean)
    waiting = list(enumerate(trials))
    running: dict[int, tuple[Trial, Path, float]] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            number, trial = waiting.pop(0)
            copy = folder / str(number)
            shutil.copytree(clean, copy, copy_function=os.link)
            if trial.mutant is not None:
                _change(trial.mutant, copy)
            running[_begin(trial, copy)] = (trial, copy, time.monotonic())
        pid, status = os.wait()
        trial, copy, began = running.pop(pid)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the tests have left behind
        ended = None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
        said = (copy / "said").read_text(errors="replace")
        shutil.rmtree(copy, ignore_errors=True)
        yield Ended(trial=trial, code=ended, said=said, seconds=time.monotonic() - began)


def _begin(trial: Trial, copy: Path) -> int:
    pid = os.fork()
    if not pid:
        try:
            os._exit(_pytest(trial, copy))
        finally:
            os._exit(pytest.ExitCode.INTERNAL_ERROR)
    return pid


def _pytest(trial: Trial, copy: Path) -> int:
    """Become a process that knows the copy alone, and run pytest there."""
    os.setsid()
    signal.alarm(trial.seconds)
    os.chdir(copy)
    output = os.open("said", os.O_CREAT | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(trial.environment)
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    code = pytest.main([*_OPTIONS, *trial.arguments])
    sys.stdout.flush()
    return int(code)


def _change(mutant: Mutant, copy: Path) -> None:
    changed = copy / mutant.module
    text = changed.read_text().replace(mutant.old, mutant.new)
    changed.unlink()  # the file itself is the clean copy's too
    changed.write_text(text)


def _copy_to(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    # By its content: a mutant may be as long as the original, and written within the same second.
    compileall.compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
