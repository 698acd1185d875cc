"""Whatever a user holds: either it is refused here with words, or the service accepts it."""

import math
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kohort_sync import conf, connection, drainer, links, mapping, references
from kohort_sync.models import CustomerLink, State
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.service import Service
from project.accounts.models import User

anything = st.text(alphabet=st.characters(codec=None, exclude_categories=[]), max_size=30)
odd = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "\ud800",
        "x" * 70,
        "😀",
        "é",
        "\u017f",
        "\u212a",
        "。",
        "ß",
        "\u200b",
        ".",
        "..",
        "-",
        "@",
        '"',
        "[::1]",
    ]
)
texts = st.lists(anything | odd, max_size=3).map("".join)
domains = st.lists(
    st.sampled_from(
        ["example", "com", "42", "xn--p1ai", "exämple", "\U0001d4b6\U0001d4b7", "a-", "-", "_", "p"]
    )
    | texts
)
addresses = st.emails() | texts | st.builds("{}@{}".format, texts, domains.map(".".join))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("constructor"), inner, max_size=3)
    ),
    max_leaves=10,
)


def create(values: dict[str, Any]) -> str:
    """Send what a user holds to a new simulated service; return what became of it."""
    user = User(
        pk=1, username="ada", email=values["email"], first_name=values["first"], last_name=values["last"]
    )
    account = conf.accounts()["default"]
    with connection.through(ServiceAdapter(Service(seed=1))):
        try:
            data = mapping.customer_data(user)
        except mapping.Unsendable as refused:
            return refused.code
        customers = connection.customers(account, organization_id="", threads=1)
        # Any answer but 201 raises.
        return str(customers.create(data, reference=references.new(prefix="x-")).status)


@pytest.mark.failure(70)
@given(email=addresses, first=texts, last=texts, metadata=values, phone=texts)
@example(email="ada@127.0.0.1", first="", last="", metadata=None, phone="")
@example(email="ada@\U0001d4b6\U0001d4b7.com", first="", last="", metadata=None, phone="")
@example(email="ada@example.com", first="x" * 102_300, last="", metadata=None, phone="")
@example(email="ada@example.com", first="", last="", metadata={"a": math.inf}, phone="")
@example(email="ada@example.com", first="", last="", metadata={"a": 1e300}, phone="")
@hypothesis_settings(max_examples=300, deadline=None)
def test_whatever_a_user_holds_is_refused_here_or_accepted_there(
    *, email: str, first: str, last: str, metadata: object, phone: str
) -> None:
    own = {"metadata": metadata, "phone_number": phone}
    site = django_settings.KOHORT_SYNC | {"CUSTOMER_DATA": lambda _user: own}

    # Not the fixture: it would stack one override upon the other for each example.
    with override_settings(KOHORT_SYNC=site):
        outcome = create({"email": email, "first": first, "last": last})

    # An empty address is no matter for the service: such a user is not wanted.
    assert outcome in {"201", "email_invalid", "text_unsendable", "too_large"} | {
        "metadata_unsendable",
        "customer_data_invalid",
    }


@pytest.mark.failure(70)
@pytest.mark.parametrize(
    ("size", "expected"), [(102_220, "201"), (102_290, "too_large"), (102_400, "too_large")]
)
def test_a_body_at_the_limit_is_refused_here_or_accepted_there(
    settings: Any, size: int, expected: str
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": None}

    outcome = create({"email": "ada@example.com", "first": "x" * size, "last": ""})

    assert outcome == expected


FULL: dict[str, Any] = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "phone_number": "+33612345678",
    "address": {"street": "1 Mill Lane", "city": "Paris", "postal_code": "75001", "country": "FR"},
    "shipping_address": {
        "address_line1": "1 Mill Lane", "address_line2": "Door", "city": "Paris", "postal_code": "75001",
        "country": "FR", "state": "", "company_name": "P", "vat_number": "FR1", "registration_number": "2"
    },
    "metadata": {"tier": "gold", "depth": {"a": [1, None, True]}},
    "locale": "en_US",
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_every_documented_field_arrives(settings: Any, either_dialect: Service) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": lambda _user: FULL}
    user = User.objects.create_user("ada", email="Ada@Example.com")
    # A manager of Django lower-cases the domain; what the row holds is what is sent.
    User.objects.filter(pk=user.pk).update(email="Ada@Example.COM")

    drainer.drain("default", linger=0)

    (row,) = either_dialect.snapshot()
    assert row["email_address"] == "Ada@Example.COM"
    assert (row["first_name"], row["last_name"], row["phone_number"], row["locale"]) == (
        "Ada",
        "Lovelace",
        "+33612345678",
        "en_US",
    )
    assert row["metadata"] == {"user_id": str(user.pk)} | FULL["metadata"]
    if either_dialect.dialect == "documented":
        assert row["address"]["postalCode"] == "75001"
        assert row["shipping_address"]["registrationNumber"] == "2"
        assert len(row["shipping_address"]) == 9
    assert CustomerLink.objects.get().state == State.LINKED


WRONG: dict[str, tuple[object, str]] = {
    "an address that is refused": ({"email_address": "ada@localhost"}, "email_invalid"),
    "a phone that is a number": ({"phone_number": 612345678}, "customer_data_invalid"),
    "a time": ({"metadata": {"a": object()}}, "metadata_unsendable"),
    "a language": ({"locale": "xx"}, "locale_unknown"),
    "nothing": (None, "customer_data_invalid"),
    "too much": ({"last_name": "x" * 200_000}, "too_large"),
}


@pytest.mark.failure(70)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("case", WRONG)
def test_data_that_cannot_be_sent_is_rejected_with_words_and_sent_when_corrected(
    settings: Any, service: Service, case: str
) -> None:
    value, code = WRONG[case]
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": lambda _user: value}
    user = User.objects.create_user("ada", email="ada@example.com")
    drainer.drain("default", linger=0)
    rejected = CustomerLink.objects.get()
    sent = len(service.log)

    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": None}
    user.save()
    drainer.drain("default", linger=0)

    assert (rejected.state, rejected.last_error_code, sent) == (State.REJECTED, code, 0)
    assert rejected.last_error
    assert rejected.next_attempt_at is None
    assert rejected.lease_token == ""
    assert CustomerLink.objects.get().state == State.LINKED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", [LookupError, RecursionError, AttributeError, SystemError])
def test_a_function_that_fails_is_tried_again_and_stops_nobody(
    settings: Any, service: Service, failure: type[Exception]
) -> None:
    def customer_data(user: User) -> dict[str, Any]:
        if user.username == "poison":
            raise failure(user.email)
        return {}

    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": customer_data}
    User.objects.create_user("poison", email="poison@example.com")
    User.objects.create_user("ada", email="ada@example.com")

    drainer.drain("default", linger=0)

    poison, good = CustomerLink.objects.order_by("pk")
    assert good.state == State.LINKED
    assert (poison.state, poison.last_error_code) == (State.PENDING, "host_function_failed")
    assert poison.next_attempt_at is not None
    assert not links.any_due(account="default/test", using="default")


@pytest.mark.django_db(transaction=True)
def test_a_name_that_was_cleared_is_cleared_there_and_metadata_too(settings: Any, service: Service) -> None:
    own: dict[str, Any] = {"metadata": {"tier": "gold"}}
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": lambda _user: own}
    user = User.objects.create_user("ada", email="ada@example.com", first_name="Ada")
    drainer.drain("default", linger=0)
    user.first_name = ""
    own.clear()
    user.save()

    drainer.drain("default", linger=0)

    (row,) = service.snapshot()
    assert row["first_name"] is None
    assert row["metadata"] == {"user_id": str(user.pk)}
    assert not CustomerLink.objects.get().is_dirty
