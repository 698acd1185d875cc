"""One run: people and nemesis let loose on a stack, then peace until all is settled; histories remain."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from project.demo import tied
from tests.chaos import plan as plans
from tests.chaos import servers
from tests.chaos.driver import CANARY, CANARY_NUMBER, Driver
from tests.chaos.nemesis import Nemesis
from tests.chaos.plan import Plan
from tests.chaos.stack import ROOT, Design, Stack, when_settled

MOST_AFTER = 660.0
"""Seconds after the last fault by which all has to be settled that waits for nobody."""


def new_folder(plan: Plan, design: Design) -> Path:
    """Make the folder of a run; `remove` ends it."""
    folder = Path(tempfile.mkdtemp(prefix=f"kohort-chaos-{design.name}-{plan.seed}-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    return folder / "run"


def remove(folder: Path) -> None:
    """Remove the folder of a run that nobody has to look at any more."""
    shutil.rmtree(folder.parent)


def run(
    plan: Plan, design: Design, folder: Path, *, say: Callable[[str], None], most_after: float = MOST_AFTER
) -> None:
    """Do one run and leave its files in the folder. Nothing of it runs when this returns."""
    folder.mkdir(parents=True)
    stack = Stack(plan, design, folder)
    with stack.running(), _monitored(stack):
        nemesis = Nemesis(plan, stack, folder)
        driver = Driver(plan=plan, ports=stack.web_ports, folder=folder, die=nemesis.dooms)
        say(f"seed {plan.seed}, {design.name}: the stack is up; {plan.seconds:g} s of faults begin")
        began, started = time.time(), time.monotonic()
        people = Thread(target=driver.run, kwargs={"started": started}, name="people", daemon=True)
        people.start()
        with nemesis.striking(started=started):
            people.join()
            healed = time.time()
            say(f"seed {plan.seed}, {design.name}: healed after {healed - began:.0f} s; now peace")
            settled = when_settled(stack, most=most_after)
            ended = time.time()
            say(
                f"seed {plan.seed}, {design.name}: "
                + (f"settled {ended - healed:.0f} s later" if settled else "not settled in time")
            )
            stack.run("dump", "-m", "tests.chaos.dump", str(folder))
            unplanned, refused = stack.unplanned_ends, driver.acts_refused
    _add_wire_faults(folder)
    about = {
        "seed": plan.seed,
        "commit": _commit(),
        "design": design.name,
        "started": began,
        "healed": healed,
        "ended": ended,
        "waited": ended - healed,
        "settled": settled,
        "lease": plan.lease,
        "settle": plan.settle,
        "sweep": plan.sweep,
        "deadline": plan.deadline,
        "organization": stack.service["organization"],
        "livemode": False,
        "canaries": [CANARY, CANARY.capitalize(), f"+4930{CANARY_NUMBER}", stack.service["key"]],
        "logs": [
            str(path.relative_to(folder)) for path in sorted((folder / "logs").iterdir()) if _is_ours(path)
        ],
        "reasons": ["conflict", "parked", "rejected", "skipped", "ignored"],
        "users": plan.users,
        "acts_refused": refused,
        "unplanned_ends": unplanned,
    }
    (folder / "run.json").write_text(json.dumps(about, indent=1))


def _is_ours(path: Path) -> bool:
    # The service's own process writes its address and key, for us.
    return not path.name.startswith("service")


@contextmanager
def _monitored(stack: Stack) -> Iterator[None]:
    """Write down all that passes through the broker, over its restarts."""
    if shutil.which("redis-cli") is None:
        raise RuntimeError("The chaos run reads what passes through the broker: install redis-cli.")
    log = stack.folder / "logs" / "broker.log"
    command = 'while :; do redis-cli -u "$0" monitor; sleep 0.2; done'
    with log.open("wb") as output:
        watcher = subprocess.Popen(
            [sys.executable, tied.__file__, str(os.getpid()), "/bin/sh", "-c", command, stack.broker],
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            servers.signal_all(servers.family(watcher.pid), signal.SIGKILL)
            watcher.wait()


def _add_wire_faults(folder: Path) -> None:
    """Add a line for each fault that struck on the wire, out of the service's own log."""
    with (folder / "service.jsonl").open() as log, (folder / "faults.jsonl").open("a") as faults:
        for exchange in map(json.loads, log):
            if exchange["fault"]:
                line: dict[str, Any] = {
                    "at": exchange["at"],
                    "ended": exchange["ended"],
                    "kind": exchange["fault"],
                    "process": False,
                }
                if exchange["fault"] == "rate_limit":
                    line["retry_after"] = plans.RETRY_AFTER
                faults.write(json.dumps(line) + "\n")


def faults_by_kind(folder: Path) -> Counter[str]:
    """Count what struck."""
    with (folder / "faults.jsonl").open() as lines:
        return Counter(json.loads(line)["kind"] for line in lines)


def _commit() -> str:
    told = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"
