"""A KohortPay that is fast enough not to be what is measured: one thread, one loop, nothing checked.

    python -m tests.bench.simulator SERVICE      prints its port, and serves until its input ends

`GET /stats` tells what it saw; everything else is the service's own.
"""

import argparse
import asyncio
import bisect
import functools
import json
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

from kohort_sync.client.records import FIELDS
from kohort_sync.pacing import Outcome
from tests.pace import services

ORGANIZATION = "org_bench"
SERVICES: dict[str, Callable[[], services.Server]] = {
    "0ms": lambda: services.Parallel(latency=0.0),
    "100ms": services.Parallel,
    "serial": services.Serial,
    "degrading": services.Degrading,
    "refusing": services.Refusing,
    "refusing-with-retry-after": services.Refusing,
}
_NOBODY: dict[str, Any] = dict.fromkeys(
    ("created_by", "updated_by", "blocked_at", "blocked_by", "deleted_at")
)
_EMPTY: dict[str, Any] = {
    "livemode": False,
    "is_blocked": False,
    "organization_id": ORGANIZATION,
    "first_name": None,
    "last_name": None,
    "phone_number": None,
    "metadata": None,
    "locale": "fr_FR",
    "client_reference_id": None,
}
_SPELLED = {documented: name for name, documented in FIELDS.items()}
_ABOVE = re.compile(r'id>"(\w+)"')
_EARLIER = "2020-01-01T00:00:00.000Z"
_PHRASES = {200: "OK", 201: "Created", 404: "Not Found", 429: "Too Many Requests"}


class Stats(TypedDict):
    """Describe what the service saw. `cpu` is in seconds, `seconds` maps each second to accepted, refused."""

    cpu: float
    clock: float
    customers: int
    most_at_once: int
    seconds: dict[str, list[int]]


class Service:
    """Keep the customers and answer. `server` says how long each request takes and what is refused."""

    def __init__(self, server: services.Server, *, retry_after: bool) -> None:
        self.server = server
        self.retry_after = retry_after
        self.by_id: dict[str, dict[str, Any]] = {}
        self.by_reference: dict[str, dict[str, Any]] = {}
        # Another one gives out others: the tables may outlive a service.
        self.name, self.ids = secrets.token_hex(4), count(1)
        self.sorted: list[str] = []
        self.under_way = self.most_at_once = 0
        self.seconds: dict[int, list[int]] = {}

    def stats(self) -> Stats:
        """Return what was seen up to now."""
        return {
            "cpu": time.process_time(),
            "clock": time.time(),
            "customers": len(self.by_id),
            "most_at_once": self.most_at_once,
            "seconds": {str(second): seen for second, seen in self.seconds.items()},
        }

    def begin(self, reply: Callable[[bytes], None], method: str, target: str, body: bytes) -> None:
        """Take a request, and reply to it when its time has passed."""
        if target == "/stats":
            reply(_answer(200, self.stats()))
            return
        now = time.time()
        seconds, outcome = self.server(now, self.under_way)
        refused = outcome is Outcome.REFUSED
        self.seconds.setdefault(int(now), [0, 0])[refused] += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)

        def end() -> None:
            self.under_way -= 1
            reply(self.refusal() if refused else self.work(method, target, body))

        if seconds:
            asyncio.get_running_loop().call_later(seconds, end)
        else:
            end()

    def refusal(self) -> bytes:
        """Say that there were too many requests."""
        told = {
            "error": {"type": "invalid_request_error", "message": "Too many", "code": "Too Many Requests"}
        }
        return _answer(429, told, b"Retry-After: 1\r\n" if self.retry_after else b"")

    def page(self, asked: dict[str, str]) -> bytes:
        """Answer what a drain asks a list for: references, or what comes after an id or a number of rows."""
        search = unquote(asked.get("search", ""))
        above = _ABOVE.fullmatch(search)
        if search and above is None:
            values = re.findall(r"[\w.-]+", search)
            found = [self.by_reference[value] for value in values if value in self.by_reference]
            return _answer(200, {"data": found, "count": len(found)})
        if len(self.sorted) != len(self.by_id):
            self.sorted = sorted(self.by_id)
        first = bisect.bisect_right(self.sorted, above[1]) if above else int(asked.get("skip", 0))
        shown = [self.by_id[key] for key in self.sorted[first : first + int(asked.get("take", 25))]]
        return _answer(200, {"data": shown, "count": len(self.sorted)})

    def fill(self, number: int) -> None:
        """Make customers of others."""
        for _ in range(number):
            n = next(self.ids)
            row = {"id": f"cus_{self.name}{n:08d}", **_EMPTY, **_NOBODY, "created_at": _EARLIER}
            row |= {"updated_at": _EARLIER, "email_address": f"other-{n}@example.com"}
            self.by_id[row["id"]] = row

    def work(self, method: str, target: str, body: bytes) -> bytes:
        """Do what was asked for."""
        if method == "POST":
            now = _moment()
            row = {
                "id": f"cus_{self.name}{next(self.ids):08d}",
                **_EMPTY,
                "created_at": now,
                "updated_at": now,
                **_NOBODY,
            }
            row |= _fields(body)
            self.by_id[row["id"]] = row
            self.by_reference[row["client_reference_id"]] = row
            return _answer(201, row)
        parts = urlsplit(target)
        name = parts.path.rpartition("/")[2]
        if name == "customers":
            return self.page(dict(parse_qsl(parts.query)))
        known = self.by_id.get(name)
        if known is None:
            return _answer(404, {"error": {"type": "invalid_request_error", "message": "not found"}})
        if method == "PATCH":
            known |= {**_fields(body), "updated_at": _moment()}
        return _answer(200, known)


class Connection(asyncio.Protocol):
    """Read one request after another from a connection that is kept."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to reply."""
        assert isinstance(transport, asyncio.Transport)
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        """Begin a request as soon as the whole of it is there."""
        self.received += data
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        at = lowered.find(b"\r\ncontent-length:")
        length = int(lowered[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) < length:
            return
        self.received = b""  # nobody sends the next one before the answer
        method, target, _ = head.split(b" ", 2)
        self.service.begin(self.write, method.decode(), target.decode(), rest)


def _fields(body: bytes) -> dict[str, Any]:
    return {_SPELLED[name]: value for name, value in json.loads(body).items() if name in _SPELLED}


def _moment() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _answer(status: int, value: Any, headers: bytes = b"") -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: application/json\r\n".encode()
    return b"%bContent-Length: %d\r\n%b\r\n%b" % (head, len(body), headers, body)


async def serve(name: str, *, customers: int) -> None:
    """Serve on a free port until the input ends."""
    loop = asyncio.get_running_loop()
    service = Service(SERVICES[name](), retry_after=name.endswith("retry-after"))
    service.fill(customers)
    server = await loop.create_server(functools.partial(Connection, service), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulator")
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--customers", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.service, customers=arguments.customers))
