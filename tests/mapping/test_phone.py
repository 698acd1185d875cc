"""Phone numbers: one spelling where `phonenumbers` is there, the site's own where it is not."""

from typing import Any

import pytest

from kohort_sync import mapping
from project.accounts.models import User


def sent(settings: Any, number: object, *, region: str | None = None) -> object:
    settings.KOHORT_SYNC = {
        "API_KEY": "sk_test_x",
        "PHONE_REGION": region,
        "CUSTOMER_DATA": lambda _user: {"phone_number": number},
    }
    return mapping.customer_data(User(pk=1, email="ada@example.com")).phone_number


@pytest.mark.parametrize(
    ("number", "region", "expected"),
    [
        ("+33 6 12 34 56 78", None, "+33612345678"),
        ("+33 (0)6 12.34.56.78", None, "+33612345678"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("06 12 34 56 78", None, None),
        ("06 12 34 56 78", "nowhere", None),
        ("call me", "FR", None),
        ("1" * 300, "FR", None),
        ("", "FR", None),
        (None, "FR", None),
    ],
)
def test_a_number_is_sent_in_one_spelling_or_not_at_all(
    settings: Any, number: str | None, region: str | None, expected: str | None
) -> None:
    assert sent(settings, number, region=region) == expected


@pytest.mark.parametrize("number", ["+33 6 12 34 56 78", "06 12 34 56 78", "call me"])
def test_without_the_library_a_number_is_sent_as_it_is(
    settings: Any, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setattr(mapping, "phonenumbers", None)

    assert sent(settings, number, region="FR") == number


def test_without_the_library_a_number_is_checked_all_the_same(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "phonenumbers", None)

    with pytest.raises(mapping.Unsendable):
        sent(settings, "+33\0")
