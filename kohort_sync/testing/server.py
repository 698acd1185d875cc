"""Put a simulated service behind a real HTTP port, for processes that are not this one and for people.

The connection behaves as the real one: HTTP/1.1, kept open, closed after five idle seconds (observed). It
listens on the loopback alone unless it is told otherwise.
"""

import contextlib
import ipaddress
import socket
import socketserver
import struct
import sys
import threading
from http.client import responses as phrases
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from kohort_sync.testing import answers, control
from kohort_sync.testing.service import Service
from kohort_sync.testing.wire import Delivery, Request, Response

IDLE_SECONDS = 5.0
_MOST_BODY = (
    16 * 1024 * 1024
)  # bytes that are read at all; the service's own limit is far below and is the service's to tell
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
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__((host, port), _Handler)
        self.loopback_only = _is_loopback(str(self.server_address[0]))

    def server_bind(self) -> None:
        # The base class asks the name service for our own name here, which may take seconds; nobody needs it.
        socketserver.TCPServer.server_bind(self)
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
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def close_all(self) -> None:
        self.server_close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.idle_seconds)

    def serve(self) -> None:
        length = self._body_length()
        if length is None:
            self.close_connection = True
            self._send(answers.refusal(answers.RefusalError(400, "Send a body with a Content-Length.")))
            return
        if length > _MOST_BODY:
            self.close_connection = True
            self._send(answers.refusal(answers.internal()))
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True  # the client hung up in the middle of its request
            return
        self._send(self._answer(Request(self.command, self.path, dict(self.headers.items()), body)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the names that the base class looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Keep quiet: the service has a log of its own, without anybody's address in it."""

    def _answer(self, request: Request) -> Response:
        if not control.is_ours(request):
            return self.server.service.handle(request)
        if self.server.loopback_only and not _names_loopback(request.header("Host") or ""):
            # A page of another site that points its own name at 127.0.0.1 must not read what is here.
            return answers.refusal(answers.RefusalError(403, "Open the sandbox as localhost or 127.0.0.1."))
        return control.answer(self.server.service, request)

    def _body_length(self) -> int | None:
        told = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not (told.isascii() and told.isdecimal()):
            return None
        return int(told)

    def _send(self, response: Response) -> None:
        if response.delivery is Delivery.RESET:
            self._reset()
        elif response.delivery is Delivery.DRIP_HEADERS:
            self._drip(self._head(response), response.drip_seconds)
            self.wfile.write(response.body)
        elif response.delivery is Delivery.DRIP:
            self.wfile.write(self._head(response))
            self._drip(response.body, response.drip_seconds)
        elif response.delivery is Delivery.TRUNCATED:
            self.close_connection = True
            self.wfile.write(self._head(response) + response.body[: len(response.body) // 2])
        else:
            self.wfile.write(self._head(response) + response.body)

    def _head(self, response: Response) -> bytes:
        idle = {"Connection": "keep-alive", "Keep-Alive": f"timeout={self.server.idle_seconds:g}"}
        headers = {
            **response.headers,
            "Content-Length": str(len(response.body)),
            **({"Connection": "close"} if self.close_connection else idle),
        }
        lines = [f"HTTP/1.1 {response.status} {phrases.get(response.status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", errors="replace")

    def _drip(self, content: bytes, seconds: float) -> None:
        for byte in content:
            self.server.service.sleep(seconds / len(content))
            self.wfile.write(bytes([byte]))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Close for real, before the base class says goodbye politely: the reader holds the socket open, so
        # it goes first.
        self.rfile.close()
        self.connection.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_loopback(host_header: str) -> bool:
    name = urlsplit(f"//{host_header}").hostname or ""
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)
