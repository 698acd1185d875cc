"""Changes: found field by field from hashes, and none where nothing changed."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kohort_sync import mapping
from kohort_sync.client.records import CustomerData, RemoteCustomer

texts = st.none() | st.text(min_size=1, max_size=10)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
people = st.builds(
    CustomerData,
    email_address=st.emails(),
    first_name=texts,
    last_name=texts,
    phone_number=texts,
    metadata=st.none() | st.dictionaries(st.text(max_size=5), values, min_size=1, max_size=3),
    locale=st.none() | st.sampled_from(mapping.LOCALES),
    address=st.none() | st.dictionaries(st.sampled_from(["street", "city"]), st.text(min_size=1), min_size=1),
)
NOBODY = CustomerData(email_address="ada@example.com")


@given(people)
def test_the_same_data_is_no_change(data: CustomerData) -> None:
    confirmed = mapping.fingerprint(data, salt="a")

    assert mapping.changes(data, confirmed=confirmed, salt="a") == {}


@given(people)
def test_what_nobody_has_confirmed_is_all_new(data: CustomerData) -> None:
    assert mapping.changes(data, confirmed={}, salt="a") == data.payload()


@given(people, people)
def test_only_what_differs_is_a_change(before: CustomerData, after: CustomerData) -> None:
    changes = mapping.changes(after, confirmed=mapping.fingerprint(before, salt="a"), salt="a")

    old, new = before.payload(), after.payload()
    kept = {name for name in new if name in old and old[name] == new[name] and old[name] is not True}
    assert not kept & set(changes)
    assert {name for name in new if name not in old} <= set(changes)
    assert {name for name, value in changes.items() if value is None} <= {
        "firstName",
        "lastName",
        "phoneNumber",
    }


@given(people)
def test_after_the_change_nothing_differs_any_more(data: CustomerData) -> None:
    confirmed = mapping.fingerprint(NOBODY, salt="a")
    changed = mapping.changes(data, confirmed=confirmed, salt="a")

    after = mapping.fingerprint(data, salt="a")

    assert set(changed) <= set(data.payload())
    assert mapping.changes(data, confirmed=after, salt="a") == {}


@given(people)
def test_another_salt_gives_another_fingerprint(data: CustomerData) -> None:
    one, other = mapping.fingerprint(data, salt="a"), mapping.fingerprint(data, salt="b")

    assert set(one) == set(other)
    assert not set(one.values()) & set(other.values())


@given(people)
def test_no_fingerprint_holds_a_value(data: CustomerData) -> None:
    told = mapping.fingerprint(data, salt="a")

    assert all(len(value) == 16 and set(value) <= set("0123456789abcdef") for value in told.values())


def test_a_value_that_went_away_is_taken_away_where_the_service_lets_it_be() -> None:
    full = CustomerData(
        email_address="ada@example.com",
        first_name="Ada",
        last_name="Lovelace",
        phone_number="+33612345678",
        metadata={"a": 1},
        locale="fr_FR",
        address={"city": "Paris"},
    )

    gone = mapping.changes(NOBODY, confirmed=mapping.fingerprint(full, salt="a"), salt="a")

    assert gone == {"firstName": None, "lastName": None, "phoneNumber": None, "metadata": {}}


def test_a_customer_who_shows_what_was_sent_has_the_same_fingerprint() -> None:
    data = CustomerData(
        email_address="ada@example.com", first_name="Ada", metadata={"a": 1.0, "b": [1e21, -0.0]}
    )
    # JavaScript writes 1.0 as 1, and -0.0 as 0.
    shown = RemoteCustomer(
        kohort_id="cus_1",
        email_address="ada@example.com",
        first_name="Ada",
        metadata={"a": 1, "b": [1e21, 0]},
    )

    told = mapping.remote_fingerprint(shown, salt="a")

    assert told == mapping.fingerprint(data, salt="a")
    assert mapping.changes(data, confirmed=told, salt="a") == {}


def test_empty_metadata_is_as_good_as_none() -> None:
    shown: dict[str, Any] = {"kohort_id": "cus_1", "email_address": "ada@example.com"}

    told = mapping.remote_fingerprint(RemoteCustomer(**shown, metadata={}), salt="a")

    assert mapping.changes(NOBODY, confirmed=told, salt="a") == {}


@given(people, st.emails())
def test_a_frozen_address_changes_nothing_else(data: CustomerData, email: str) -> None:
    assert mapping.with_email(data, email) == replace(data, email_address=email)
