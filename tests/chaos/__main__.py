"""Attack the promise with real processes, and judge what is left.

    python -m tests.chaos [--seed N ...] [--users N] [--seconds N] [--design NAME ...] [--write]

Each seed makes the same plan each time, so a run that found something can be done again. The seeds of a
design run side by side, a process each. Exit code 1 where the checker has findings about kohort_sync; what
it finds about the usual design is only reported.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from project.demo import tied
from tests.chaos import checker, plan, report, run
from tests.chaos.stack import DESIGNS, ROOT, Design

_USERS, _SECONDS = 7800, plan.FULL_SECONDS
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130
RESULTS = ROOT / ".chaos"
PAGE = ROOT / "docs" / "reliability.md"


def main() -> int:
    """Do the runs that are asked for; return a shell's exit code."""
    options = _parser().parse_args()
    for number in _INTERRUPTS:
        signal.signal(number, _interrupt)
    try:
        return _runs(options)
    except KeyboardInterrupt:
        _say("interrupted: nothing of the run is left.")
        return _INTERRUPTED


def _runs(options: argparse.Namespace) -> int:
    designs = [DESIGNS[name] for name in options.design or DESIGNS]
    seeds = options.seed or (1, 2, 3)
    failed = False
    for design in designs:
        planned = [plan.make(seed, users=options.users, seconds=options.seconds) for seed in seeds]
        sound = [_sound(planned[0], design)] if len(planned) == 1 else _side_by_side(planned, design)
        failed |= not all(sound) and design.name == "kohort_sync"
    if options.write:
        kept = [_kept(design.name, seed) for design in designs for seed in seeds]
        if missing := [path.stem for path in kept if not path.exists()]:
            _say(f"nothing is written: there is no result of {', '.join(missing)}.")
            return 1
        report.write([json.loads(path.read_text()) for path in kept], PAGE)
        _say(f"{PAGE.relative_to(ROOT)} is written from {len(kept)} runs.")
    return int(failed)


def _side_by_side(plans: list[plan.Plan], design: Design) -> list[bool]:
    """Do several runs at once, each in a process that ends with this one; say which were sound."""
    for planned in plans:
        _kept(design.name, planned.seed).unlink(missing_ok=True)
    tie = [sys.executable, tied.__file__, str(os.getpid()), sys.executable]
    running = [subprocess.Popen([*tie, *_arguments(planned, design)], cwd=ROOT) for planned in plans]
    try:
        for process in running:
            process.wait()
    except KeyboardInterrupt:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        raise
    # One that could not be judged has said why, and has no result.
    return [_was_sound(design.name, planned.seed) for planned in plans]


def _kept(design: str, seed: int) -> Path:
    return RESULTS / f"{design}-{seed}.json"


def _was_sound(design: str, seed: int) -> bool:
    kept = _kept(design, seed)
    return kept.exists() and not any(json.loads(kept.read_text())["counts"].values())


def _sound(planned: plan.Plan, design: Design) -> bool:
    """Do one run, keep its result, and say what was found; its folder stays where something was."""
    folder = run.new_folder(planned, design)
    try:
        run.run(planned, design, folder, say=_say)
    except KeyboardInterrupt:
        run.remove(folder)
        raise
    verdict = checker.check(folder)
    RESULTS.mkdir(exist_ok=True)
    _kept(design.name, planned.seed).write_text(json.dumps(verdict.as_json(), indent=1))
    print(verdict, flush=True)
    if verdict.sound:
        run.remove(folder)
    else:
        _say(f"the histories are kept in {folder}; again: {_command(planned, design)}")
    return verdict.sound


def _command(planned: plan.Plan, design: Design) -> str:
    return " ".join(["python", *_arguments(planned, design)])


def _arguments(planned: plan.Plan, design: Design) -> list[str]:
    asked = {
        "seed": planned.seed,
        "users": planned.users,
        "seconds": f"{planned.seconds:g}",
        "design": design.name,
    }
    return [
        "-m",
        "tests.chaos",
        *(word for name, value in asked.items() for word in (f"--{name}", str(value))),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", metavar="N", help="a seed (default: 1, 2 and 3)")
    parser.add_argument(
        "--users", type=int, default=_USERS, metavar="N", help=f"who sign up (default: {_USERS})"
    )
    parser.add_argument(
        "--seconds", type=float, default=_SECONDS, metavar="N", help=f"of faults (default: {_SECONDS:g})"
    )
    parser.add_argument(
        "--design", choices=[*DESIGNS], action="append", help="what is attacked (default: each)"
    )
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md about these runs")
    return parser


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _interrupt(*_: object) -> NoReturn:
    # Once: a second one would interrupt what ends the processes of the run.
    for number in _INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
