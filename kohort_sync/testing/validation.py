"""Check a customer's fields and turn them into columns, with the service's own limits and words.

Messages name fields in camelCase, several at once (observed). What the service takes in without complaint
passes here too.
"""

import dataclasses
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from kohort_sync.testing import answers, body
from kohort_sync.testing.answers import Dialect

SEEN_LOCALES = ("en_GB", "en_US", "fr_FR")
DOCUMENTED_LOCALES = ("en_US", "fr_FR")
LOCAL_PART_LIMIT = 64  # bytes
EMAIL_LIMIT = 254  # bytes
_LABEL_LIMIT = 63
_COLUMNS = {
    "emailAddress": "email_address",
    "firstName": "first_name",
    "lastName": "last_name",
    "phoneNumber": "phone_number",
    "metadata": "metadata",
    "locale": "locale",
    "clientReferenceId": "client_reference_id",
}
# Unquoted local parts and domains as the service's e-mail check takes them: any letter of any script, no
# control character.
_ATOM = re.compile(r"[a-z\d!#$%&'*+\-/=?^_`{|}~\u00a1-\ud7ff\uf900-\ufdcf\ufdf0-\uffef]+", re.IGNORECASE)
_QUOTED = re.compile(r"(?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f\u00a1-\uffef]|\\[\x01-\x7f])*")
_LABEL = re.compile(r"[a-z\d\u00a1-\uffff-]+", re.IGNORECASE)
_TOP_LEVEL = re.compile(r"[a-z\u00a1-\ud7ff\uf900-\ufdcf\ufdf0-\uffef]{2,}|xn[a-z\d-]{2,}", re.IGNORECASE)


def columns(fields: dict[str, Any], *, dialect: Dialect, partial: bool) -> dict[str, Any]:
    """Return the columns that a POST (or a PATCH, with `partial`) sets; unknown fields are dropped in
    silence.

    Raise a 400 with the list of faults, or the 500 that a null locale, a null e-mail on PATCH, NUL and lone
    surrogates cause.
    """
    body.refuse_constructor(fields.get("metadata"))
    asked = _Asked(fields, dialect, partial)
    faults = [fault for name, check in _CHECKS.items() if (fault := check(name, asked))]
    if faults:
        raise answers.RefusalError(400, faults)
    known = {column: fields[name] for name, column in _COLUMNS.items() if name in fields}
    if known.get("locale", "") is None or known.get("email_address", "") is None:
        raise answers.internal()
    if partial and "deletedAt" in fields:
        known["deleted_at"] = _date(fields["deletedAt"])
    if dialect == "documented":
        known |= {
            column: fields[name]
            for name, column in (("address", "address"), ("shippingAddress", "shipping_address"))
            if name in fields
        }
    body.refuse_unstorable(known)
    return known


def refuse_disposable(email: str, *, domains: Collection[str] | None) -> None:
    """Raise a 400 for a disposable-mail domain; None means that the list cannot be fetched, which is a 500
    for all (observed).
    """
    if domains is None:
        raise answers.internal()
    if email.rpartition("@")[2].lower() in domains:
        raise answers.RefusalError(400, ["emailAddress must not be a disposable email address"])


def is_email(value: object) -> bool:
    """Say whether the service takes this for an e-mail address: byte lengths, a real top-level domain, no
    IP literal (observed).
    """
    if not isinstance(value, str):
        return False
    local, at, domain = value.rpartition("@")
    if not at or not local or _bytes(local) > LOCAL_PART_LIMIT or _bytes(value) > EMAIL_LIMIT:
        return False
    return _is_local_part(local) and _is_domain(domain)


def _is_local_part(local: str) -> bool:
    if local.startswith('"'):
        return len(local) > 1 and local.endswith('"') and _QUOTED.fullmatch(local[1:-1]) is not None
    return all(_ATOM.fullmatch(part) for part in local.split("."))


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    if len(labels) < 2 or not _TOP_LEVEL.fullmatch(labels[-1]):  # noqa: PLR2004 - a name and a top-level domain
        return False
    return all(
        len(label) <= _LABEL_LIMIT
        and _LABEL.fullmatch(label)
        and not label.startswith("-")
        and not label.endswith("-")
        for label in labels
    )


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", errors="surrogatepass"))


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    fields: dict[str, Any]
    dialect: Dialect
    partial: bool

    def value(self, name: str) -> Any:
        return self.fields.get(name)


def _email(name: str, asked: _Asked) -> str | None:
    value = asked.value(name)
    if asked.partial and value is None:
        return None  # absent is fine on PATCH; null passes this check and breaks later
    return None if is_email(value) else f"{name} must be an email"


def _text(name: str, asked: _Asked) -> str | None:
    return None if isinstance(asked.value(name), str | None) else f"{name} must be a string"


def _object(name: str, asked: _Asked) -> str | None:
    return None if isinstance(asked.value(name), dict | None) else f"{name} must be an object"


def _documented_object(name: str, asked: _Asked) -> str | None:
    return _object(name, asked) if asked.dialect == "documented" else None


def _locale(name: str, asked: _Asked) -> str | None:
    allowed = DOCUMENTED_LOCALES if asked.dialect == "documented" else SEEN_LOCALES
    if asked.value(name) is None or asked.value(name) in allowed:
        return None
    return f"{name} must be one of the following values: {', '.join(allowed)}"


def _deleted_at(name: str, asked: _Asked) -> str | None:
    value = asked.value(name)
    if not asked.partial or value is None:
        return None
    if asked.dialect == "documented":
        return None if _date(value) else f"{name} must be a Date instance"
    return f"{name} should be equal to null"


def _date(value: object) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed if parsed is None or parsed.tzinfo else parsed.replace(tzinfo=UTC)


_CHECKS: dict[str, Callable[[str, _Asked], str | None]] = {
    "emailAddress": _email,
    "firstName": _text,
    "lastName": _text,
    "phoneNumber": _text,
    "address": _documented_object,
    "shippingAddress": _documented_object,
    "metadata": _object,
    "locale": _locale,
    "clientReferenceId": _text,
    "deletedAt": _deleted_at,
}
