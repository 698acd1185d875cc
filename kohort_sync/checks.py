"""Checks: what is wrong with the settings, each with a stable id and the way to mend it."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.apps.config import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db import router

from kohort_sync import conf, connection, mapping, references


def register() -> None:
    """Register all checks of the app."""
    for check in (known_settings, values, api_key, functions, adoption, watched, one_database):
        checks.register(check, "kohort_sync")


def known_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report a KOHORT_SYNC that is no dict, and its keys that mean nothing to this version."""
    del app_configs
    if not isinstance(getattr(settings, "KOHORT_SYNC", {}), Mapping):
        return [
            checks.Error(
                "KOHORT_SYNC is not a dict.",
                hint='Write it as KOHORT_SYNC = {"API_KEY": ...}.',
                id="kohort_sync.E005",
            )
        ]
    return [
        checks.Warning(
            f"KOHORT_SYNC['{name}'] is not a setting of this version.",
            hint=f"Remove it or correct its name. Known: {', '.join(conf.DEFAULTS)}.",
            id="kohort_sync.W001",
        )
        for name in conf.raw()
        if name not in conf.DEFAULTS
    ]


def values(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report values that would make sign-ups or the drainer fail later."""
    del app_configs
    return [
        checks.Error(f"KOHORT_SYNC['{name}'] cannot be used.", hint=hint, id="kohort_sync.E006")
        for name, (is_good, hint) in _VALUES.items()
        if not is_good(conf.get(name))
    ]


def api_key(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report a key or an address that cannot be used. The message never shows the key."""
    if not conf.get("API_KEY") or not conf.enabled() or values(app_configs):
        return []
    accounts = conf.accounts()
    if not accounts:
        return [
            checks.Error(
                "KOHORT_SYNC['API_KEY'] is not a secret key of KohortPay.",
                hint="Use the key that begins with sk_test_ or sk_live_; a pk_ key is a public one.",
                id="kohort_sync.E001",
            )
        ]
    try:
        for account in accounts.values():
            connection.customers(account, organization_id="", threads=1)
    except ValueError as error:
        return [
            checks.Error(
                "KohortPay cannot be called with these settings.", hint=str(error), id="kohort_sync.E002"
            )
        ]
    return []


def functions(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report settings that should name a function of the host and do not."""
    del app_configs
    return [
        checks.Error(f"KOHORT_SYNC['{name}'] is not a function.", hint=hint, id="kohort_sync.E003")
        for name in ("CUSTOMER_DATA", "SHOULD_SYNC", "EMAIL_VERIFIED")
        if (hint := _fault_of_function(name))
    ]


def adoption(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report that adoption is on and can never happen, because nobody says whose address is verified."""
    del app_configs
    if not conf.adopts_by_email() or conf.get("EMAIL_VERIFIED"):
        return []
    return [
        checks.Warning(
            "KOHORT_SYNC['ADOPT_BY_EMAIL'] is on without EMAIL_VERIFIED, so no customer is ever adopted.",
            hint="Name a function that says whether a user has verified the e-mail address.",
            id="kohort_sync.W002",
        )
    ]


def watched(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report what WATCH names and does not exist, or does not lead to one user."""
    del app_configs
    value = conf.get("WATCH")
    if not isinstance(value, Mapping):
        return [_unwatchable("KOHORT_SYNC['WATCH'] is not a dict.")]
    return [
        _unwatchable(f"KOHORT_SYNC['WATCH'] names '{label}': '{name}', {fault}.")
        for label, name in value.items()
        if (fault := _fault_of_watched(label, name))
    ]


def _unwatchable(message: str) -> checks.CheckMessage:
    hint = 'Write {"app_label.Model": "field"}: the field is a foreign key to the user model.'
    return checks.Error(message, hint=hint, id="kohort_sync.E007")


def _fault_of_watched(label: str, name: str) -> str:
    try:
        field = apps.get_model(label)._meta.get_field(name)
    except (LookupError, ValueError, AttributeError):
        return "and there is no such model"
    except FieldDoesNotExist:
        return "and the model has no such field"
    return "" if mapping.is_user_field(field) else "which is no foreign key to the user model"


def one_database(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report a router that sends our rows elsewhere than the users: they must share a transaction."""
    del app_configs
    users = router.db_for_write(get_user_model())
    # Each of our models: what was sent and how the row stands are written in one transaction, too.
    rows = {router.db_for_write(model) for model in apps.get_app_config("kohort_sync").get_models()}
    return [
        checks.Error(
            f"Users are written to the database '{users}' and rows of kohort_sync to '{elsewhere}'.",
            hint="Route the app kohort_sync to the database of the users.",
            id="kohort_sync.E004",
        )
        for elsewhere in sorted(rows - {users})
    ]


def _fault_of_function(name: str) -> str:
    """Say what is wrong with a function of the host; empty where it can be called or is not set."""
    value: object = conf.get(name)
    if value is not None and not callable(value) and not isinstance(value, str):
        return "Give the dotted path of a function, as text."
    try:
        function: object = conf.hook(name)
    except ImportError as error:
        return f"{error}. Give the dotted path of a function."
    if function is not None and not callable(function):
        return f"{value} is a {type(function).__name__}. Give the dotted path of a function."
    return ""


def _is_number(value: object, *, least: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= least


def _is_prefix(value: object) -> bool:
    """Say whether references that begin like this fit their column and can be searched for."""
    if value is None or value == "":
        return True
    return isinstance(value, str) and references.is_safe(value) and len(value) <= references.LONGEST_PREFIX


_REGION = re.compile("[A-Z]{2}")
_VALUES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "REFERENCE_PREFIX": (
        _is_prefix,
        f"Use at most {references.LONGEST_PREFIX} letters, digits, '.', '_' and '-'; or leave it out.",
    ),
    "DEADLINE": (lambda value: _is_number(value, least=0.1), "Give seconds as a number, 0.1 or more."),
    "SWEEP": (lambda value: _is_number(value, least=0.1), "Give seconds as a number, 0.1 or more."),
    "RETENTION_DAYS": (lambda value: _is_number(value, least=1), "Give days as a number, 1 or more."),
    "ON_USER_DELETE": (lambda value: value in ("keep", "erase"), 'Use "keep" or "erase".'),
    **dict.fromkeys(
        ("ENABLED", "ADOPT_BY_EMAIL", "NUDGE", "TRUST_ENV", "REGISTER_ADMIN"),
        (lambda value: isinstance(value, bool), "Use True or False; a text such as 'False' is neither."),
    ),
    "QUEUE": (
        lambda value: value is None or (isinstance(value, str) and value != ""),
        "Give the queue's name as a text; or leave it out.",
    ),
    "PHONE_REGION": (
        lambda value: value is None or (isinstance(value, str) and _REGION.fullmatch(value) is not None),
        'Use the two letters of a country, such as "FR"; or leave it out.',
    ),
    "MAX_CONCURRENCY": (
        lambda value: isinstance(value, int) and _is_number(value, least=1),
        "Give a whole number, 1 or more.",
    ),
    "MAX_RATE": (
        lambda value: value is None or _is_number(value, least=0.1),
        "Give requests in a second as a number, 0.1 or more; or leave it out.",
    ),
    "DEFAULT_LOCALE": (
        lambda value: value is None or value in mapping.LOCALES,
        f"Use one of {', '.join(mapping.LOCALES)}; or leave it out.",
    ),
}
