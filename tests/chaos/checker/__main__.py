"""Judge a run.

    python -m tests.chaos.checker FOLDER [--json]

Exit code 1 where something was found, 2 where there is nothing to judge.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.chaos import checker


def main() -> int:
    """Print the verdict; return a shell's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.checker", description="Judge the run of a folder."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    options = parser.parse_args()
    try:
        verdict = checker.check(options.folder)
    except checker.UnjudgeableError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(verdict.as_json(), indent=1) if options.json else verdict)
    return int(not verdict.sound)


if __name__ == "__main__":
    sys.exit(main())
