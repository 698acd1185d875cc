"""Answer what the sandbox offers beside the service: its page, its records, its switches.

The paths begin with `/_sandbox/`, which the real service does not have, and `/` is for people.
"""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from kohort_sync.testing import answers, faults, page
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Exchange, Service
from kohort_sync.testing.wire import Request, Response

_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": page.POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def is_ours(request: Request) -> bool:
    """Say whether a request is for the sandbox and not for the service."""
    return request.path == "/" or request.path.startswith("/_sandbox/")


def answer(service: Service, request: Request) -> Response:
    """Answer a request for the sandbox: 200 or 201, 400 with what to change, 404 for a path it does not
    have.
    """
    act = _CALLS.get((request.method, request.path))
    if act is None:
        return _wrong(404, f"The sandbox has no {request.method} {request.path}.")
    return act(service, request)


def _page(service: Service, _request: Request) -> Response:
    text = page.render(
        service.snapshot(),
        dialect=service.dialect,
        latency=service.latency.profile.name,
        faults=len(service.faults.waiting()),
    )
    return Response(200, _PAGE_HEADERS, text.encode(errors="replace"))


def _customers(service: Service, _request: Request) -> Response:
    rows = [{name: _plain(value) for name, value in row.items()} for row in service.snapshot()]
    return answers.ok(200, {"data": rows, "count": len(rows)})


def _log(service: Service, _request: Request) -> Response:
    return answers.ok(200, {"data": [_plain_fields(exchange) for exchange in list(service.log)]})


def _faults(service: Service, _request: Request) -> Response:
    waiting = [_fault(fault, left) for fault, left in service.faults.waiting()]
    return answers.ok(200, {"data": waiting})


def _clear_faults(service: Service, _request: Request) -> Response:
    return answers.ok(200, {"removed": service.faults.clear()})


def _latency(service: Service, _request: Request) -> Response:
    return answers.ok(200, {"profile": service.latency.profile.name})


def _add_fault(service: Service, request: Request) -> Response:
    return _switch(request, lambda sent: _added(service, sent))


def _set_latency(service: Service, request: Request) -> Response:
    return _switch(request, lambda sent: _switched(service, sent))


def _added(service: Service, sent: Any) -> Response:
    fault = faults.from_json(sent)
    service.faults.add(fault)
    return answers.ok(201, _fault(fault, fault.times))


def _switched(service: Service, sent: Any) -> Response:
    profile = sent.get("profile") if isinstance(sent, dict) else None
    if not isinstance(profile, str):
        # One kind of error for whatever is wrong with the input.
        raise ValueError('Name a profile: {"profile": "test"}.')  # noqa: TRY004
    service.latency.switch(profile)
    return answers.ok(200, {"profile": profile})


def _switch(request: Request, act: Callable[[Any], Response]) -> Response:
    # A page of another site can send a form here, but no JSON without asking first: so JSON alone is heard.
    if (request.header("Content-Type") or "").partition(";")[0].strip().lower() != "application/json":
        return _wrong(415, "Send JSON, with Content-Type: application/json.")
    try:
        return act(json.loads(request.body))
    except (ValueError, RecursionError) as error:
        return _wrong(400, str(error))


def _fault(fault: Fault, left: int | None) -> dict[str, Any]:
    return {**_plain_fields(fault), "times": left}


def _plain_fields(value: Fault | Exchange) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    return answers.moment(value) if isinstance(value, datetime) else value


def _wrong(status: int, message: str) -> Response:
    return answers.ok(status, {"error": message})


_CALLS: dict[tuple[str, str], Callable[[Service, Request], Response]] = {
    ("GET", "/"): _page,
    ("GET", "/_sandbox/customers"): _customers,
    ("GET", "/_sandbox/log"): _log,
    ("GET", "/_sandbox/faults"): _faults,
    ("POST", "/_sandbox/faults"): _add_fault,
    ("DELETE", "/_sandbox/faults"): _clear_faults,
    ("GET", "/_sandbox/latency"): _latency,
    ("POST", "/_sandbox/latency"): _set_latency,
}
