"""What crosses the wire between a client and the simulated service, as frozen values.

The service decides, the transport obeys: an answer says in `delivery` how it is to arrive, and both the in-
process adapter and the HTTP server carry that out in their own way.
"""

import dataclasses
import enum
from collections.abc import Mapping


class Delivery(enum.Enum):
    """Name the ways in which an answer may reach the client."""

    NORMAL = "normal"
    RESET = "reset"  # the connection is reset and no byte of the answer arrives
    DRIP = "drip"  # headers at once, the body byte by byte over `drip_seconds`
    DRIP_HEADERS = "drip_headers"  # status line and headers byte by byte over `drip_seconds`
    TRUNCATED = "truncated"  # Content-Length promises the whole body, half of it arrives


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Hold one request as it was sent: `target` is the raw path with its query, header names in any case."""

    method: str
    target: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """Return the first header of that name, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """Hold one answer and how it is to arrive; `seconds` is how long the service took, in its own
    reckoning.
    """

    status: int
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    delivery: Delivery = Delivery.NORMAL
    drip_seconds: float = 0.0
    seconds: float = 0.0
