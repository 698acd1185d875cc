"""Measure what syncing costs, and write docs/performance.md.

python -m tests.bench                 measure everything and write the page
python -m tests.bench push signup     measure these parts and print what was found
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import aims, backfill, pace, plots, push, reconcile, report, scale, signup
from tests.bench.stage import ROOT, Stage

FOLDER = ROOT / ".bench"
DOCS = ROOT / "docs"
PARTS: dict[str, Callable[[Stage], dict[str, Any]]] = {
    "push": push.measure,
    "pace": pace.measure,
    "signup": signup.measure,
    "backfill": backfill.measure,
    "scale": scale.measure,
    "reconcile": reconcile.measure,
}


def main() -> None:
    """Measure the parts that are named, or all of them; the page is written where all were measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="write the page from what was found last")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    wanted = arguments.parts or list(PARTS)
    found = {name: _kept(name) if arguments.write else _measure(name) for name in wanted}
    for name, told in found.items():
        for aim in aims.ALL[name](told):
            print(f"{'met   ' if aim.is_met else 'MISSED'} {aim.what}: {aim.figure:.3g} ({aim.bound:.3g})")
    if not arguments.parts:
        images = DOCS / "images" / "performance"
        images.mkdir(parents=True, exist_ok=True)
        plots.write(found, images)
        report.write(found, page=DOCS / "performance.md", cores=os.cpu_count() or 1)


def _kept(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def _measure(name: str) -> dict[str, Any]:
    """Measure one part on a stage of its own; what was found is kept in a file, too."""
    began = time.monotonic()
    print(f"── {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="kohort-bench-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        with Stage(folder) as stage:
            told = PARTS[name](stage)
    (FOLDER / f"{name}.json").write_text(json.dumps(told, indent=1))
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return told


if __name__ == "__main__":
    main()
