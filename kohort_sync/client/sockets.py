"""Sockets: connections that keep the deadline of a call, and that know whether anything was sent.

Note [Deadline]
    A timeout of `requests` bounds each wait, not the call: an answer dripped byte by byte takes as long as
    its sender likes. So the connection sets what is left of the call's time on the socket before each read
    and each write. Only the resolution of a name cannot be interrupted, and each address of a name is tried
    for `connect_timeout`; but after the deadline nothing is sent any more: a late call is an unsent one.

Note [Sent or not]
    Whether a request may have arrived is not read from an exception's type, which mixes both cases. The
    connection notes it right before the first byte of the request leaves (not of a handshake or a CONNECT).
"""

import http.client
import io
import math
import os
import socket
import ssl
import threading
import time
from http import HTTPStatus
from typing import Any, Final, NoReturn

import requests
import requests.adapters
import requests.auth
import requests.structures
import requests.utils
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from kohort_sync.client import errors

# A body of 1 MiB and generous headers: a header or a chunk size that never ends is stopped here.
_WIRE_CAP: Final = (1024 + 256) * 1024
# What the libraries below are known to raise. KohortError is none of these and passes through them.
FAULTS: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)


class Call:
    """Keep what one call may still spend, and what has happened to it so far."""

    def __init__(self, *, deadline: float, idle_limit: float) -> None:
        self.idle_limit = idle_limit
        self._started = time.monotonic()
        self._ends = self._started + deadline
        self._forget(only_new_connections=False)

    def begin_again(self) -> None:
        self._forget(only_new_connections=True)

    def _forget(self, *, only_new_connections: bool) -> None:
        self.only_new_connections = only_new_connections
        self.connecting = False
        self.sent = False
        self.received = 0
        self.ended = False
        self.status: int | None = None
        self.last_byte_at = -math.inf
        self._ambiguous = True
        self._untrusted = False
        self._overflowed = False
        self._why = ""

    def remaining(self) -> float:
        """Return the seconds left; raise TimeoutError when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the call has passed")
        return left

    def milliseconds(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def succeeded(self) -> bool:
        return self.status is not None and (HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES)

    def died_on_a_kept_connection(self) -> bool:
        kept = self.sent and not self.connecting
        return kept and not self.received and time.monotonic() < self._ends

    def count(self, size: int) -> None:
        self.ended = not size
        self.received += size
        self.last_byte_at = time.monotonic()
        if self.received > _WIRE_CAP:
            self._overflowed = True
            raise OSError("the answer is longer than any answer of the service")

    def note(self, fault: BaseException) -> None:
        """Keep of an exception what may be kept: whether the request was sent, and why in our words."""
        chain = _chain(fault)
        own_connection = self.connecting or self.sent
        self._ambiguous = self.sent if own_connection else not any(isinstance(f, _NEVER_SENT) for f in chain)
        self._untrusted = any(isinstance(f, _UNTRUSTED) for f in chain) and not any(
            isinstance(f, _CUT_OFF) for f in chain
        )
        self._why = next((why for kinds, why in _WORDS if any(isinstance(f, kinds) for f in chain)), "")

    def failure(self) -> errors.KohortError:
        spent = self.milliseconds()
        if self._overflowed:
            return errors.Unreadable("it does not end", status=self.status, milliseconds=spent)
        if not self._ambiguous and self._untrusted:
            return errors.TlsFailed(self._why, milliseconds=spent)
        if not self._ambiguous:
            return errors.Unreachable(self._why, milliseconds=spent)
        return errors.NoAnswer(self._why, status=self.status, milliseconds=spent)


# For exceptions of an adapter that is not ours (tests, the simulated service): what surely was not sent.
_NEVER_SENT: Final = (
    requests.exceptions.SSLError,
    requests.ConnectTimeout,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.LocationParseError,
    socket.gaierror,
    ConnectionRefusedError,
)
_UNTRUSTED: Final = (ssl.SSLError, urllib3.exceptions.SSLError, requests.exceptions.SSLError)
# A handshake cut off half-way says something about the line, nothing about the certificate.
_CUT_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError, TimeoutError)
_WORDS: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    ((socket.gaierror, urllib3.exceptions.NameResolutionError), "its name could not be resolved"),
    ((ConnectionRefusedError,), "the connection was refused"),
    ((ssl.SSLCertVerificationError,), "its certificate is not valid for this address"),
    ((ssl.SSLEOFError, ConnectionResetError), "the connection was reset"),
    ((ssl.SSLError, urllib3.exceptions.SSLError, requests.exceptions.SSLError), "the TLS handshake failed"),
    (
        (TimeoutError, urllib3.exceptions.TimeoutError, requests.Timeout),
        "the time for it was over",
    ),
    ((http.client.IncompleteRead, urllib3.exceptions.IncompleteRead), "the answer broke off"),
    ((http.client.RemoteDisconnected, BrokenPipeError), "the connection was closed without an answer"),
)


def _chain(fault: BaseException) -> list[BaseException]:
    """List an exception and what it wraps, in whichever of three ways the libraries wrap."""
    found: list[BaseException] = []
    waiting: list[object] = [fault]
    while waiting:
        item = waiting.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            # Not __context__: it reaches into whatever our caller is just handling.
            waiting += [*item.args, getattr(item, "reason", None), item.__cause__]
    return found


class _Current(threading.local):
    """Tell a connection which call it is working for: the libraries in between pass on nothing of ours."""

    call: Call


current = _Current()


class Adapter(requests.adapters.HTTPAdapter):
    """Open connections that keep the deadline, and verify certificates whatever anyone asks for.

    It knows one address, so it finds out once what its parent asks for each request.
    """

    def __init__(self, *, pool_size: int, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._pool: Any = None
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=False)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:  # noqa: FBT001, FBT002 -- requests' signature
        # One context for the session: building one per connection costs more than twenty requests.
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._tls, proxy_ssl_context=self._tls, **kwargs
        )
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        return self._pool

    def close(self) -> None:
        self._pool = None
        super().close()

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ARG002 -- requests' signature
        # What is proxied is TLS, in a tunnel.
        return request.path_url

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        # Without cookies and a guess at the encoding, which nobody asks for.
        response = requests.Response()
        response.status_code, response.raw, response.request = resp.status, resp, req
        response.headers = requests.structures.CaseInsensitiveDict(resp.headers)
        return response

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ARG002 -- requests' signature
        # Not the inherited one: it loads the CA bundle again for each connection, or switches it off.
        conn.cert_reqs = "CERT_REQUIRED"


def tls_context(bundle: str | None) -> ssl.SSLContext:
    # Built by hand: the ready-made contexts write the session keys to a file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    path = bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH
    is_directory = os.path.isdir(path)  # noqa: PTH112 -- a path for OpenSSL, not for us
    try:
        context.load_verify_locations(
            cafile=None if is_directory else path, capath=path if is_directory else None
        )
    except OSError:
        _refuse_bundle()
    return context


def _refuse_bundle() -> NoReturn:
    raise errors.TlsFailed("the CA bundle cannot be read") from None


def env_proxies_for(base_url: str) -> dict[str, str]:
    proxies = requests.utils.get_environ_proxies(base_url)
    if any(str(proxy).lower().startswith("socks") for proxy in proxies.values()):
        raise errors.Unreachable("the environment names a SOCKS proxy, which is not supported")
    return dict(proxies)


class _Connection(urllib3.connection.HTTPConnection):
    """A connection that reads and writes within what is left of the current call; see Note [Deadline]."""

    _last_call: Call | None = None
    _handshaking = False
    _held: list[Any] | None = None

    @property
    def is_connected(self) -> bool:
        # The pool asks before it hands out a kept connection.
        last = self._last_call
        call = current.call
        if last is None or call.only_new_connections or self._has_unread_bytes():
            return False
        idle = time.monotonic() - last.last_byte_at
        return idle < call.idle_limit and super().is_connected

    def connect(self) -> None:
        call = current.call
        call.connecting = True
        self._handshaking = True
        try:
            self.timeout = min(self.timeout or math.inf, call.remaining())
            super().connect()
        finally:
            self._handshaking = False

    def request(self, *args: Any, **kwargs: Any) -> None:
        # Headers and body in one piece: what is sent apart costs both sides a system call more.
        self._held = []
        try:
            super().request(*args, **kwargs)
        finally:
            held, self._held = self._held, None
        self.send(b"".join(held))

    def send(self, data: Any) -> None:
        if self._held is not None and not self._handshaking:
            self._held.append(data)
            return
        call = current.call
        if self.sock is None:
            self.connect()
        left = memoryview(data)
        while left:
            self.sock.settimeout(call.remaining())
            if not self._handshaking:
                # From here on the request may have arrived; see Note [Sent or not].
                call.sent = True
                self._last_call = call
            left = left[self.sock.send(left) :]

    def _has_unread_bytes(self) -> bool:
        # The socket of a TLS connection may be silent while its record layer holds bytes of an older answer.
        pending = getattr(self.sock, "pending", None)
        return pending is not None and pending() > 0


class _TlsConnection(_Connection, urllib3.connection.HTTPSConnection):
    """The same over TLS."""


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final = {"http": _Pool, "https": _TlsPool}


# Answers that say "wait" (RFC 9110, 15.2): all of 1xx but 100, which `http.client` passes over, and 101.
_INTERIM: Final = range(102, 200)


class _Answer(http.client.HTTPResponse):
    """An answer that is read within what is left of the call."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        self._call = current.call
        super().__init__(_Source(sock, self._call), *args, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        super().begin()
        while self.status in _INTERIM:
            # `http.client` takes these for the answer; the real one would then answer the next request.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
            self.will_close = True  # whatever follows is no HTTP
        if self._call.ended:
            # `http.client` takes the end of the connection for the end of the headers.
            raise http.client.IncompleteRead(b"")
        # About a malformed header urllib3 logs a warning with the whole URL, so perhaps an e-mail address.
        self.headers.defects.clear()
        self.headers.set_payload("")


_Connection.response_class = _Answer


class _Source:
    """Stand for a socket where `http.client` wants one: it only ever asks for a file."""

    def __init__(self, sock: Any, call: Call) -> None:
        self._sock = sock
        self._call = call

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedFile(self._sock, self._sock.makefile(mode, buffering=0), self._call))


class _TimedFile(io.RawIOBase):
    def __init__(self, sock: Any, file: io.RawIOBase, call: Call) -> None:
        self._sock = sock
        self._file = file
        self._call = call

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._call.remaining())
        size = self._file.readinto(buffer)
        self._call.count(size or 0)
        return size

    def close(self) -> None:
        self._file.close()
        super().close()
