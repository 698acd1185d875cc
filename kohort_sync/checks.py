"""Checks: what is wrong with the settings, each with a stable id and the way to mend it."""

from collections.abc import Sequence
from typing import Any

from django.apps.config import AppConfig
from django.contrib.auth import get_user_model
from django.core import checks
from django.db import router

from kohort_sync import conf, connection
from kohort_sync.models import CustomerLink


def register() -> None:
    """Register all checks of the app."""
    for check in (known_settings, api_key, functions, one_database):
        checks.register(check, "kohort_sync")


def known_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report keys of KOHORT_SYNC that mean nothing to this version."""
    del app_configs
    return [
        checks.Warning(
            f"KOHORT_SYNC['{name}'] is not a setting of this version.",
            hint=f"Remove it or correct its name. Known: {', '.join(conf.DEFAULTS)}.",
            id="kohort_sync.W001",
        )
        for name in conf.raw()
        if name not in conf.DEFAULTS
    ]


def api_key(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report a key or an address that cannot be used. The message never shows the key."""
    del app_configs
    if not conf.get("API_KEY") or not conf.get("ENABLED"):
        return []
    accounts = conf.accounts()
    if not accounts:
        return [
            checks.Error(
                "KOHORT_SYNC['API_KEY'] is not a secret key of KohortPay.",
                hint="Use the key that begins with sk_test_ or sk_live_; keys that begin with pk_ are public.",
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
    """Report functions of the host that a setting names and that cannot be imported."""
    del app_configs
    messages: list[checks.CheckMessage] = []
    for name in ("CUSTOMER_DATA", "SHOULD_SYNC"):
        try:
            conf.hook(name)
        except ImportError as error:
            messages.append(
                checks.Error(
                    f"KOHORT_SYNC['{name}'] cannot be imported.", hint=str(error), id="kohort_sync.E003"
                )
            )
    return messages


def one_database(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """Report a router that sends our rows elsewhere than the users: they must share a transaction."""
    del app_configs
    users, rows = router.db_for_write(get_user_model()), router.db_for_write(CustomerLink)
    if users == rows:
        return []
    return [
        checks.Error(
            f"Users are written to the database '{users}' and links to '{rows}'.",
            hint="Route the app kohort_sync to the database of the users.",
            id="kohort_sync.E004",
        )
    ]
