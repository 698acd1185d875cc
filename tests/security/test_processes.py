"""Canaries through real processes: a site, a worker and a beat over a real Redis, and all that they write."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from project.demo import stack
from project.demo.cast import Person
from project.demo.processes import Processes
from project.demo.stack import KohortPay, Plan
from project.demo.visitor import Status, Visitor
from tests.broker.throwaway import RedisServer
from tests.security import canaries

pytestmark = [pytest.mark.services, pytest.mark.security(6, 7, 10, 12)]

_PASSWORD = "plum-crumble-42"
_SETTLED_WITHIN = 60.0


@contextmanager
def overheard(server: RedisServer) -> Iterator[bytearray]:
    """Keep every command that a Redis is sent in the block."""
    heard = bytearray()
    parts = urlsplit(server.url)

    def listen(line: socket.socket) -> None:
        with suppress(OSError):
            while part := line.recv(65536):
                heard.extend(part)

    with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as line:
        line.sendall(b"MONITOR\r\n")
        threading.Thread(target=listen, args=(line,), daemon=True).start()
        yield heard


def person(name: str) -> Person:
    return Person(
        username=name,
        first_name=canaries.FIRST_NAME,
        last_name=canaries.LAST_NAME,
        email=canaries.email(name),
    )


def wait(visitor: Visitor, processes: Processes) -> Status:
    """Look at somebody's page until nothing moves there any more."""
    ends = time.monotonic() + _SETTLED_WITHIN
    while (page := visitor.status()).state in ("pending", "uncertain") and time.monotonic() < ends:
        processes.check()
        time.sleep(0.2)
    return page


def test_no_process_and_no_message_shows_the_key_or_a_person(tmp_path: Path) -> None:
    service = canaries.Listening(seed=1)
    tale = f"{canaries.tale('refused')} {canaries.KEY}"
    body = json.dumps({"error": {"message": [f"emailAddress {tale}"]}})
    service.faults.add(Fault("status", status=400, body=body, email=canaries.email("refused"), method="POST"))
    service.faults.add(Fault("reset", after_commit=True, email=canaries.email("lost"), method="POST"))
    processes = Processes(logs=tmp_path / "logs", directory=Path(settings.BASE_DIR))
    with RedisServer(tmp_path) as broker, SandboxServer(service) as sandbox, overheard(broker) as heard:
        plan = Plan(
            state=tmp_path,
            broker=broker.url,
            deadline=1.0,
            kohortpay=KohortPay(url=sandbox.url, key=canaries.KEY),
        )
        try:
            running = stack.start(
                plan, processes, admin=person("admin"), password=_PASSWORD, say=lambda _: None
            )
            ended: dict[str, str] = {}
            for name in ("linked", "refused", "lost"):
                with closing(Visitor(running.site)) as visitor:
                    visitor.sign_up(person(name), password=_PASSWORD)
                    ended[name] = wait(visitor, processes).state
        finally:
            processes.end()

    assert ended == {"linked": "linked", "refused": "rejected", "lost": "linked"}
    logs = {file.name: file.read_text(errors="replace") for file in (tmp_path / "logs").iterdir()}
    assert {"site.log", "worker.log", "beat.log"} <= {*logs}
    assert "kohort_sync.v1.drain" in logs["worker.log"]
    assert b"kohort_sync.v1.drain" in heard
    searched = logs | {"Redis": heard.decode(errors="replace"), "URLs": "\n".join(service.targets)}
    assert {name: seen for name, text in searched.items() if (seen := canaries.seen_in(text))} == {}
