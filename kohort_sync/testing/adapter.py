"""Answer a `requests` session from a simulated service in the same process.

`session.mount("https://", ServiceAdapter(service))` is all it takes. What goes wrong shows as the
exceptions that a real network raises, in the places where it raises them: while sending, or while the body
is read.
"""

import http.client
import io
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from kohort_sync.testing.service import Service
from kohort_sync.testing.wire import Delivery, Request, Response


class ServiceAdapter(BaseAdapter):
    """Carry requests to a `Service` and its answers back.

    A timeout counts as it does on a network: none is waited for longer than that, and what a client no
    longer waits for is done all the same.
    """

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    def send(  # noqa: PLR0917 - the signature is that of requests
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002
        timeout: Any = None,
        verify: bool | str = True,  # noqa: ARG002, FBT001, FBT002
        cert: Any = None,  # noqa: ARG002
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> requests.Response:
        """Return the answer, or raise `requests.ReadTimeout` or `requests.ConnectionError`."""
        patience = _read_timeout(timeout)
        answer = self._ask(_wire_request(request), patience)
        if answer is None or (patience is not None and answer.seconds > patience):
            raise requests.ReadTimeout(f"Read timed out. (read timeout={patience})", request=request)
        if answer.delivery is Delivery.RESET:
            broken = urllib3.exceptions.ProtocolError(
                "Connection aborted.", ConnectionResetError(104, "Connection reset by peer")
            )
            raise requests.ConnectionError(broken, request=request)
        if answer.delivery is Delivery.DRIP_HEADERS:
            self._service.sleep(answer.drip_seconds)  # each byte in time, so no timeout ever strikes
        return _response(request, answer, sleep=self._service.sleep, patience=patience)

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def _ask(self, request: Request, patience: float | None) -> Response | None:
        if patience is None or not self._service.may_take_time:
            return self._service.handle(request)
        asked: Future[Response] = Future()
        threading.Thread(target=_settle, args=(asked, self._service, request), daemon=True).start()
        try:
            return asked.result(timeout=patience)
        except FutureTimeoutError:
            return None


class _Dripping(io.RawIOBase):
    """Give a body byte by byte, as a slow peer does."""

    def __init__(
        self, body: bytes, seconds: float, sleep: Callable[[float], None], patience: float | None
    ) -> None:
        super().__init__()
        self._left = memoryview(body)
        self._pause = seconds / max(1, len(body))
        self._sleep = sleep
        self._patience = patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            return 0
        if self._patience is not None and self._pause > self._patience:
            self._sleep(self._patience)
            raise TimeoutError("timed out")
        self._sleep(self._pause)
        buffer[:1] = self._left[:1]
        self._left = self._left[1:]
        return 1


def _settle(asked: "Future[Response]", service: Service, request: Request) -> None:
    try:
        asked.set_result(service.handle(request))
    except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is awaited
        asked.set_exception(error)


def _read_timeout(timeout: Any) -> float | None:
    if isinstance(timeout, urllib3.Timeout):
        timeout = timeout.read_timeout
    elif isinstance(timeout, tuple):
        timeout = timeout[1]
    return float(timeout) if isinstance(timeout, int | float) else None


def _wire_request(request: requests.PreparedRequest) -> Request:
    return Request(
        method=request.method or "GET",
        target=request.path_url,
        headers={name: _header(value) for name, value in request.headers.items()},
        body=_sent(request.body),
    )


def _header(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _sent(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str | bytes):
        return body.encode() if isinstance(body, str) else body
    return bytes(body.read()) if hasattr(body, "read") else b"".join(body)


def _response(
    request: requests.PreparedRequest,
    answer: Response,
    *,
    sleep: Callable[[float], None],
    patience: float | None,
) -> requests.Response:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    raw = urllib3.HTTPResponse(
        body=_body(answer, sleep, patience),
        headers=headers,
        status=answer.status,
        reason=http.client.responses.get(answer.status, ""),
        version=11,
        version_string="HTTP/1.1",
        preload_content=False,
        decode_content=False,
        enforce_content_length=True,  # a body cut short is noticed by whoever reads it
        request_method=request.method,
    )
    response = requests.Response()
    response.status_code = raw.status
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = get_encoding_from_headers(response.headers)
    response.raw = raw
    response.reason = raw.reason or ""
    response.url = request.url or ""
    response.request = request
    return response


def _body(answer: Response, sleep: Callable[[float], None], patience: float | None) -> io.BufferedIOBase:
    if answer.delivery is Delivery.DRIP:
        return io.BufferedReader(_Dripping(answer.body, answer.drip_seconds, sleep, patience), buffer_size=1)
    if answer.delivery is Delivery.TRUNCATED:
        return io.BytesIO(answer.body[: len(answer.body) // 2])
    return io.BytesIO(answer.body)
