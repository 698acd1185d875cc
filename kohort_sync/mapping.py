"""Mapping: what a user looks like as a customer, and whether the user is wanted there."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db.models import CharField, TextField

from kohort_sync import conf, references
from kohort_sync.client.records import CustomerData, RemoteCustomer

phonenumbers: ModuleType | None
try:
    import phonenumbers
except ImportError:  # the extra `phone` is optional
    phonenumbers = None

# Observed limits of the service, and documented names.
LOCALES = ("en_US", "fr_FR", "en_GB")
LARGEST_BODY = 102_400
_LARGEST_LOCAL_PART = 64
_LARGEST_EMAIL = 254
_LARGEST_INTEGER = 2**53
# The documentation lets these be null, so a value that went away can be taken away there too.
_NULLABLE = frozenset({"firstName", "lastName", "phoneNumber"})
# No answer of the service shows what these hold.
UNSEEN = ("address", "shippingAddress")
_FIELDS = frozenset(field.name for field in fields(CustomerData))
_DEFAULT_NAMES = ("first_name", "last_name")

_valid_email = EmailValidator(allowlist=[])


class Unsendable(Exception):
    """Say that a user's data cannot be sent as it is: `code` is a key of `reasons.CODES`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Wanted:
    """Say whether a user is to be a customer, and if not, why: a key of `reasons.CODES`."""

    yes: bool
    code: str = ""


def wanted(user: AbstractBaseUser) -> Wanted:
    """Decide whether a user is to be sent: by `SHOULD_SYNC`, else active users; always with an e-mail."""
    should_sync = conf.hook("SHOULD_SYNC")
    allowed = should_sync(user) if should_sync else getattr(user, "is_active", True)
    if not allowed:
        return Wanted(yes=False, code="not_wanted")
    if not _values(user)["email_address"]:
        return Wanted(yes=False, code="no_email")
    return Wanted(yes=True)


def customer_data(user: AbstractBaseUser) -> CustomerData:
    """Build what is sent for a user. Raises `Unsendable` where the service would refuse it or fail."""
    values = _values(user)
    unknown = sorted(set(values) - _FIELDS)
    if unknown:
        raise Unsendable(
            "customer_data_invalid",
            f"CUSTOMER_DATA returned unknown keys: {', '.join(unknown)}. Known are: {', '.join(sorted(_FIELDS))}.",
        )
    email = values.pop("email_address")
    values["phone_number"] = _phone(values.get("phone_number"))
    values["locale"] = values.get("locale") or conf.get("DEFAULT_LOCALE")
    values["metadata"] = _metadata(user, values.get("metadata"))
    data = CustomerData(email_address=email, **{name: value or None for name, value in values.items()})
    check(data)
    return data


def check(data: CustomerData) -> None:
    """Raise `Unsendable` where the service would answer with a refusal or an error that no retry cures."""
    _check_email(data.email_address)
    if data.locale is not None and data.locale not in LOCALES:
        raise Unsendable("locale_unknown", f"The locale must be one of {', '.join(LOCALES)}.")
    payload = data.payload()
    for name, value in payload.items():
        _check_value(name, value)
    whole = payload | {"clientReferenceId": "x" * references.MAX_LENGTH}
    body = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(body.encode()) > LARGEST_BODY:
        raise Unsendable("too_large", f"The data is over {LARGEST_BODY} bytes as JSON; shorten it.")


def fingerprint(data: CustomerData, *, salt: str) -> dict[str, str]:
    """Hash each field that is sent, so that a later change is seen field by field without keeping values."""
    return {name: _hash(value, salt) for name, value in data.payload().items()}


def remote_fingerprint(remote: RemoteCustomer, *, salt: str) -> dict[str, str]:
    """Hash the fields that the service shows, to compare with `fingerprint`. It shows no addresses."""
    shown = {
        "emailAddress": remote.email_address,
        "firstName": remote.first_name,
        "lastName": remote.last_name,
        "phoneNumber": remote.phone_number,
        "metadata": remote.metadata,
        "locale": remote.locale,
    }
    return {name: _hash(value, salt) for name, value in shown.items() if value is not None}


def changes(data: CustomerData, *, confirmed: Mapping[str, str], salt: str) -> dict[str, object]:
    """Return what differs from the confirmed fingerprint, as a PATCH wants it; null takes a value away."""
    payload = data.payload()
    changed = {name: value for name, value in payload.items() if confirmed.get(name) != _hash(value, salt)}
    gone: dict[str, object] = {name: None for name in confirmed if name in _NULLABLE and name not in payload}
    return changed | gone


def with_email(data: CustomerData, email: str) -> CustomerData:
    """Return the same data under the e-mail address that an unresolved create has frozen."""
    return replace(data, email_address=email)


def _values(user: AbstractBaseUser) -> dict[str, Any]:
    """Merge what CUSTOMER_DATA returns over the defaults that any user model can give."""
    values: dict[str, Any] = {"email_address": getattr(user, user.get_email_field_name(), None) or ""}
    values |= {name: getattr(user, name, None) for name in _DEFAULT_NAMES}
    host_function = conf.hook("CUSTOMER_DATA")
    if host_function is not None:
        values |= host_function(user)
    return values


def _phone(value: str | None) -> str | None:
    """Normalise a phone number to E.164 where `phonenumbers` is installed; what cannot be read is not sent."""
    if not value:
        return None
    if phonenumbers is None:
        return value
    try:
        number = phonenumbers.parse(value, conf.get("PHONE_REGION"))
    except phonenumbers.NumberParseException:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _metadata(user: AbstractBaseUser, own: Mapping[str, object] | None) -> dict[str, object]:
    """Add the user's key for human eyes, unless it is text: a text key may be a name or an address."""
    if isinstance(user._meta.pk, CharField | TextField):
        return dict(own or {})
    return {"user_id": str(user.pk)} | dict(own or {})


def _check_email(email: str) -> None:
    try:
        _valid_email(email)
    except ValidationError:
        raise Unsendable("email_invalid", "The e-mail address is not valid; correct it.") from None
    local, _, domain = email.rpartition("@")
    if len(local.encode()) > _LARGEST_LOCAL_PART or len(email.encode()) > _LARGEST_EMAIL:
        raise Unsendable(
            "email_invalid", "The e-mail address is too long (64 bytes before the @, 254 in all)."
        )
    if domain.startswith("[") or "." not in domain:
        raise Unsendable("email_invalid", "The e-mail address needs a domain name with a dot, not a number.")


def _check_value(name: str, value: object) -> None:
    """Walk a value and refuse what JSON or the service cannot carry."""
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or key == "constructor":
                raise Unsendable("metadata_unsendable", f"{name} holds a key that cannot be sent; rename it.")
            _check_text(name, key)
            _check_value(name, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_value(name, inner)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unsendable("metadata_unsendable", f"{name} holds a number that JSON does not have.")
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise Unsendable("metadata_unsendable", f"{name} holds a number beyond 2^53; send it as text.")
    elif value is not None and not isinstance(value, int):
        raise Unsendable(
            "metadata_unsendable", f"{name} holds a {type(value).__name__}, which JSON does not have."
        )


def _check_text(name: str, text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Unsendable("text_unsendable", f"{name} holds a NUL or half of a surrogate pair; remove it.")


def _hash(value: object, salt: str) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:16]
