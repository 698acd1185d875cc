import socket
import time
from urllib.parse import urlsplit

from kohort_sync.testing.server import IDLE_SECONDS, SandboxServer
from kohort_sync.testing.service import Service
from tests.conformance.lines import pins

REQUEST = b"GET /customers HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pins("idle")
def test_a_connection_is_kept_and_closed_when_it_has_been_idle() -> None:
    # Neither in process, where there is no connection, nor against a remote service, whose proxies have
    # times of their own.
    with SandboxServer(Service(), idle_seconds=0.2) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            for _ in range(2):
                connection.sendall(REQUEST)
                assert connection.recv(65536).startswith(b"HTTP/1.1 401")
            began = time.monotonic()
            closed = connection.recv(65536)

    assert closed == b""
    assert 0.1 < time.monotonic() - began < 2
    assert IDLE_SECONDS == 5
