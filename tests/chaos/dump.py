"""Write the site's own history and the tables of the design under test down, as the checker reads them.

python -m tests.chaos.dump FOLDER
"""

import importlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import django
from django.apps import apps


def main() -> None:
    """Write the three files of the end into the folder."""
    folder = Path(sys.argv[1])
    django.setup()
    history = apps.get_app_config("site").get_model("History")
    design = importlib.import_module(os.environ["CHAOS_DESIGN"])
    _write(folder / "committed.jsonl", history._base_manager.order_by("pk").values())
    _write(folder / "links.jsonl", design.links())
    _write(folder / "customers.jsonl", design.customers())


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps({name: _plain(value) for name, value in row.items()}) + "\n")


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value


if __name__ == "__main__":
    main()
