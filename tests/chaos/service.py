"""The simulated service as a process with a log of its own, which the checker reads.

python -m tests.chaos.service LOG SEED
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from threading import Event, Lock
from typing import Any

from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_ORGANIZATION, Exchange, Service


class FileLog:
    """Write each exchange into a file, with the row that it left behind, in the order of their ends."""

    def __init__(self, path: Path, service: Service) -> None:
        self._file = path.open("a")
        self._service = service
        self._lock = Lock()

    def append(self, exchange: Exchange) -> None:
        with self._lock:
            line = self._line(exchange)
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def __iter__(self) -> Iterator[Exchange]:
        # What the sandbox's page would show of its log; here the file is the log.
        return iter(())

    def _line(self, exchange: Exchange) -> dict[str, Any]:
        fault = exchange.fault
        if fault in {"status", "reset", "delay"} and exchange.customer_id:
            fault += "_after"
        if fault == "status" and exchange.status == 401:
            fault = "refused_key"
        return {
            "at": exchange.at.timestamp(),
            "ended": time.time(),
            "method": exchange.method,
            "path": exchange.path,
            "status": 0 if exchange.delivery == "reset" else exchange.status,
            "reference": exchange.reference,
            "customer": exchange.customer_id,
            "committed": exchange.customer_id is not None,
            # Read under the log's lock: the last line of a customer holds what it is at the end.
            "row": self._row(exchange.customer_id),
            "fault": fault,
            "authorized": exchange.status != 401,
        }

    def _row(self, customer_id: str | None) -> dict[str, Any] | None:
        if customer_id is None:
            return None
        row = self._service.row(customer_id)
        return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value


def main() -> None:
    """Serve until a signal ends the process; say where first."""
    path, seed = sys.argv[1:]
    service = Service(seed=int(seed), latency="test")
    service.log = FileLog(Path(path), service)  # type: ignore[assignment]
    with SandboxServer(service) as server:
        key = next(iter(service.keys))
        print(json.dumps({"url": server.url, "key": key, "organization": DEFAULT_ORGANIZATION}), flush=True)
        Event().wait()


if __name__ == "__main__":
    main()
