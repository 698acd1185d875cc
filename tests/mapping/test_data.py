"""What a user looks like as a customer: defaults, what the site adds, and what is refused."""

import math
from collections import UserDict
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from django.utils.functional import lazystr
from django.utils.translation import gettext_lazy

from kohort_sync import mapping
from project.accounts.models import User

UNSENDABLE: dict[str, tuple[dict[Any, Any], str, str]] = {
    "localhost": ({"email_address": "ada@localhost"}, "email_invalid", "address"),
    "an address of numbers": ({"email_address": "ada@127.0.0.1"}, "email_invalid", "address"),
    "an address in brackets": ({"email_address": "ada@[127.0.0.1]"}, "email_invalid", "address"),
    "an address of IPv6": ({"email_address": "ada@[::1]"}, "email_invalid", "address"),
    "a top-level domain of digits": ({"email_address": "ada@example.42"}, "email_invalid", "address"),
    "a space before": ({"email_address": " ada@example.com"}, "email_invalid", "correct"),
    "a line break after": ({"email_address": "ada@example.com\n"}, "email_invalid", "correct"),
    "no at": ({"email_address": "ada"}, "email_invalid", "correct"),
    "65 bytes before the at": ({"email_address": "a" * 65 + "@example.com"}, "email_invalid", "64 bytes"),
    "255 bytes": ({"email_address": "ada@" + "example." * 31 + "com"}, "email_invalid", "254"),
    "half a pair in the address": ({"email_address": "ada@ex\ud800.com"}, "text_unsendable", "emailAddress"),
    "NUL in a name": ({"first_name": "A\0da"}, "text_unsendable", "firstName"),
    "half a pair in a name": ({"last_name": "\ud83d"}, "text_unsendable", "lastName"),
    "NUL in metadata": ({"metadata": {"a": ["\0"]}}, "text_unsendable", "metadata"),
    "NUL in a key": ({"metadata": {"\0": 1}}, "text_unsendable", "metadata"),
    "too much": ({"metadata": {"a": "x" * 102_400}}, "too_large", "102400"),
    "too much in bytes": ({"first_name": "\U0001f351" * 25_600}, "too_large", "102400"),
    "a key named constructor": ({"metadata": {"a": {"constructor": 1}}}, "metadata_unsendable", "rename"),
    "beyond 2^53": ({"metadata": {"a": 2**53 + 1}}, "metadata_unsendable", "as text"),
    "NaN": ({"metadata": {"a": math.nan}}, "metadata_unsendable", "number"),
    "infinity": ({"metadata": {"a": -math.inf}}, "metadata_unsendable", "number"),
    "a time": ({"metadata": {"a": datetime(2031, 1, 1, tzinfo=UTC)}}, "metadata_unsendable", "datetime"),
    "a decimal": ({"metadata": {"a": Decimal(1)}}, "metadata_unsendable", "Decimal"),
    "bytes": ({"metadata": {"a": b"x"}}, "metadata_unsendable", "bytes"),
    "a set": ({"metadata": {"a": {1}}}, "metadata_unsendable", "set"),
    "a lazy text in metadata": ({"metadata": {"a": gettext_lazy("Yes")}}, "metadata_unsendable", "send text"),
    "a number as a key": ({"metadata": {1: "a"}}, "metadata_unsendable", "key"),
    "a mapping inside": ({"metadata": {"a": UserDict()}}, "metadata_unsendable", "UserDict"),
    "metadata of text": ({"metadata": "a"}, "customer_data_invalid", "metadata"),
    "metadata of a list": ({"metadata": [("a", 1)]}, "customer_data_invalid", "a dict"),
    "a lazy name": ({"first_name": lazystr("Ada")}, "customer_data_invalid", "text"),
    "a number for a phone": ({"phone_number": 33612345678}, "customer_data_invalid", "phone_number"),
    "a number for an address": ({"email_address": 5}, "customer_data_invalid", "email_address"),
    "an address of text": ({"address": "1 Mill Lane"}, "customer_data_invalid", "address"),
    "a number in an address": ({"address": {"postal_code": 75001}}, "customer_data_invalid", "postal_code"),
    "a list in an address": ({"shipping_address": {"city": ["Paris"]}}, "customer_data_invalid", "city"),
    "an unknown key": ({"mail": "ada@example.com"}, "customer_data_invalid", "mail"),
    "a key that is no text": ({1: "x"}, "customer_data_invalid", "Known are"),
    "another language": ({"locale": "de_DE"}, "locale_unknown", "fr_FR"),
    "a language spelled as a browser does": ({"locale": "fr-FR"}, "locale_unknown", "fr_FR"),
    "a list of languages": ({"locale": ["fr_FR"]}, "customer_data_invalid", "locale"),
}

SENDABLE: dict[str, dict[str, Any]] = {
    "capitals": {"email_address": "Ada@Example.COM"},
    "64 bytes before the at": {"email_address": "a" * 64 + "@example.com"},
    "a foreign domain": {"email_address": "ada@exämple.com"},
    "a foreign domain, encoded": {"email_address": "ada@example.xn--p1ai"},
    "a tag": {"email_address": "ada+tag@example.com"},
    "quotes": {"email_address": '"ada.l"@example.com'},
    "2^53": {"metadata": {"a": 2**53, "b": -(2**53), "c": 1.5, "d": True, "e": None}},
    "a tuple": {"metadata": {"a": (1, 2)}},
    "a proxy of a dict": {"metadata": MappingProxyType({"a": 1})},
    "nothing at all": {"metadata": None, "address": None, "locale": None, "phone_number": None},
    "an address with a gap": {"address": {"street": "1 Mill Lane", "state": None}},
}


def user(**fields: Any) -> User:
    return User(**({"pk": 7, "username": "ada", "email": "ada@example.com", "first_name": "Ada"} | fields))


def returning(settings: Any, value: object) -> None:
    """Let CUSTOMER_DATA return a value."""
    settings.KOHORT_SYNC = {"API_KEY": "sk_test_x", "CUSTOMER_DATA": lambda _user: value}


@pytest.fixture(autouse=True)
def _no_function_of_the_site(settings: Any) -> None:
    settings.KOHORT_SYNC = {"API_KEY": "sk_test_x"}


@pytest.mark.security(27)
def test_a_user_has_an_address_and_names_by_default() -> None:
    data = mapping.customer_data(user(last_name="Lovelace"))

    assert data.payload() == {
        "emailAddress": "ada@example.com",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "metadata": {"user_id": "7"},
    }


def test_what_the_site_returns_wins_over_the_defaults(settings: Any) -> None:
    returning(settings, {"first_name": "Augusta", "metadata": {"tier": "gold", "user_id": "other"}})

    payload = mapping.customer_data(user()).payload()

    assert payload["firstName"] == "Augusta"
    assert payload["emailAddress"] == "ada@example.com"
    assert payload["metadata"] == {"user_id": "other", "tier": "gold"}


@pytest.mark.failure(70)
@pytest.mark.parametrize("case", UNSENDABLE)
def test_what_the_service_would_refuse_is_refused_with_words(settings: Any, case: str) -> None:
    values, code, words = UNSENDABLE[case]
    returning(settings, values)

    with pytest.raises(mapping.Unsendable) as refused:
        mapping.customer_data(user())

    assert refused.value.code == code
    assert words in str(refused.value)
    assert "ada@" not in str(refused.value)


@pytest.mark.parametrize("case", SENDABLE)
def test_what_the_service_accepts_is_not_refused(settings: Any, case: str) -> None:
    returning(settings, SENDABLE[case])

    data = mapping.customer_data(user())

    if "email_address" in SENDABLE[case]:
        assert data.email_address == SENDABLE[case]["email_address"]


@pytest.mark.parametrize("value", [None, "text", ["email_address"], 5])
def test_a_function_that_returns_no_dict_is_named(settings: Any, value: object) -> None:
    returning(settings, value)

    with pytest.raises(mapping.Unsendable, match="has to return a dict") as refused:
        mapping.wanted(user())

    assert refused.value.code == "customer_data_invalid"


@pytest.mark.parametrize("value", [None, ""])
def test_an_address_that_the_site_takes_away_is_none(settings: Any, value: str | None) -> None:
    returning(settings, {"email_address": value})

    assert mapping.wanted(user()) == mapping.Wanted(yes=False, code="no_email")


@pytest.mark.parametrize("in_settings", ["en_US", "fr_FR", "en_GB"])
def test_the_language_of_the_settings_stands_in_for_one_of_the_user(settings: Any, in_settings: str) -> None:
    settings.KOHORT_SYNC = {"API_KEY": "sk_test_x", "DEFAULT_LOCALE": in_settings}

    assert mapping.customer_data(user()).locale == in_settings


@pytest.mark.parametrize(
    ("is_active", "should_sync", "wanted"),
    [
        (True, None, True),
        (False, None, False),
        (False, lambda _user: True, True),
        (True, lambda _user: 0, False),
    ],
)
def test_the_rule_of_the_site_replaces_ours(
    settings: Any, *, is_active: bool, should_sync: object, wanted: bool
) -> None:
    settings.KOHORT_SYNC = {"API_KEY": "sk_test_x", "SHOULD_SYNC": should_sync}

    assert mapping.wanted(user(is_active=is_active)).yes is wanted


@pytest.mark.parametrize(("key", "spelled"), [(7, "7"), ("7", "7"), ("007", "7")])
def test_a_key_is_spelled_as_the_database_gives_it_back(key: object, spelled: str) -> None:
    assert mapping.key_of(user(pk=key)) == spelled


@pytest.mark.security(8)
def test_no_representation_shows_the_person() -> None:
    assert "ada" not in repr(mapping.customer_data(user())).lower()
