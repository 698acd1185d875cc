"""Brokers for the nudge: one that refuses, one that is silent, one that falls silent, and the real ones."""

import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings as django_settings

from project.demo import stack
from project.demo.stack import Plan
from tests.broker.throwaway import RedisServer

PointTo = Callable[[str], None]
Configure = Callable[[str, object], None]


@pytest.fixture
def point_to(monkeypatch: pytest.MonkeyPatch) -> PointTo:
    """Return what makes Celery publish to another broker; everything else of the site stays as it is."""

    def point(url: str) -> None:
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", url)

    return point


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Return what changes a setting of Celery for one test."""
    before: list[tuple[str, object]] = []

    def change(name: str, value: object) -> None:
        before.append((name, current_app.conf[name]))
        current_app.conf[name] = value

    yield change
    for name, value in reversed(before):
        current_app.conf[name] = value


@pytest.fixture
def queue() -> str:
    """Name a queue of this test alone."""
    return f"kohort-sync-test-{uuid.uuid4()}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite file with every migration in it, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    environment = stack.environment(Plan(state=folder))
    subprocess.run(command, cwd=django_settings.BASE_DIR, env=environment, check=True)
    return folder / "db.sqlite3"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Start a Redis of this test's own."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def refusing() -> str:
    """Return an address at which nobody listens."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """Return an address that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=20)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


class FallingSilent:
    """Stand before a real broker, and keep back whatever it says beyond so many bytes."""

    def __init__(self, host: str, port: int) -> None:
        self.limit: int | None = None
        self.said = 0
        self._behind = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._server]
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            broker = socket.create_connection(self._behind)
            self._sockets += [client, broker]
            self.said = 0
            threading.Thread(target=self._pump, args=(client, broker), daemon=True).start()
            threading.Thread(target=self._answer, args=(broker, client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _answer(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                allowed = data if self.limit is None else data[: max(0, self.limit - self.said)]
                self.said += len(allowed)
                target.sendall(allowed)
        except OSError:
            pass
