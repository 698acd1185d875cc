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
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ),
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
    call = (request.method, request.path)
    if call == ("GET", "/"):
        return _page(service)
    if call == ("GET", "/_sandbox/customers"):
        rows = [{name: _plain(value) for name, value in row.items()} for row in service.snapshot()]
        return answers.ok(200, {"data": rows, "count": len(rows)})
    if call == ("GET", "/_sandbox/log"):
        return answers.ok(200, {"data": [_plain_fields(exchange) for exchange in list(service.log)]})
    if call == ("GET", "/_sandbox/faults"):
        return answers.ok(200, {"data": _waiting(service)})
    if call == ("DELETE", "/_sandbox/faults"):
        return answers.ok(200, {"removed": service.faults.clear()})
    if call == ("POST", "/_sandbox/faults"):
        return _switch(request, lambda sent: _add_fault(service, sent))
    if call == ("GET", "/_sandbox/latency"):
        return answers.ok(200, {"profile": service.latency.profile.name})
    if call == ("POST", "/_sandbox/latency"):
        return _switch(request, lambda sent: _set_latency(service, sent))
    return _wrong(404, f"The sandbox has no {request.method} {request.path}.")


def _page(service: Service) -> Response:
    text = page.render(
        service.snapshot(),
        dialect=service.dialect,
        latency=service.latency.profile.name,
        faults=len(service.faults.waiting()),
    )
    return Response(200, _PAGE_HEADERS, text.encode(errors="replace"))


def _switch(request: Request, act: Callable[[Any], Response]) -> Response:
    # A page of another site can send a form here, but no JSON without asking first: so JSON alone is heard.
    if (request.header("Content-Type") or "").partition(";")[0].strip().lower() != "application/json":
        return _wrong(415, "Send JSON, with Content-Type: application/json.")
    try:
        return act(json.loads(request.body))
    except (ValueError, RecursionError) as error:
        return _wrong(400, str(error))


def _add_fault(service: Service, sent: Any) -> Response:
    fault = faults.from_json(sent)
    service.faults.add(fault)
    return answers.ok(201, _fault(fault, fault.times))


def _set_latency(service: Service, sent: Any) -> Response:
    profile = sent.get("profile") if isinstance(sent, dict) else None
    if not isinstance(profile, str):
        raise ValueError('Name a profile: {"profile": "test"}.')  # noqa: TRY004 - one kind of error for bad input
    service.latency.switch(profile)
    return answers.ok(200, {"profile": profile})


def _waiting(service: Service) -> list[dict[str, Any]]:
    return [_fault(fault, left) for fault, left in service.faults.waiting()]


def _fault(fault: Fault, left: int | None) -> dict[str, Any]:
    return {**_plain_fields(fault), "times": left}


def _plain_fields(value: Fault | Exchange) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    return answers.moment(value) if isinstance(value, datetime) else value


def _wrong(status: int, message: str) -> Response:
    return answers.ok(status, {"error": message})
