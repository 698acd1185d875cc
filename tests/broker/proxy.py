"""A proxy before a broker that nobody may touch: it refuses, freezes, delays or cuts what passes."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends RST instead of FIN


class Proxy:
    """Pass everything on, until one of the faults is switched on; a fault ends with its block."""

    def __init__(self, behind: str) -> None:
        self._parts = urlsplit(behind)
        self._moving = threading.Event()
        self._moving.set()
        self._delay = 0.0
        self._cut_after: int | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.said = 0
        """Bytes that the broker has said in all."""
        self._listen(port=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._moving.set()
        self._stop_listening()
        self._hang_up()

    @property
    def url(self) -> str:
        """Return the broker's address with ours in it."""
        user, at, _ = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{user}{at}127.0.0.1:{self._port}").geturl()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Listen no more, and hang up on everybody."""
        self._stop_listening()
        self._hang_up()
        try:
            yield
        finally:
            self._listen(port=self._port)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Take connections and bytes, and pass nothing on until the end."""
        self._moving.clear()
        try:
            yield
        finally:
            self._moving.set()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Keep each answer back for so long."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    @contextmanager
    def cutting(self, *, after: int) -> Iterator[None]:
        """Reset the connections that stand, and each new one after so many bytes of answers."""
        self._cut_after = after
        self._hang_up()
        try:
            yield
        finally:
            self._cut_after = None

    def _listen(self, *, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port), backlog=50)
        self._port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def _stop_listening(self) -> None:
        # A thread that waits in accept() keeps the port open until it is woken.
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _hang_up(self) -> None:
        with self._lock:
            standing, self._open = self._open, set()
        for each in standing:
            _reset(each)

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
                broker = socket.create_connection(
                    (self._parts.hostname or "127.0.0.1", self._parts.port or 0)
                )
            except OSError:
                return
            with self._lock:
                self._open |= {client, broker}
            threading.Thread(target=self._ask, args=(client, broker), daemon=True).start()
            threading.Thread(target=self._answer, args=(broker, client), daemon=True).start()

    def _ask(self, client: socket.socket, broker: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self._moving.wait()
                broker.sendall(data)
            broker.shutdown(socket.SHUT_WR)

    def _answer(self, broker: socket.socket, client: socket.socket) -> None:
        said = 0
        with suppress(OSError):
            while data := broker.recv(65536):
                time.sleep(self._delay)
                self._moving.wait()
                self.said += len(data)
                said += len(data)
                if self._cut_after is not None and said > self._cut_after:
                    client.sendall(data[: len(data) - (said - self._cut_after)])
                    break
                client.sendall(data)
        with self._lock:
            self._open -= {client, broker}
        _reset(client)
        _reset(broker)


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Wakes the thread that waits for bytes; close() alone would leave it waiting.
        connection.shutdown(socket.SHUT_RD)
    connection.close()
