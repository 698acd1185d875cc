"""A server made of raw sockets: it can break every rule of HTTP, and it remembers what it was sent."""

import contextlib
import json
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kohort_sync.client import records
from kohort_sync.client.records import CustomerData
from kohort_sync.client.transport import Transport
from kohort_sync.redaction import Secret

KEY = "sk_test_canary4711canary"
EMAIL = "ada.canary@example.org"
REFERENCE = "ks-a1b2c3-0123456789abcdef"
DATA = CustomerData(
    email_address=EMAIL, first_name="Ada", last_name="Canaryname", phone_number="+33 6 12 34 56 78"
)

Behave = Callable[[socket.socket], object]


class Server:
    """Answer each connection with the next behaviour, the last one for ever; keep all bytes that came."""

    def __init__(self, *behaviours: Behave, tls: ssl.SSLContext | None = None) -> None:
        self.received = bytearray()
        self.connections = 0
        self._behaviours = list(behaviours)
        self._tls = tls
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.01)
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    @property
    def requests(self) -> int:
        return self.received.count(b" HTTP/1.1\r\n")

    @property
    def text(self) -> str:
        return self.received.decode("latin-1")

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}"

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def request(self, connection: socket.socket) -> bytes:
        """Read one whole request; empty when the client has gone or the test is over."""
        data = b""
        while not self._over.is_set():
            if not select.select([connection], [], [], 0.005)[0]:
                continue
            part = connection.recv(65536)
            if not part:
                return b""
            self.received += part
            data += part
            head, found, body = data.partition(b"\r\n\r\n")
            if found and len(body) >= _length(head):
                return data
        return b""

    def drip(self, connection: socket.socket, data: bytes, *, every: float) -> None:
        for byte in data:
            if self._over.wait(every):
                return
            connection.sendall(bytes([byte]))

    def hold(self, seconds: float = 30) -> None:
        self._over.wait(seconds)

    def _spawn(self, target: Callable[..., object], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                self._spawn(self._serve, self._listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        behave = self._behaviours[min(self.connections, len(self._behaviours) - 1)]
        self.connections += 1
        with contextlib.suppress(OSError), connection:
            if self._tls is None:
                behave(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secure:
                behave(secure)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def response(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def customer(**changes: object) -> dict[str, object]:
    """Make a customer as the service shows it (observed spelling)."""
    return {
        "id": "cus_1",
        "email_address": EMAIL,
        "first_name": "Ada",
        "last_name": "Canaryname",
        "phone_number": None,
        "livemode": False,
        "is_blocked": False,
        "organization_id": "org_1",
        "metadata": None,
        "locale": "fr_FR",
        "client_reference_id": REFERENCE,
        "created_at": "2026-01-02T03:04:05.678Z",
        "created_by": None,
        "updated_at": "2026-01-02T03:04:05.678Z",
        "updated_by": None,
        "blocked_at": None,
        "blocked_by": None,
        "deleted_at": None,
    } | changes


def documented(**changes: object) -> dict[str, object]:
    """Make a customer as the public reference shows it: camelCase, no reference, no locale."""
    shown = {records.FIELDS.get(name, name): value for name, value in customer(**changes).items()}
    return {k: v for k, v in shown.items() if k not in ("locale", "clientReferenceId")}


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test."""
    servers: list[Server] = []

    def start(*behaviours: Behave, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(*behaviours, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Transport]]:
    """Make transports that are closed with the test."""
    transports: list[Transport] = []

    def make(base_url: str = "https://api.kohortpay.test", *, key: str = KEY, **options: object) -> Transport:
        made = Transport(base_url=base_url, key=Secret(key), **options)  # type: ignore[arg-type]
        transports.append(made)
        return made

    yield make
    for transport in transports:
        transport.close()


@pytest.fixture
def answering(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start a server that answers every request of a connection with the same bytes."""

    def start(answer: bytes, *, tls: ssl.SSLContext | None = None) -> Server:
        def behave(connection: socket.socket) -> None:
            while server.request(connection):
                connection.sendall(answer)

        server = serve(behave, tls=tls)
        return server

    return start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Path]]:
    """Make a self-signed certificate for some names and days; with -1 days it has expired already."""
    directory = tmp_path_factory.mktemp("tls")

    def make(*, names: str = "IP:127.0.0.1,DNS:localhost", days: int = 30) -> tuple[Path, Path]:
        stem = f"c{time.monotonic_ns()}"
        cert, key = directory / f"{stem}.pem", directory / f"{stem}.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-nodes", "-keyout", str(key), "-out", str(cert)),
                *("-days", str(abs(days)), "-subj", "/CN=test"),
                *("-addext", f"subjectAltName={names}"),
            ],
            check=True,
            capture_output=True,
        )
        if days < 0:
            # The first command makes none that has expired; this one signs the same again.
            sign = ["openssl", "x509", "-in", str(cert), "-signkey", str(key), "-days", str(days)]
            subprocess.run([*sign, "-out", str(cert)], check=True, capture_output=True)
        return cert, key

    return make


def tls_server(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair[0], pair[1])
    return context
