"""Put customers and errors into the words of the service, in either dialect.

`documented` is the public reference (camelCase, 18 keys); `seen` is what the service's own code answers
(snake_case, 18 keys, two of which the reference lacks and two of whose it lacks itself).
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import responses as phrases
from typing import Any, Literal

from kohort_sync.testing.store import Customer
from kohort_sync.testing.wire import Response

Dialect = Literal["seen", "documented"]

SEEN_KEYS = (
    "id",
    "email_address",
    "first_name",
    "last_name",
    "phone_number",
    "livemode",
    "is_blocked",
    "organization_id",
    "metadata",
    "locale",
    "client_reference_id",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "blocked_at",
    "blocked_by",
    "deleted_at",
)
_DOCUMENTED = {
    "id": "id",
    "emailAddress": "email_address",
    "firstName": "first_name",
    "lastName": "last_name",
    "phoneNumber": "phone_number",
    "livemode": "livemode",
    "isBlocked": "is_blocked",
    "organizationId": "organization_id",
    "addressId": "address_id",
    "shippingAddressId": "shipping_address_id",
    "metadata": "metadata",
    "createdAt": "created_at",
    "createdBy": "created_by",
    "updatedAt": "updated_at",
    "blockedAt": "blocked_at",
    "blockedBy": "blocked_by",
    "updatedBy": "updated_by",
    "deletedAt": "deleted_at",
}
DOCUMENTED_KEYS = tuple(_DOCUMENTED)
# The two errors that Nest words without the HTTP phrase; everything else carries it in `code`.
_WITHOUT_CODE = {HTTPStatus.UNAUTHORIZED, HTTPStatus.INTERNAL_SERVER_ERROR}


class RefusalError(Exception):
    """Carry a refusal out of the depth: an HTTP status and one message or a list of them."""

    def __init__(self, status: int, message: str | Sequence[str]) -> None:
        super().__init__(status)
        self.status = status
        self.message = message if isinstance(message, str) else list(message)


def internal() -> RefusalError:
    """Make the refusal that the service gives where its own code breaks (observed: 500, never cured by a
    retry).
    """
    return RefusalError(500, "Internal server error")


def customer(row: Customer, *, dialect: Dialect) -> dict[str, Any]:
    """Spell a customer as the dialect does."""
    if dialect == "documented":
        return {key: _plain(getattr(row, name)) for key, name in _DOCUMENTED.items()}
    return {key: _plain(getattr(row, key)) for key in SEEN_KEYS}


def moment(value: datetime) -> str:
    """Spell a time: ISO 8601, UTC, milliseconds, Z (observed)."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ok(status: int, payload: object) -> Response:
    """Answer with JSON."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": "application/json; charset=utf-8"}, body)


def refusal(error: RefusalError) -> Response:
    """Answer with the service's error object; `type` says whose fault it was, `code` is the HTTP phrase or
    absent (observed).
    """
    server_fault = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    told: dict[str, Any] = {
        "type": "api_error" if server_fault else "invalid_request_error",
        "message": error.message,
    }
    if error.status not in _WITHOUT_CODE:
        told["code"] = phrases.get(error.status, "Unknown")
    return ok(error.status, {"error": told})


def _plain(value: Any) -> Any:
    return moment(value) if isinstance(value, datetime) else value
