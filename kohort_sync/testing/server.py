"""Put a simulated service behind a real HTTP port, for processes that are not this one and for people.

The connection behaves as the real one: HTTP/1.1, kept open, closed after five idle seconds (observed). It listens on the loopback alone
unless it is told otherwise.
"""

import contextlib
import email.utils
import ipaddress
import socket
import struct
import threading
import time
from http.client import responses as phrases
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from kohort_sync.testing import control
from kohort_sync.testing.answers import RefusalError, refusal
from kohort_sync.testing.service import Service
from kohort_sync.testing.wire import Delivery, Request, Response

IDLE_SECONDS = 5.0
_MOST_BODY = 16 * 1024 * 1024  # bytes that are read at all; the service's own limit is far below and is the service's to tell
_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends RST instead of FIN
_POLL = 0.05


class SandboxServer:
    """Serve a `Service` over HTTP, and the sandbox's own page and switches beside it.

    `port` 0 takes a free one; `url` tells which. `idle_seconds` is how long a silent connection stays open.
    """

    def __init__(
        self,
        service: Service,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.service = service
        self._http = _Http(service, host, port, idle_seconds)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        host, port = self._http.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{name}:{port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Serve from a thread of its own and return at once."""
        self._thread = threading.Thread(target=self.serve_forever, name="kohort-sandbox", daemon=True)
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve from this thread until `stop` is called from another or the process is interrupted."""
        self._http.serve_forever(poll_interval=_POLL)

    def stop(self) -> None:
        """Stop serving, close the port and every connection; harmless where it never served."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.close_all()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, service: Service, host: str, port: int, idle_seconds: float) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.service = service
        self.idle_seconds = idle_seconds
        self.stopping = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__((host, port), _Handler)
        self.loopback_only = _is_loopback(str(self.server_address[0]))

    def server_bind(self) -> None:
        # The base class asks the name service for our own name here, which may take seconds; nobody needs it.
        super(ThreadingHTTPServer.__mro__[2], self).server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is what clients of a sandbox do; anything else is a bug here and is shown.
        if not isinstance(_current_error(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def close_all(self) -> None:
        self.server_close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
