"""The checks: each speaks up for its own mistake alone, says what to do, and never shows a key."""

from typing import Any

import pytest
from django.core import checks as django_checks

from kohort_sync import checks, conf

CHECKS = (
    checks.known_settings,
    checks.values,
    checks.api_key,
    checks.functions,
    checks.adoption,
    checks.watched,
    checks.one_database,
)
NOT_CALLABLE = 5


def found() -> list[django_checks.CheckMessage]:
    return [message for check in CHECKS for message in check(None)]


def ids() -> list[str | None]:
    return [message.id for message in found()]


@pytest.fixture
def configure(settings: Any) -> Any:
    def change(**values: object) -> None:
        settings.KOHORT_SYNC = settings.KOHORT_SYNC | values

    return change


MISTAKES = [
    ("kohort_sync.W001", {"API_KEYS": "sk_test_abcdefgh1234"}),
    ("kohort_sync.E001", {"API_KEY": "pk_test_abcdefgh1234"}),
    ("kohort_sync.E001", {"API_KEY": "abcdefgh1234"}),
    ("kohort_sync.E002", {"API_KEY": "sk_test_with space"}),
    ("kohort_sync.E002", {"API_KEY": "sk_test_short"}),
    ("kohort_sync.E002", {"BASE_URL": "http://api.example.com"}),
    ("kohort_sync.E002", {"BASE_URL": "api.example.com"}),
    ("kohort_sync.E002", {"BASE_URL": None}),
    ("kohort_sync.E002", {"BASE_URL": "https://user:secretword@api.example.com"}),
    ("kohort_sync.E002", {"API_KEY": "sk_live_abcdefgh1234"}),
    ("kohort_sync.E002", {"CA_BUNDLE": "/no/such/file.pem"}),
    ("kohort_sync.E003", {"CUSTOMER_DATA": "no.such.function"}),
    ("kohort_sync.E003", {"CUSTOMER_DATA": "undotted"}),
    ("kohort_sync.E003", {"SHOULD_SYNC": "tests.edges.test_checks.missing"}),
    ("kohort_sync.E003", {"SHOULD_SYNC": "tests.edges.test_checks.NOT_CALLABLE"}),
    ("kohort_sync.E003", {"SHOULD_SYNC": 5}),
    ("kohort_sync.E006", {"REFERENCE_PREFIX": "x" * 19}),
    ("kohort_sync.E006", {"REFERENCE_PREFIX": "shop 1"}),
    ("kohort_sync.E006", {"REFERENCE_PREFIX": 5}),
    ("kohort_sync.E006", {"DEADLINE": 0}),
    ("kohort_sync.E006", {"DEADLINE": "soon"}),
    ("kohort_sync.E006", {"DEADLINE": float("nan")}),
    ("kohort_sync.E006", {"SWEEP": None}),
    ("kohort_sync.E006", {"MAX_CONCURRENCY": 0}),
    ("kohort_sync.E006", {"MAX_CONCURRENCY": 1.5}),
    ("kohort_sync.E006", {"MAX_CONCURRENCY": True}),
    ("kohort_sync.E006", {"MAX_RATE": 0}),
    ("kohort_sync.E006", {"MAX_RATE": "10"}),
    ("kohort_sync.E006", {"ENABLED": "False"}),
    ("kohort_sync.E006", {"NUDGE": "0"}),
    ("kohort_sync.E006", {"TRUST_ENV": 1}),
    ("kohort_sync.E006", {"REGISTER_ADMIN": None}),
    ("kohort_sync.E006", {"QUEUE": 5}),
    ("kohort_sync.E006", {"QUEUE": ""}),
    ("kohort_sync.E006", {"PHONE_REGION": "France"}),
    ("kohort_sync.E006", {"DEFAULT_LOCALE": "de_DE"}),
    ("kohort_sync.E006", {"ON_USER_DELETE": "forget"}),
    ("kohort_sync.E006", {"ON_USER_DELETE": None}),
    ("kohort_sync.E006", {"RETENTION_DAYS": 0}),
    ("kohort_sync.E006", {"RETENTION_DAYS": "90"}),
    ("kohort_sync.E006", {"ADOPT_BY_EMAIL": "no"}),
    ("kohort_sync.E003", {"EMAIL_VERIFIED": "no.such.function"}),
    ("kohort_sync.W002", {"ADOPT_BY_EMAIL": True}),
    ("kohort_sync.E007", {"WATCH": ["signup.Profile"]}),
    ("kohort_sync.E007", {"WATCH": {"signup.Nothing": "user"}}),
    ("kohort_sync.E007", {"WATCH": {"Profile": "user"}}),
    ("kohort_sync.E007", {"WATCH": {"signup.Profile": "nobody"}}),
    ("kohort_sync.E007", {"WATCH": {"signup.Profile": "phone_number"}}),
    ("kohort_sync.E007", {"WATCH": {"signup.Profile": 5}}),
]


@pytest.mark.failure(73)
@pytest.mark.parametrize(("identity", "values"), MISTAKES)
def test_a_mistake_is_reported_once_under_its_own_id(
    configure: Any, identity: str, values: dict[str, object]
) -> None:
    configure(**values)

    assert ids() == [identity]


@pytest.mark.security(3)
@pytest.mark.parametrize(("identity", "values"), MISTAKES)
def test_a_message_has_a_hint_and_shows_no_key(
    configure: Any, identity: str, values: dict[str, object]
) -> None:
    configure(**values)

    (message,) = found()
    assert message.hint
    for secret in (conf.raw().get("API_KEY"), values.get("API_KEYS"), "secretword"):
        assert str(secret) not in f"{message.msg} {message.hint}"


def test_a_setting_that_is_no_dict_is_reported(settings: Any) -> None:
    settings.KOHORT_SYNC = "sk_test_abcdefgh1234"

    (message,) = found()
    assert message.id == "kohort_sync.E005"
    assert "sk_test_abcdefgh1234" not in f"{message.msg} {message.hint}"


@pytest.mark.failure(10)
def test_links_in_another_database_than_the_users_are_reported(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [LinksElsewhere()]

    (message,) = found()
    assert message.id == "kohort_sync.E004"
    assert "'elsewhere'" in message.msg


class LinksElsewhere:
    """Send the rows of kohort_sync to a database of their own."""

    def db_for_write(self, model: Any, **_: object) -> str | None:
        return "elsewhere" if model._meta.app_label == "kohort_sync" else None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"API_KEY": None},
        {"API_KEY": ""},
        {"API_KEY": "pk_test_abcdefgh1234", "ENABLED": False},
        {"API_KEY": "sk_live_abcdefgh1234", "BASE_URL": "https://api.kohortpay.com/"},
        {"BASE_URL": "http://localhost:8555"},
        {"CUSTOMER_DATA": len, "SHOULD_SYNC": "builtins.bool"},
        {"REFERENCE_PREFIX": "x" * 18},
        {"REFERENCE_PREFIX": ""},
        {"DEADLINE": 1, "SWEEP": 0.5, "MAX_CONCURRENCY": 1, "DEFAULT_LOCALE": "fr_FR"},
        {"ON_USER_DELETE": "erase", "RETENTION_DAYS": 1, "WATCH": {}},
        {"WATCH": {"signup.Profile": "user", "signup.badge": "holder"}},
        {"ADOPT_BY_EMAIL": True, "EMAIL_VERIFIED": bool},
    ],
)
def test_settings_that_can_be_used_are_not_reported(configure: Any, values: dict[str, object]) -> None:
    configure(**values)

    assert ids() == []


def test_no_settings_at_all_are_not_reported(settings: Any) -> None:
    del settings.KOHORT_SYNC

    assert ids() == []


def test_django_runs_every_check_of_ours() -> None:
    registered = set(django_checks.registry.registry.registered_checks)

    assert set(CHECKS) <= registered
