"""Tell who is calling from the Authorization header, as the service does."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping

from kohort_sync.testing.answers import RefusalError

_FORMAT = re.compile(r"(?P<kind>sk|pk)_(?P<mode>test|live)_[A-Za-z0-9]+")
_SCHEME = "Bearer "


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Hold what a key stands for: one organization in one mode, and the user in whose name it acts."""

    organization_id: str
    livemode: bool
    user_id: str


def authenticate(authorization: str | None, *, keys: Mapping[str, str]) -> Caller:
    """Return the caller, or raise the refusal that the service gives (observed).

    400 about the scheme repeats what was sent, key included; 400 about the key's format; 401 for a key
    nobody holds; 404 for a key whose organization is gone (an empty id in `keys`).
    """
    if not authorization:
        raise RefusalError(401, "Unauthorized")
    if not authorization.startswith(_SCHEME):
        raise RefusalError(
            400, f"Invalid authorization scheme: expected 'Bearer <token>', received '{authorization}'."
        )
    key = authorization.removeprefix(_SCHEME)
    form = _FORMAT.fullmatch(key)
    if form is None:
        raise RefusalError(400, "Invalid API key format.")
    if form["kind"] != "sk" or key not in keys:
        raise RefusalError(401, "Unauthorized")
    if not keys[key]:
        raise RefusalError(404, "Organization not found")
    return Caller(
        organization_id=keys[key],
        livemode=form["mode"] == "live",
        user_id=f"usr_{hashlib.sha256(key.encode()).hexdigest()[:24]}",
    )
