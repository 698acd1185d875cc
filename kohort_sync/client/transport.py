"""Transport: one HTTP exchange with KohortPay within one deadline, or an error that says what happened.

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
import ipaddress
import json
import math
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, NoReturn
from urllib.parse import SplitResult, urlsplit

import requests
import requests.adapters
import requests.auth
import requests.utils
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from kohort_sync.client import errors
from kohort_sync.redaction import Secret

BODY_CAP: Final = 1024 * 1024
# Observed: above this a POST is a 500 that no retry cures.
REQUEST_CAP: Final = 102_400

# The body and generous headers: a header or a chunk size that never ends is stopped here.
_WIRE_CAP: Final = BODY_CAP + 256 * 1024
_READ_SIZE: Final = 64 * 1024
_KEY = re.compile(r"sk_(test|live)_[A-Za-z0-9_-]{8,}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PORTS: Final = {"http": 80, "https": 443}
# What the libraries below are known to raise. KohortError is none of these and passes through them.
_FAULTS: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)


@dataclass(frozen=True)
class Exchange:
    """Hold one answer: status, headers (names in any case), the body as it came, the time in milliseconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: int

    def __repr__(self) -> str:
        # A body and its headers carry personal data, and tracebacks print what they meet.
        return f"Exchange(status={self.status}, milliseconds={self.milliseconds})"


class Transport:
    """Exchange requests and answers with one base URL under one key; share it between threads and over forks.

    Times are seconds. `pool_size` should be the number of threads that will use it. `trust_env` lets the
    environment name a proxy and a CA bundle, read once. `adapter` replaces the network (tests, the simulated
    service). Raises ValueError, without the key in it, for an address or a key that must not be used.
    """

    # Observed: the service closes an idle connection after 5 s, so one of 4 s may die under the next request.
    idle_limit: float = 4.0

    def __init__(
        self,
        *,
        base_url: str,
        key: Secret,
        deadline: float = 35.0,
        connect_timeout: float = 5.0,
        pool_size: int = 10,
        trust_env: bool = False,
        ca_bundle: str | None = None,
        adapter: requests.adapters.BaseAdapter | None = None,
        user_agent: str = "django-kohort-sync",
    ) -> None:
        mode = _key_mode(key)
        self._base_url = _checked_base_url(base_url, mode=mode)
        if ca_bundle is not None and not os.path.exists(ca_bundle):  # noqa: PTH110 -- a path for OpenSSL, not for us
            raise ValueError("CA_BUNDLE names a file that does not exist: give the path of a PEM file.")
        self._auth = _KeyForOrigin(Secret(key.reveal().strip()), origin=_origin(self._base_url))
        self._deadline = deadline
        self._connect_timeout = connect_timeout
        self._pool_size = pool_size
        self._trust_env = trust_env
        self._ca_bundle = ca_bundle
        self._adapter = adapter
        self._user_agent = user_agent
        # By process id: after a fork the child finds nothing under its own id and builds its own; the
        # parent's stays referenced here, so that the child neither uses nor closes the parent's sockets.
        self._sessions: dict[int, _Session] = {}

    def __repr__(self) -> str:
        return f"Transport(base_url={self._base_url!r}, key={self._auth.fingerprint})"

    def exchange(
        self, method: str, path: str, *, query: str = "", body: Mapping[str, object] | None = None
    ) -> Exchange:
        """Send one request and return its answer, whatever its status, unless it is a redirect.

        `path` and `query` are encoded by the caller. Raises Unsent, NoAnswer, Unreadable (a success that
        is too long or compressed), Redirected; and ValueError, before anything is sent, for a body that
        KohortPay is known to fail on (observed). Only a GET is ever repeated, once, after a dead
        connection.
        """
        url = f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}"
        prepared = self._prepare(method, url, _encoded(body) if body is not None else None)
        del url, query, body  # they hold personal data, and a traceback may be printed with its variables
        call = _Call(deadline=self._deadline, idle_limit=self.idle_limit)
        answer = self._attempt(prepared, call)
        if answer is None and method == "GET" and call.died_on_a_kept_connection():
            call.begin_again()
            answer = self._attempt(prepared, call)
        if answer is None:
            raise call.failure()
        return answer

    def close(self) -> None:
        """Close the connections of this process; the next exchange opens new ones."""
        session = self._sessions.pop(os.getpid(), None)
        if session is not None:
            session.close()

    def _prepare(self, method: str, url: str, content: bytes | None) -> requests.PreparedRequest:
        headers = {
            "Accept": "application/json",
            # An answer that cannot be compressed cannot be a decompression bomb.
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
        }
        if content is not None:
            headers["Content-Type"] = "application/json"
        if method == "GET":
            # A look-up right after a write must not meet a cached "nothing found".
            headers["Cache-Control"] = "no-cache"
        # Prepared without the session, whose merging of cookies, hooks and settings costs more than the rest.
        prepared = requests.PreparedRequest()
        prepared.prepare(method=method, url=url, headers=headers, data=content, auth=self._auth)
        return prepared

    def _attempt(self, prepared: requests.PreparedRequest, call: "_Call") -> Exchange | None:
        """Try once; None means that the call knows what went wrong."""
        _current.call = call
        try:
            session = self._session()
            response = session.send(
                prepared,
                stream=True,
                timeout=(self._connect_timeout, self._deadline),
                allow_redirects=False,
                proxies=session.env_proxies,
                verify=True,
            )
            try:
                return _read(response, call)
            finally:
                response.close()
        except _FAULTS as fault:
            # The exception ends here: its text holds the URL, its attributes the request with the key.
            call.note(fault)
            return None
        finally:
            del _current.call

    def _session(self) -> "_Session":
        pid = os.getpid()
        session = self._sessions.get(pid)
        if session is None:
            # Two threads may both build one; setdefault keeps one, and the other never opened a socket. No
            # lock: one that another thread holds during a fork would stay locked in the child for ever.
            session = self._sessions.setdefault(pid, self._build_session())
        return session

    def _build_session(self) -> "_Session":
        session = _Session()
        session.trust_env = (
            False  # also when the environment is trusted: it is read here, once, not per request
        )
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # none is of use, so none is kept
        secure = self._base_url.startswith("https:")
        bundle = self._ca_bundle
        if self._trust_env and secure:
            # A plain http address is this machine; a proxy would carry the key away from it.
            session.env_proxies = _env_proxies(self._base_url)
            bundle = bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        adapter = self._adapter or _Adapter(
            pool_size=self._pool_size, tls=_tls_context(bundle) if secure else None
        )
        session.adapters.clear()
        scheme, host, port = _origin(self._base_url)
        netloc = f"[{host}]" if ":" in host else host
        session.mount(f"{scheme}://{netloc}/", adapter)
        session.mount(f"{scheme}://{netloc}:{port}/", adapter)
        return session


def _key_mode(key: Secret) -> str:
    """Return `test` or `live`; refuse everything that is not a secret key."""
    if key.reveal().strip().startswith("pk_"):
        raise ValueError(
            "API_KEY holds a publishable key (pk_…): use the secret key (sk_…) of the same mode."
        )
    found = _KEY.fullmatch(key.reveal().strip())
    if found is None:
        raise ValueError(
            "API_KEY does not look like a KohortPay secret key (sk_test_… or sk_live_…): copy it again."
        )
    return found.group(1)


def _checked_base_url(base_url: str, *, mode: str) -> str:
    """Return the address without its last slash; refuse one that could carry the key anywhere unsafe."""
    advice = "Use https://api.kohortpay.com, or http to this machine with a test key."
    parts = _split(base_url)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"BASE_URL is not an http(s) address. {advice}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(f"BASE_URL holds more than an address (a user, a query or a fragment). {advice}")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise ValueError(f"BASE_URL must use https: over http anyone on the way reads the key. {advice}")
    if parts.scheme == "http" and mode != "test":
        raise ValueError(f"A live key is never sent over http. {advice}")
    return parts.geturl().rstrip("/")


def _split(base_url: str) -> SplitResult | None:
    if not base_url.isascii() or any(c.isspace() or not c.isprintable() or c == "\\" for c in base_url):
        return None
    try:
        parts = urlsplit(base_url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


class _KeyForOrigin(requests.auth.AuthBase):
    """Add the key, to requests for the configured scheme, host and port alone.

    As `auth` of each request it also keeps a `.netrc` of the host from taking its place.
    """

    def __init__(self, key: Secret, *, origin: tuple[str, str, int]) -> None:
        self._key = key
        self._origin = origin
        self.fingerprint = key.fingerprint

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if _origin(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


def _encoded(body: Mapping[str, object]) -> bytes:
    """Encode a body, or say why KohortPay would fail on it, without quoting it."""
    content = _json_bytes(body)
    if content is None:
        raise ValueError(
            "The request cannot be written as JSON: remove lone surrogates, NaN and foreign types."
        )
    if _NUL.search(content):
        raise ValueError("The request holds a NUL character, which KohortPay fails on: remove it.")
    if len(content) > REQUEST_CAP:
        raise ValueError(
            f"The request is longer than {REQUEST_CAP} bytes, which KohortPay fails on: shorten it."
        )
    return content


def _json_bytes(body: Mapping[str, object]) -> bytes | None:
    # Returns instead of raising: the exceptions of both steps quote what they could not encode.
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError):
        return None


def _read(response: requests.Response, call: "_Call") -> Exchange:
    status = response.status_code
    call.status = status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise errors.Redirected(status=status, milliseconds=call.milliseconds())
    body = _body(response, call)
    return Exchange(status, response.headers, body, call.milliseconds())


def _body(response: requests.Response, call: "_Call") -> bytes:
    """Read the body; of a failure only what can be had, because its status says enough."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        return _unreadable("it is compressed although that was not asked for", call)
    parts: list[bytes] = []
    size = 0
    try:
        for part in response.iter_content(_READ_SIZE):
            size += len(part)
            if size > BODY_CAP:
                return _unreadable("it is longer than 1 MiB", call)
            parts.append(part)
    except _FAULTS:
        if call.succeeded():
            raise
        return b""
    return b"".join(parts)


def _unreadable(why: str, call: "_Call") -> bytes:
    if call.succeeded():
        raise errors.Unreadable(why, status=call.status, milliseconds=call.milliseconds())
    return b""


class _Call:
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

    call: _Call


_current = _Current()


class _Session(requests.Session):
    """A session that knows no redirects."""

    env_proxies: dict[str, str]

    def __init__(self) -> None:
        super().__init__()
        self.env_proxies = {}

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 -- requests' signature
        # Even with allow_redirects=False requests prepares the next request, and for that it reads and
        # decompresses the whole body of the redirect.
        return None


class _Adapter(requests.adapters.HTTPAdapter):
    """Open connections that keep the deadline, and verify certificates whatever anyone asks for."""

    def __init__(self, *, pool_size: int, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
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

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ARG002 -- requests' signature
        # Not the inherited one: it loads the CA bundle again for each connection, or switches it off.
        conn.cert_reqs = "CERT_REQUIRED"


def _tls_context(bundle: str | None) -> ssl.SSLContext:
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


def _env_proxies(base_url: str) -> dict[str, str]:
    proxies = requests.utils.get_environ_proxies(base_url)
    if any(str(proxy).lower().startswith("socks") for proxy in proxies.values()):
        raise errors.Unreachable("the environment names a SOCKS proxy, which is not supported")
    return dict(proxies)


class _Connection(urllib3.connection.HTTPConnection):
    """A connection that reads and writes within what is left of the current call; see Note [Deadline]."""

    _last_call: _Call | None = None
    _handshaking = False

    @property
    def is_connected(self) -> bool:
        # The pool asks before it hands out a kept connection.
        last = self._last_call
        call = _current.call
        if last is None or call.only_new_connections or self._has_unread_bytes():
            return False
        idle = time.monotonic() - last.last_byte_at
        return idle < call.idle_limit and super().is_connected

    def connect(self) -> None:
        call = _current.call
        call.connecting = True
        self._handshaking = True
        try:
            self.timeout = min(self.timeout or math.inf, call.remaining())
            super().connect()
        finally:
            self._handshaking = False

    def send(self, data: Any) -> None:
        call = _current.call
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


class _Answer(http.client.HTTPResponse):
    """An answer that is read within what is left of the call."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        self._call = _current.call
        super().__init__(_Source(sock, self._call), *args, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        super().begin()
        if self._call.ended:
            # `http.client` takes the end of the connection for the end of the headers.
            raise http.client.IncompleteRead(b"")
        # About a malformed header urllib3 logs a warning with the whole URL, so perhaps an e-mail address.
        self.headers.defects.clear()
        self.headers.set_payload("")


_Connection.response_class = _Answer


class _Source:
    """Stand for a socket where `http.client` wants one: it only ever asks for a file."""

    def __init__(self, sock: Any, call: _Call) -> None:
        self._sock = sock
        self._call = call

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedFile(self._sock, self._sock.makefile(mode, buffering=0), self._call))


class _TimedFile(io.RawIOBase):
    def __init__(self, sock: Any, file: io.RawIOBase, call: _Call) -> None:
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
