"""Mapping: what a user looks like as a customer, and whether the user is wanted there."""

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import connections
from django.db.models import (
    CharField,
    F,
    Field,
    ForeignKey,
    IntegerField,
    Model,
    TextField,
    UUIDField,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Concat, Lower, Replace, Substr

from kohort_sync import conf, references
from kohort_sync.client.records import ID, CustomerData, RemoteCustomer
from kohort_sync.models import Customer

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
# What takes a value away there: the documentation lets three be null, and metadata is replaced whole.
# Addresses and the locale cannot be taken away.
_EMPTY: Mapping[str, object] = {"firstName": None, "lastName": None, "phoneNumber": None, "metadata": {}}
# No answer of the service shows what these hold.
UNSEEN = ("address", "shippingAddress")
REFERENCE = "clientReferenceId"
"""In a confirmed fingerprint only after an adoption: the customer does not bear our reference yet."""
_FIELDS = frozenset(field.name for field in fields(CustomerData))
_DEFAULT_NAMES = ("first_name", "last_name")
_TEXTS = ("email_address", "first_name", "last_name", "phone_number", "locale")
_OBJECTS = ("address", "shipping_address", "metadata")

# A NUL, or half of a surrogate pair.
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_HASHED = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))

_valid_email = EmailValidator(allowlist=[])
# Django takes more than the service does (observed): numbers for names, letters beyond the first plane.
_DOMAIN = re.compile(r"(?:[a-z\d\u00a1-\uffff-]+\.)+(?:[a-z\u00a1-\uffff]{2,}|xn[a-z\d-]{2,})", re.IGNORECASE)


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
    _check_kinds(values)
    email = values.pop("email_address") or ""
    values["phone_number"] = _phone(values.get("phone_number"))
    values["locale"] = values.get("locale") or conf.get("DEFAULT_LOCALE")
    values["metadata"] = _key_for_human_eyes(user) | dict(values.get("metadata") or {})
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


def digest(data: CustomerData, *, salt: str) -> str:
    """Hash everything that is sent at once, to know again what was refused."""
    return _hash(data.payload(), salt)


def remote_fingerprint(remote: RemoteCustomer | Customer, *, salt: str) -> dict[str, str]:
    """Hash the fields that the service shows, to compare with `fingerprint`. It shows no addresses."""
    shown = {
        "emailAddress": remote.email_address,
        "firstName": remote.first_name,
        "lastName": remote.last_name,
        "phoneNumber": remote.phone_number,
        "metadata": remote.metadata or None,
        "locale": remote.locale,
    }
    return {name: _hash(value, salt) for name, value in shown.items() if value is not None}


def not_shown(remote: RemoteCustomer | Customer) -> tuple[str, ...]:
    """Name the fields that an answer does not show, whatever they hold: each customer has a language."""
    return UNSEEN if remote.locale is not None else (*UNSEEN, "locale")


def changes(data: CustomerData, *, confirmed: Mapping[str, str], salt: str) -> dict[str, object]:
    """Return what differs from the confirmed fingerprint, as a PATCH wants it; null takes a text away."""
    payload = data.payload()
    changed = {name: value for name, value in payload.items() if confirmed.get(name) != _hash(value, salt)}
    gone = {name: _EMPTY[name] for name in confirmed if name in _EMPTY and name not in payload}
    return changed | gone


def nobody(reference: str, *, unseen: Collection[str]) -> dict[str, object]:
    """Return the changes that make a customer nobody: an address that reaches no one, and no data.

    `unseen` names those of `UNSEEN` that were sent once: they cannot be taken away, only overwritten.
    """
    blank = {"address": {"street": ""}, "shippingAddress": {"addressLine1": ""}}
    return {"emailAddress": f"{reference}@erased.invalid", **_EMPTY} | {name: blank[name] for name in unseen}


def is_nobody(remote: RemoteCustomer, *, reference: str) -> bool:
    """Say whether what the service shows tells nothing about a person any more."""
    personal = (remote.first_name, remote.last_name, remote.phone_number, remote.metadata)
    return remote.email_address == f"{reference}@erased.invalid" and not any(personal)


def email_verified(user: AbstractBaseUser) -> bool:
    """Ask the host whether the user has shown that the address is their own; without a function: no."""
    verified = conf.hook("EMAIL_VERIFIED")
    return verified is not None and verified(user) is True


def is_kohort_id(text: str) -> bool:
    """Say whether a text can be the id of a KohortPay customer."""
    return ID.fullmatch(text) is not None


def key_of(user: AbstractBaseUser) -> str:
    """Return the user's key as text, spelled as the database gives it back: `user_pk` of a link.

    A host may have saved a UUID in capitals or a number as text; each spells itself differently.
    """
    # Not type(user): `request.user` is a lazy object that only stands for a user.
    return spelled(user.pk, model=user.__class__)


def spelled(key: object, *, model: type[Model]) -> str:
    """Return a primary key of the user model as text, spelled as the database gives it back."""
    return str(model._meta.pk.to_python(key))


def key_in_database(model: type[Model], *, using: str) -> Combinable | None:
    """Return what spells the key of each row just so inside the database; None where only Python can."""
    field = _key_field(model)
    if type(field).__module__ != Field.__module__:  # a host's own kind may read a key as it likes
        return None
    if isinstance(field, CharField):
        return F("pk")
    text = Cast("pk", TextField())
    if isinstance(field, IntegerField):
        return text
    if not isinstance(field, UUIDField):
        return None
    if connections[using].features.has_native_uuid_field:
        return text
    digits = Replace(text, Value("-"))
    spelled: list[Combinable] = []
    for start, length in _PARTS_OF_A_UUID:
        spelled += [Value("-"), Substr(digits, start, length)]
    return Lower(Concat(*spelled[1:]))


_PARTS_OF_A_UUID = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def is_user_field(field: Any) -> bool:
    """Say whether a field names one user: a foreign key, or a one-to-one field, to the user model."""
    return bool(isinstance(field, ForeignKey) and issubclass(get_user_model(), field.remote_field.model))


def with_email(data: CustomerData, email: str) -> CustomerData:
    """Return the same data under the e-mail address that an unresolved create has frozen."""
    return replace(data, email_address=email)


def _values(user: AbstractBaseUser) -> dict[str, Any]:
    """Merge what CUSTOMER_DATA returns over the defaults that any user model can give."""
    values: dict[str, Any] = {"email_address": getattr(user, user.get_email_field_name(), None) or ""}
    values |= {name: getattr(user, name, None) for name in _DEFAULT_NAMES}
    host_function = conf.hook("CUSTOMER_DATA")
    if host_function is None:
        return values
    own = host_function(user)
    if not isinstance(own, Mapping):
        raise Unsendable(
            "customer_data_invalid", f"CUSTOMER_DATA returned {_kind(own)}; it has to return a dict."
        )
    return values | dict(own)


def _check_kinds(values: Mapping[str, Any]) -> None:
    """Refuse what CUSTOMER_DATA may have returned and no customer has; an empty value is as good as none."""
    unknown = sorted(str(name) for name in set(values) - _FIELDS)
    if unknown:
        raise Unsendable(
            "customer_data_invalid",
            f"CUSTOMER_DATA returned unknown keys: {', '.join(unknown)}."
            f" Known are: {', '.join(sorted(_FIELDS))}.",
        )
    for names, kind, words in ((_TEXTS, str, "text"), (_OBJECTS, Mapping, "a dict")):
        for name in names:
            value = values.get(name)
            if value and not isinstance(value, kind):
                raise Unsendable(
                    "customer_data_invalid", f"{name} is {_kind(value)}; CUSTOMER_DATA has to return {words}."
                )
    for name in ("address", "shipping_address"):
        for part, value in (values.get(name) or {}).items():
            if not isinstance(part, str) or not isinstance(value, str | None):
                raise Unsendable(
                    "customer_data_invalid",
                    f"{name} holds {_kind(value)} under {part!s:.40}; CUSTOMER_DATA has to return text.",
                )


def _kind(value: object) -> str:
    """Name the type of a value, without showing it."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _phone(value: str | None) -> str | None:
    """Normalise a phone number to E.164 where `phonenumbers` is there; what cannot be read is not sent."""
    if not value:
        return None
    if phonenumbers is None:
        return value
    try:
        number = phonenumbers.parse(value, conf.get("PHONE_REGION"))
    except phonenumbers.NumberParseException:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _key_for_human_eyes(user: AbstractBaseUser) -> dict[str, object]:
    """Return the user's key as metadata. Numbers and UUIDs only: a text key may be a name or an address."""
    is_no_text = isinstance(_key_field(user.__class__), IntegerField | UUIDField)
    return {"user_id": key_of(user)} if is_no_text else {}


def _key_field(model: type[Model]) -> Any:
    field: Any = model._meta.pk
    while field.remote_field is not None:  # the key of a child table is its parent's
        field = field.target_field
    return field


def _check_email(email: str) -> None:
    _check_text("emailAddress", email)
    try:
        _valid_email(email)
    except ValidationError:
        raise Unsendable("email_invalid", "The e-mail address is not valid; correct it.") from None
    local, _, domain = email.rpartition("@")
    if len(local.encode()) > _LARGEST_LOCAL_PART or len(email.encode()) > _LARGEST_EMAIL:
        raise Unsendable(
            "email_invalid", "The e-mail address is too long (64 bytes before the @, 254 in all)."
        )
    if _DOMAIN.fullmatch(domain) is None:
        raise Unsendable("email_invalid", "The e-mail address needs a domain name with a dot, not a number.")


def _check_value(name: str, value: object) -> None:
    """Walk a value and refuse what JSON or the service cannot carry."""
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_key(name, key)
            _check_value(name, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_value(name, inner)
    elif isinstance(value, int | float):
        _check_number(name, value)
    elif value is not None:
        raise Unsendable(
            "metadata_unsendable", f"{name} holds {_kind(value)}, which JSON does not have; send text."
        )


def _check_key(name: str, key: object) -> None:
    if not isinstance(key, str):
        raise Unsendable("metadata_unsendable", f"{name} holds a key that is no text; send text.")
    if key == "constructor":
        raise Unsendable("metadata_unsendable", f"{name} holds a key named constructor; rename it.")
    _check_text(name, key)


def _check_number(name: str, number: float) -> None:
    if isinstance(number, int) and abs(number) > _LARGEST_INTEGER:
        raise Unsendable("metadata_unsendable", f"{name} holds a number beyond 2^53; send it as text.")
    if not math.isfinite(number):
        raise Unsendable("metadata_unsendable", f"{name} holds a number that JSON does not have.")


def _check_text(name: str, text: str) -> None:
    if _UNSENDABLE.search(text):
        raise Unsendable("text_unsendable", f"{name} holds a NUL or half of a surrogate pair; remove it.")


def _hash(value: object, salt: str) -> str:
    text = _HASHED.encode(_as_told(value))
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:16]


def _as_told(value: object) -> object:
    """Write a value as the service tells it: JavaScript knows no difference between 1.0 and 1."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {key: _as_told(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_told(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
