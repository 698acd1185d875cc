"""Settings: read live, with defaults, and closed where they make no sense."""

import hashlib
from typing import Any

import pytest
from django.test import override_settings

from kohort_sync import conf
from kohort_sync.checks import known_settings
from kohort_sync.references import is_safe, new


def with_(**values: Any) -> override_settings:
    return override_settings(KOHORT_SYNC=values)


@pytest.mark.parametrize(
    ("key", "livemode"),
    [
        ("sk_test_abc", False),
        ("sk_live_abc", True),
        ("  sk_test_abc\n", False),
        ("\tsk_live_abc ", True),
    ],
)
def test_a_secret_key_makes_one_account_in_its_mode(key: str, livemode: bool) -> None:  # noqa: FBT001
    with with_(API_KEY=key):
        (account,) = conf.accounts().values()

    assert account.livemode is livemode
    assert account.key == ("default/live" if livemode else "default/test")
    assert account.api_key.reveal() == key.strip()


@pytest.mark.parametrize(
    "key", [None, "", " ", "pk_test_abc", "pk_live_abc", "test_abc", "SK_TEST_abc", 5, b"sk_test_a"]
)
def test_anything_else_makes_none(key: object) -> None:
    with with_(API_KEY=key):
        assert conf.accounts() == {}


def test_an_app_that_is_switched_off_has_no_account() -> None:
    with with_(API_KEY="sk_test_abc", ENABLED=False):
        assert conf.accounts() == {}


@pytest.mark.parametrize("value", [None, [], "sk_test_abc", {}])
def test_a_site_that_says_nothing_sensible_is_idle(value: object) -> None:
    with override_settings(KOHORT_SYNC=value):
        assert conf.accounts() == {}
        assert conf.get("NUDGE") is True


def test_a_site_without_the_setting_is_idle(settings: Any) -> None:
    del settings.KOHORT_SYNC

    assert conf.accounts() == {}


def test_settings_are_read_anew_each_time() -> None:
    with with_(API_KEY="sk_test_abc", DEADLINE=1):
        inside = (conf.deadline(), len(conf.accounts()))
    with with_():
        outside = (conf.deadline(), len(conf.accounts()))

    assert inside == (1.0, 1)
    assert outside == (35.0, 0)


@pytest.mark.security(2)
def test_the_key_is_in_no_representation() -> None:
    with with_(API_KEY="sk_test_abc"):
        assert "sk_test_abc" not in repr(conf.accounts())


def test_a_name_that_is_no_setting_is_an_error_here_and_a_warning_for_the_site() -> None:
    with with_(API_KEY="sk_test_abc", API_KEI="x"):
        (warning,) = known_settings(None)
        with pytest.raises(KeyError):
            conf.get("NO_SUCH_SETTING")

    assert "API_KEI" in warning.msg
    assert warning.id == "kohort_sync.W001"


def test_the_times_follow_from_the_deadline() -> None:
    with with_(DEADLINE=2):
        assert (conf.row_lease(), conf.settle_window()) == (18.0, 36.0)


@pytest.mark.parametrize(("deadline", "lease", "window"), [(35, 150, 300)])
def test_the_times_are_those_of_the_design(deadline: int, lease: int, window: int) -> None:
    with with_():
        assert (conf.deadline(), conf.row_lease(), conf.settle_window()) == (deadline, lease, window)


def test_the_slash_after_an_address_is_nothing() -> None:
    with with_(API_KEY="sk_test_abc", BASE_URL="https://example.com//"):
        assert conf.accounts()["default"].base_url == "https://example.com"


def test_two_sites_have_two_prefixes_and_one_site_keeps_its_own() -> None:
    with with_(), override_settings(SECRET_KEY="one"):
        first, again = conf.reference_prefix(), conf.reference_prefix()
    with with_(), override_settings(SECRET_KEY="two"):
        second = conf.reference_prefix()
    with with_(), override_settings(SECRET_KEY=b"one"):
        bytes_of_first = conf.reference_prefix()

    assert first == again == bytes_of_first
    assert first != second
    assert is_safe(new(prefix=first))


def test_a_prefix_tells_nothing_of_the_secret_key() -> None:
    with with_(), override_settings(SECRET_KEY="one"):
        prefix = conf.reference_prefix()

    assert hashlib.sha256(b"one").hexdigest()[:6] not in prefix


def test_a_chosen_prefix_is_taken() -> None:
    with with_(REFERENCE_PREFIX="shop-"):
        assert conf.reference_prefix() == "shop-"


def test_a_function_is_found_by_its_path_or_given_itself() -> None:
    with with_(CUSTOMER_DATA="math.floor", SHOULD_SYNC=bool):
        found = conf.hook("CUSTOMER_DATA")
        given = conf.hook("SHOULD_SYNC")

    assert found is not None
    assert found(1.5) == 1
    assert given is bool


@pytest.mark.parametrize("path", ["no.such.module", "math.no_such_name", "math", ""])
def test_a_path_that_leads_nowhere_is_an_import_error(path: str) -> None:
    with with_(CUSTOMER_DATA=path), pytest.raises(ImportError):
        conf.hook("CUSTOMER_DATA")
