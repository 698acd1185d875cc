"""Prove that the contracts of the architecture catch what they forbid.

    python -m tools.floors

A contract that a renaming has emptied passes for ever. So each is given something to catch, in a copy of the
package; import-linter has to fail there and to name the contract.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "kohort_sync"
_SECONDS = 120


@dataclass(frozen=True)
class Plant:
    """Describe one line for one file of the package; `contract` is how the name of what catches it begins."""

    line: str
    file: str
    contract: str


PLANTS = (
    Plant("from kohort_sync import services", "links.py", "Floors"),
    Plant("from kohort_sync import links", "gate.py", "Floors"),
    Plant("from kohort_sync import conf", "client/errors.py", "Floors"),
    Plant("from kohort_sync import redaction", "testing/wire.py", "Floors"),
    Plant("", "helpers.py", "Floors"),
    Plant("from kohort_sync.client import transport", "client/errors.py", "Inside the client"),
    Plant("", "client/helpers.py", "Inside the client"),
    Plant("from kohort_sync.client import errors", "services.py", "Only the engine knows the client"),
    Plant("from kohort_sync.client import errors", "conf.py", "Only the engine knows the client"),
    Plant("from kohort_sync.testing import service", "tasks.py", "Only the command serves the sandbox"),
    Plant("import django", "client/customers.py", "The client and the simulated service know no Django"),
    Plant("import django", "testing/store.py", "The client and the simulated service know no Django"),
    Plant("import requests", "services.py", "requests stays in the transport and the test kit"),
    Plant("import requests", "testing/store.py", "requests stays in the transport and the test kit"),
    Plant("import urllib3", "delivery.py", "requests stays in the transport and the test kit"),
    Plant("import celery", "services.py", "Celery stays in tasks"),
    Plant("import kombu", "receivers.py", "Celery stays in tasks"),
    Plant("import rest_framework", "services.py", "REST framework stays in rest"),
)


def main() -> int:
    """Try every plant; return a shell's exit code."""
    with ThreadPoolExecutor(2) as pool:
        faults = [fault for fault in pool.map(fault_of, PLANTS) if fault]
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print("Mend the contracts in pyproject.toml, below [tool.importlinter].", file=sys.stderr)
        return 1
    print(f"Floors: {len(PLANTS)} plants, each caught by its contract.")
    return 0


def fault_of(plant: Plant) -> str:
    """Plant one line in a copy of the package; say what is wrong if its contract does not break."""
    with tempfile.TemporaryDirectory(prefix="kohort-sync-floors-") as folder:
        copy = Path(folder) / PACKAGE
        shutil.copytree(ROOT / PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        with (copy / plant.file).open("a", encoding="utf-8") as file:
            file.write(f"\n{plant.line}\n")
        lint = Path(sys.executable).with_name("lint-imports")
        done = subprocess.run(
            [str(lint), "--no-cache", "--no-logo"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    where = f"'{plant.line or 'a new module'}' in {PACKAGE}/{plant.file}"
    if done.returncode == 0:
        return f"{where}: nothing caught it; the contract '{plant.contract}' should."
    verdicts = done.stdout.splitlines()
    if not any(line.startswith(plant.contract) and "BROKEN" in line for line in verdicts):
        return f"{where}: the contract '{plant.contract}' did not break.\n{done.stdout}{done.stderr}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
