"""Transport: one HTTP exchange with KohortPay within one deadline, or an error that says what happened."""

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

import requests
import requests.adapters
import requests.auth
import requests.structures
import requests.utils

from kohort_sync.client import errors, sockets
from kohort_sync.redaction import Secret

BODY_CAP: Final = 1024 * 1024
# Observed: above this a POST is a 500 that no retry cures.
REQUEST_CAP: Final = 102_400

_READ_SIZE: Final = 64 * 1024
_KEY = re.compile(r"sk_(test|live)_[A-Za-z0-9_-]{8,}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PORTS: Final = {"http": 80, "https": 443}


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
        self._sessions: dict[int, requests.Session] = {}

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
        call = sockets.Call(deadline=self._deadline, idle_limit=self.idle_limit)
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
        # By hand: everything is encoded, and what a session merges and checks costs more than the rest.
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = method, url, content
        prepared.headers = requests.structures.CaseInsensitiveDict(headers)
        prepared.prepare_auth(self._auth, url)
        return prepared

    def _attempt(self, prepared: requests.PreparedRequest, call: "sockets.Call") -> Exchange | None:
        """Try once; None means that the call knows what went wrong."""
        sockets.current.call = call
        try:
            session = self._session()
            # Past `Session.send`, which keeps cookies and prepares to follow redirects.
            response = session.get_adapter(prepared.url or "").send(
                prepared,
                stream=True,
                timeout=(self._connect_timeout, self._deadline),
                proxies=session.proxies,
                verify=True,
            )
            try:
                return _read(response, call)
            finally:
                response.close()
        except sockets.FAULTS as fault:
            # The exception ends here: its text holds the URL, its attributes the request with the key.
            call.note(fault)
            return None
        finally:
            del sockets.current.call

    def _session(self) -> requests.Session:
        pid = os.getpid()
        session = self._sessions.get(pid)
        if session is None:
            # Two threads may both build one; setdefault keeps one, and the other never opened a socket. No
            # lock: one that another thread holds during a fork would stay locked in the child for ever.
            session = self._sessions.setdefault(pid, self._build_session())
        return session

    def _build_session(self) -> requests.Session:
        session = requests.Session()
        secure = self._base_url.startswith("https:")
        bundle = self._ca_bundle
        if self._trust_env and secure:
            # Read here, once, not per request. A plain http address is this machine; a proxy would carry the
            # key away from it.
            session.proxies = sockets.env_proxies_for(self._base_url)
            bundle = bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        adapter = self._adapter or sockets.Adapter(
            pool_size=self._pool_size, tls=sockets.tls_context(bundle) if secure else None
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


def _read(response: requests.Response, call: "sockets.Call") -> Exchange:
    status = response.status_code
    call.status = status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise errors.Redirected(status=status, milliseconds=call.milliseconds())
    body = _body(response, call)
    return Exchange(status, response.headers, body, call.milliseconds())


def _body(response: requests.Response, call: "sockets.Call") -> bytes:
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
    except sockets.FAULTS:
        if call.succeeded():
            raise
        return b""
    return b"".join(parts)


def _unreadable(why: str, call: "sockets.Call") -> bytes:
    if call.succeeded():
        raise errors.Unreadable(why, status=call.status, milliseconds=call.milliseconds())
    return b""
