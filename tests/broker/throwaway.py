"""A Redis of a test's own: on a free port, in a folder of its own, and ended by its process id."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest
import redis

from project.demo import tied


class RedisServer:
    """Run a redis-server that remembers nothing over a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with closing(socket.socket()) as unused:
            unused.bind(("127.0.0.1", 0))
            self._port: int = unused.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.client = redis.Redis(port=self._port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail("These tests start a Redis of their own: install redis-server.")
        options = ("--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        self._process = subprocess.Popen(
            [sys.executable, tied.__file__, str(os.getpid()), program, *options, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            with suppress(redis.ConnectionError):
                self.client.ping()
                return
            time.sleep(0.02)
        pytest.fail("The throw-away Redis did not start.")

    def stop(self) -> None:
        """End it as an operator does."""
        self._process.terminate()
        self._process.wait(timeout=10)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait(timeout=10)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it neither work nor refuse for the block."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def hang_up(self) -> None:
        """Close every connection but our own."""
        self.client.client_kill_filter(_type="normal", skipme=True)

    def waiting(self, queue: str = "celery") -> int:
        """Count the messages that nobody has fetched."""
        return len(self.messages(queue))

    def messages(self, queue: str = "celery") -> set[bytes | str]:
        """Return the messages that nobody has fetched, as they travel."""
        found = self.client.lrange(queue, 0, -1)
        assert isinstance(found, list)
        return {*found}

    def take(self, queue: str = "celery") -> bytes:
        """Take the message that is there, as it travels."""
        message = self.client.rpop(queue)
        assert isinstance(message, bytes)
        return message
