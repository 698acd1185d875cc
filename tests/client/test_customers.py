"""What is sent and how it is read; what comes out for each answer stands in `test_matrix.py`."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
import responses

from kohort_sync.client import customers as api
from kohort_sync.client import errors, records, refusals
from kohort_sync.client.customers import Customers
from kohort_sync.client.records import CustomerData, RemoteCustomer
from kohort_sync.client.transport import Transport
from kohort_sync.testing import answers
from tests.client.conftest import DATA, EMAIL, REFERENCE, as_json, customer, documented

BASE = "http://localhost:4010"  # plain, because loading the CA bundle costs more than a test
LIST = f"{BASE}/customers"
ONE = f"{BASE}/customers/cus_1"
CAMEL: dict[str, str] = dict(records.FIELDS)

Connect = Callable[..., Transport]


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def client(connect: Connect, wire: responses.RequestsMock) -> Customers:
    return Customers(connect(BASE), livemode=False, organization_id="org_1")


def said(message: object) -> bytes:
    return as_json({"error": {"type": "invalid_request_error", "message": message, "code": "Bad Request"}})


# Refusals


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["emailAddress must be an email"], ("emailAddress",)),
        (["email_address must be an email"], ("emailAddress",)),
        (["emailAddress must be a valid address", "emailAddress should not be empty"], ("emailAddress",)),
        (["shippingAddress.country must be a string", "address.street x"], ("shippingAddress", "address")),
        (
            ["clientReferenceId must be a string", "locale must be one of: en_US"],
            ("clientReferenceId", "locale"),
        ),
        (["property phoneNumber is odd"], ("phoneNumber",)),
        (["nothing known"], ()),
        ([5, None, "firstName must be a string"], ("firstName",)),
        ([], ()),
    ],
)
def test_a_list_of_messages_names_the_fields(
    client: Customers, wire: responses.RequestsMock, messages: list[object], expected: tuple[str, ...]
) -> None:
    wire.add("POST", LIST, status=400, body=said(messages))

    with pytest.raises(errors.Invalid) as caught:
        client.create(DATA, reference=REFERENCE)

    assert caught.value.fields == expected


@pytest.mark.failure(78)
@pytest.mark.security(7)
def test_what_the_service_said_is_kept_without_the_person(
    client: Customers, wire: responses.RequestsMock
) -> None:
    message = (
        f"Disposable address {EMAIL} of Ada Canaryname (+33 6 12 34 56 78, 0612345678, x@y.org) not welcome"
    )
    wire.add("POST", LIST, status=400, body=said(message))

    with pytest.raises(errors.Rejected, match="not welcome") as caught:
        client.create(DATA, reference=REFERENCE)

    assert caught.value.remote_message == "Disposable address *** of *** *** (***, ***, ***) not welcome"


@pytest.mark.security(7)
def test_a_refused_change_is_told_without_what_was_not_changed(
    client: Customers, wire: responses.RequestsMock
) -> None:
    wire.add("PATCH", f"{LIST}/cus_1", status=400, body=said("phoneNumber of Ada Canaryname is odd"))
    changes = {"phoneNumber": "+33"}

    with pytest.raises(errors.Rejected) as of_somebody:
        client.update("cus_1", changes, reference=REFERENCE, email=None, about=DATA)
    with pytest.raises(errors.Rejected) as of_nobody_knows_whom:
        client.update("cus_1", changes, reference=REFERENCE, email=None)

    assert of_somebody.value.remote_message == "phoneNumber of *** *** is odd"
    assert of_nobody_knows_whom.value.remote_message == ""


@pytest.mark.security(7)
@pytest.mark.parametrize("call", ["get", "block", "unblock", "delete"])
def test_a_refusal_of_a_call_that_says_nothing_of_a_person_is_kept_without_its_words(
    client: Customers, wire: responses.RequestsMock, call: str
) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        for path in ("cus_1", f"cus_1/{call}"):
            wire.add(method, f"{LIST}/{path}", status=400, body=said("Ada Canaryname is archived"))
    wire.assert_all_requests_are_fired = False

    with pytest.raises(errors.Rejected) as caught:
        getattr(client, call)("cus_1")

    assert caught.value.remote_message == ""


def test_a_name_that_sounds_like_a_key_does_not_close_the_account(
    client: Customers, wire: responses.RequestsMock
) -> None:
    wire.add("POST", LIST, status=400, body=said("Customer Bearer cannot have this address"))

    with pytest.raises(errors.Rejected):
        client.create(CustomerData(email_address=EMAIL, last_name="Bearer"), reference=REFERENCE)


# Echoes


def test_get_compares_the_email_when_it_is_given(client: Customers, wire: responses.RequestsMock) -> None:
    wire.add("GET", ONE, body=as_json(customer()))

    assert client.get("cus_1", email=EMAIL).customer.email_address == EMAIL
    with pytest.raises(errors.Mismatch):
        client.get("cus_1", email="other@example.org")


def test_an_unknown_organization_is_not_compared(connect: Connect, wire: responses.RequestsMock) -> None:
    wire.add("GET", ONE, body=as_json(customer(organization_id="org_other")))

    answer = Customers(connect(BASE), livemode=False).get("cus_1")

    assert answer.customer.organization_id == "org_other"


@pytest.mark.parametrize(
    "shown", [{"id": "cus_1", "emailAddress": EMAIL}, {"id": "cus_1", "clientReferenceId": REFERENCE}]
)
def test_a_created_customer_is_believed_when_it_shows_one_of_the_two(
    client: Customers, wire: responses.RequestsMock, shown: dict[str, str]
) -> None:
    wire.add("POST", LIST, body=as_json(shown), status=201)

    assert client.create(DATA, reference=REFERENCE).customer.kohort_id == "cus_1"


def test_a_created_customer_that_shows_neither_is_not_believed(
    client: Customers, wire: responses.RequestsMock
) -> None:
    wire.add("POST", LIST, body=as_json({"id": "cus_1", "firstName": "Ada"}), status=201)

    with pytest.raises(errors.Unreadable):
        client.create(DATA, reference=REFERENCE)


def test_an_answer_about_another_id_is_not_believed(client: Customers, wire: responses.RequestsMock) -> None:
    wire.add("GET", ONE, body=as_json(customer(id="cus_2")))

    with pytest.raises(errors.Mismatch) as caught:
        client.get("cus_1")

    assert caught.value.what == "id"


# Looking up


def found(*rows: dict[str, object], count: object = None) -> bytes:
    return as_json({"data": list(rows), "count": len(rows) if count is None else count})


def test_a_look_up_asks_for_the_reference(client: Customers, wire: responses.RequestsMock) -> None:
    wire.add("GET", LIST, body=found(customer()))

    assert [c.kohort_id for c in client.find(reference=REFERENCE)] == ["cus_1"]
    assert wire.calls[0].request.url == f"{LIST}?take=25&search=clientReferenceId%3A{REFERENCE}"


@pytest.mark.failure(53)
def test_a_look_up_believes_exact_rows_only(client: Customers, wire: responses.RequestsMock) -> None:
    strangers = [
        customer(id="cus_2", client_reference_id=REFERENCE.upper()),
        customer(id="cus_3", client_reference_id=REFERENCE + " "),
        customer(id="cus_4", client_reference_id=None),
        customer(id="../5", client_reference_id="odd", livemode="odd"),
        customer(id="cus_6", livemode=True),
        customer(id="cus_7", organization_id="org_2"),
    ]
    ours = [customer(), customer(id="cus_8", deleted_at="2026-01-02T03:04:05.678Z")]
    wire.add("GET", LIST, body=found(*strangers, *ours, count=5000))

    rows = client.find(reference=REFERENCE)

    assert [c.kohort_id for c in rows] == ["cus_1", "cus_8"]
    assert rows[1].deleted_at == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert len(wire.calls) == 1


def test_a_reference_in_another_mode_is_not_nobody(client: Customers, wire: responses.RequestsMock) -> None:
    wire.add("GET", LIST, body=found(customer(livemode=True)))

    with pytest.raises(errors.Mismatch) as caught:
        client.find(reference=REFERENCE)

    assert caught.value.what == "livemode"


@pytest.mark.parametrize("reference", ["", "a b", "user:42", "a" * 51, "é", "a,b", "a%41", "a\n", "a/../b"])
def test_a_reference_that_cannot_be_searched_is_refused(
    client: Customers, wire: responses.RequestsMock, reference: str
) -> None:
    for call in (lambda: client.find(reference=reference), lambda: client.create(DATA, reference=reference)):
        with pytest.raises(ValueError, match="REFERENCE"):
            call()
    assert not wire.calls


def test_an_email_is_searched_encoded_twice_and_compared_byte_for_byte(
    client: Customers, wire: responses.RequestsMock
) -> None:
    wire.add(
        "GET",
        LIST,
        body=found(
            documented(id="cus_2", email_address="Ada+x@exämple.org"),
            documented(email_address="ada+x@exämple.org"),
        ),
    )

    rows = client.find_by_email(email="ada+x@exämple.org")

    assert [c.kohort_id for c in rows] == ["cus_1"]
    value = "ada%252Bx%2540ex%25C3%25A4mple.org"
    expected = f"emailAddress%3E%3D%22{value}%22%20AND%20emailAddress%3C%3D%22{value}%22"
    assert wire.calls[0].request.url == f"{LIST}?take=25&search={expected}"


@pytest.mark.failure(53)
@pytest.mark.parametrize(
    "email",
    [
        *("", "a,b@x.org", "a AND b@x.org", "a OR b@x.org", "a>=b@x.org", "a<=b@x.org", '"a"@x.org'),
        *("a'b@x.org", "a=b@x.org", "a!b@x.org", "a~b@x.org", "a:b@x.org", "a%b@x.org", "a\0@x.org"),
        *("a\\b@x.org", "\ud800@x.org"),
    ],
)
def test_an_email_that_could_be_misread_is_not_searched(
    client: Customers, wire: responses.RequestsMock, email: str
) -> None:
    with pytest.raises(ValueError, match="e-mail address") as caught:
        client.find_by_email(email=email)

    assert "x.org" not in str(caught.value)
    assert not wire.calls


# Pages


def test_a_page_is_asked_for_by_key(client: Customers, wire: responses.RequestsMock) -> None:
    wire.add("GET", LIST, body=found(customer(), customer(id="cus_2"), count=900))

    page = client.page(take=2, search=api.encoded_search('id>"cus_0"'))

    assert ([c.kohort_id for c in page.customers], page.count) == (["cus_1", "cus_2"], 900)
    assert wire.calls[0].request.url == f"{LIST}?take=2&skip=0&orderBy=id:asc&search=id%3E%22cus_0%22"


@pytest.mark.parametrize("count", ["5", -1, True, 1.5, [], None])
def test_a_page_needs_a_count(client: Customers, wire: responses.RequestsMock, count: object) -> None:
    wire.add("GET", LIST, body=as_json({"data": [], "count": count}))

    with pytest.raises(errors.Unreadable):
        client.page()


@pytest.mark.parametrize(
    "arguments",
    [
        {"take": 0},
        {"take": 26},
        {"skip": -1},
        {"order_by": "id"},
        {"order_by": "id:asc&x=y"},
        {"search": "a&b"},
        {"search": "id>1"},
        {"search": "a b"},
        {"search": "é"},
    ],
)
def test_a_page_that_the_service_would_misread_is_refused(
    client: Customers, wire: responses.RequestsMock, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"page|search"):
        client.page(**arguments)
    assert not wire.calls


# Identifiers and changes


@pytest.mark.security(16)
@pytest.mark.parametrize(
    "kohort_id", ["", "..", "../api-keys", "a/b", "a?b", "a#b", "a%2fb", "a\n", "é", "x" * 65]
)
def test_an_id_cannot_leave_its_place_in_the_path(
    client: Customers, wire: responses.RequestsMock, kohort_id: str
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.get(kohort_id),
        lambda: client.update(kohort_id, {}, reference=None, email=None),
        lambda: client.block(kohort_id),
        lambda: client.unblock(kohort_id),
        lambda: client.delete(kohort_id),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="not the id"):
            call()
    assert not wire.calls


@pytest.mark.parametrize("field", ["emailAddress", "locale"])
def test_a_null_that_is_a_500_is_not_sent(
    client: Customers, wire: responses.RequestsMock, field: str
) -> None:
    with pytest.raises(ValueError, match=field):
        client.update("cus_1", {field: None}, reference=None, email=None)
    assert not wire.calls


def test_changes_are_sent_as_they_are_with_nulls(client: Customers, wire: responses.RequestsMock) -> None:
    wire.add("PATCH", ONE, body=as_json(customer()))

    client.update("cus_1", {"firstName": None, "phoneNumber": "+33"}, reference=REFERENCE, email=EMAIL)

    assert json.loads(wire.calls[0].request.body or b"") == {"firstName": None, "phoneNumber": "+33"}


# Data


def test_a_payload_has_the_documented_names_and_leaves_out_what_is_none() -> None:
    data = CustomerData(
        email_address=EMAIL,
        first_name="",
        address={"street": "1 rue X", "postal_code": "75001", "postalCode2": "kept"},
        shipping_address={"address_line1": "a", "address_line_2": "b", "companyName": "c", "vat_number": "d"}
        | {"registration_number": "e", "country": "FR"},
        metadata={"user_id": 5, "first_name": "never renamed"},
        locale="fr_FR",
    )

    assert data.payload() == {
        "emailAddress": EMAIL,
        "firstName": "",
        "address": {"street": "1 rue X", "postalCode": "75001", "postalCode2": "kept"},
        "shippingAddress": {
            "addressLine1": "a",
            "addressLine2": "b",
            "companyName": "c",
            "vatNumber": "d",
            "registrationNumber": "e",
            "country": "FR",
        },
        "metadata": {"user_id": 5, "first_name": "never renamed"},
        "locale": "fr_FR",
    }


def test_a_create_sends_the_payload_and_the_reference(
    client: Customers, wire: responses.RequestsMock
) -> None:
    wire.add("POST", LIST, body=as_json(customer()), status=201)

    client.create(DATA, reference=REFERENCE)

    assert json.loads(wire.calls[0].request.body or b"") == DATA.payload() | {"clientReferenceId": REFERENCE}


@pytest.mark.security(8)
def test_nothing_prints_a_person() -> None:
    printed = f"{DATA!r}{DATA}{RemoteCustomer.parse(customer())!r}{refusals.Question(email=EMAIL)!r}"
    printed += repr(records.Answer(RemoteCustomer.parse(customer()), 200, 1))

    assert EMAIL not in printed
    assert "Canaryname" not in printed


# Parsing


@pytest.mark.failure(45)
def test_every_field_is_read_in_both_spellings() -> None:
    values: dict[str, object] = {
        name: f"x_{name}" for name in CAMEL if name not in ("address", "shipping_address")
    } | {"livemode": True, "is_blocked": True, "metadata": {"first_name": "kept"}}
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    values |= {name: "2026-01-02T03:04:05.678Z" for name in values if name.endswith("_at")}

    snake = RemoteCustomer.parse(values | {"id": "cus_1", "unknown": 1})
    camel = RemoteCustomer.parse({CAMEL[name]: value for name, value in values.items()} | {"id": "cus_1"})

    assert snake == camel
    assert {f.name for f in fields(snake)} == {"kohort_id", *values}
    for name, value in values.items():
        assert getattr(snake, name) == (moment if name.endswith("_at") else value)


def test_every_name_that_the_service_shows_is_known() -> None:
    assert set(answers.DOCUMENTED_KEYS) <= {"id", *CAMEL.values()}
    assert set(answers.SEEN_KEYS) <= {"id", *CAMEL}


def test_an_id_is_enough() -> None:
    parsed = RemoteCustomer.parse({"id": "cus_1"})

    assert [getattr(parsed, f.name) for f in fields(parsed)][1:] == [None] * (len(fields(parsed)) - 1)


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *itertools.product(["email_address", "client_reference_id", "organization_id"], [5, True, [], {}]),
        *itertools.product(["livemode", "is_blocked"], ["true", 0, 1, [], {}]),
        *itertools.product(
            ["deleted_at", "blocked_at"], ["", "soon", 5, False, {}, "0001-01-01T00:00:00+14:00"]
        ),
        *itertools.product(["id"], [None, 5, "", "a b", "../x", "x" * 65, "cus_1\n", {}, True]),
    ],
)
def test_a_field_that_decides_may_not_be_of_a_wrong_type(field: str, value: object) -> None:
    with pytest.raises(errors.Unreadable):
        RemoteCustomer.parse(customer(**{field: value}))


@pytest.mark.failure(45)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_name", 5),
        ("phone_number", ["+33"]),
        ("metadata", "text"),
        ("created_at", "yesterday"),
        ("updated_at", 5),
        ("updated_at", "0001-01-01T00:00:00+14:00"),
        ("created_by", {}),
    ],
)
def test_any_other_field_of_a_wrong_type_counts_as_absent(field: str, value: object) -> None:
    assert getattr(RemoteCustomer.parse(customer(**{field: value})), field) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05.678Z", datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_are_aware_and_in_utc(text: str, expected: datetime) -> None:
    assert RemoteCustomer.parse(customer(deleted_at=text)).deleted_at == expected


def test_text_that_no_database_stores_is_replaced(client: Customers, wire: responses.RequestsMock) -> None:
    body = as_json(customer(first_name="a\0b\ud800c", metadata={"k\0": ["\ud800"]}))
    wire.add("GET", ONE, body=body)

    answer = client.get("cus_1")

    assert answer.customer.first_name == "a\ufffdb?c"
    assert answer.customer.metadata == {"k\ufffd": ["?"]}
