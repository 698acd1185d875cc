from typing import Any

import pytest

from tests.conformance.lines import pins
from tests.conformance.target import JSON, Sandbox, Target, error, unique

LIMIT = 102_400


@pins("email-rules")
@pytest.mark.parametrize(
    "address",
    [
        "",
        "plain",
        "{}@localhost",
        "{}@[127.0.0.1]",
        "{}@127.0.0.1",
        "{}" + "x" * 60 + "@example.com",
        "{}@" + "x" * 60 + ".example" * 24 + ".com",
        " {}@example.com",
        "{}@example.com ",
        "{}..y@example.com",
        "{}@-example.com",
        "{}@example.c",
        None,
        7,
        ["{}@example.com"],
    ],
)
def test_an_address_that_is_none_is_refused(target: Target, address: Any) -> None:
    sent = address.format(unique()) if isinstance(address, str) else address

    response = target.post({"emailAddress": sent})

    assert response.status_code == 400
    assert any("emailAddress" in message for message in error(response)["message"])


@pins("email-rules", "email-exact")
@pytest.mark.parametrize(
    "address",
    [
        "MiXed.{}@Example.COM",
        "{}+tag@example.com",
        "o'{}@example.com",
        "{}" + "x" * 47 + "@example.com",  # 64 bytes before the @
        "é{}@example.com",
    ],
)
def test_an_address_is_kept_byte_for_byte(target: Target, address: str) -> None:
    sent = address.format(unique())

    made = target.made(emailAddress=sent)

    assert made["email_address"] == sent


@pins("email-exact", "email-constraint")
def test_two_spellings_of_an_address_are_two_customers(target: Target) -> None:
    token = unique()

    made = [target.made(emailAddress=f"{name}@example.com") for name in (token, token.upper())]

    assert made[0]["id"] != made[1]["id"]


@pins("disposable")
def test_a_disposable_domain_is_refused(sandbox: Sandbox) -> None:
    sandbox.service.disposable_domains = {"throwaway.example.org"}
    try:
        response = sandbox.post({"emailAddress": f"{unique()}@throwaway.example.org"})
    finally:
        sandbox.service.disposable_domains = ()

    assert response.status_code == 400


@pins("disposable")
def test_without_the_list_of_disposable_domains_every_address_sent_is_500(sandbox: Sandbox) -> None:
    made = sandbox.made()
    sandbox.service.disposable_domains = None
    try:
        posted = sandbox.post({"emailAddress": f"{unique()}@example.com"})
        patched = sandbox.patch(made["id"], {"emailAddress": made["email_address"]})
        without = sandbox.patch(made["id"], {"firstName": "Ada"})
    finally:
        sandbox.service.disposable_domains = ()

    assert (posted.status_code, patched.status_code, without.status_code) == (500, 500, 200)


@pins("names")
@pytest.mark.parametrize("name", ["", " ", "x" * 50_000, "Zoë 🦊", None])
def test_a_name_of_any_length_is_kept(target: Target, name: str | None) -> None:
    made = target.made(firstName=name, lastName=name)

    assert (made["first_name"], made["last_name"]) == (name, name)


@pins("phone")
def test_a_phone_number_is_not_checked(target: Target) -> None:
    assert target.made(phoneNumber="call me")["phone_number"] == "call me"


@pins("address")
def test_addresses_are_dropped(target: Target) -> None:
    made = target.made(address={"street": "1 Main St"}, shippingAddress={"addressLine1": "2 Main St"})

    assert not {name for name in made if "address" in name} - {"email_address"}


@pins("metadata")
def test_metadata_is_replaced_whole_and_its_keys_are_not_renamed(target: Target) -> None:
    made = target.made(metadata={"orderId": 1, "order_id": {"nestedKey": [True, None, 1.5]}})

    changed = target.patch(made["id"], {"metadata": {"other": "x"}}).json()

    assert made["metadata"] == {"orderId": 1, "order_id": {"nestedKey": [True, None, 1.5]}}
    assert changed["metadata"] == {"other": "x"}


@pins("numbers")
def test_a_number_beyond_two_to_the_53_loses_precision(target: Target) -> None:
    made = target.made(metadata={"exact": 2**53, "lost": 2**53 + 1, "long": 12345678901234567890})

    assert made["metadata"] == {"exact": 2**53, "lost": 2**53, "long": 12345678901234567000}


@pins("constructor", "unstorable", "locale")
@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"constructor": 1}},
        {"firstName": "a\0b"},
        {"metadata": {"key": "a\0b"}},
        {"firstName": "a\ud800b"},
        {"metadata": {"key": "\udfff"}},
        {"locale": None},
    ],
)
def test_what_breaks_the_service_is_500_on_post_and_on_patch(target: Target, fields: JSON) -> None:
    made = target.made()

    posted = target.post({"emailAddress": f"{unique()}@example.com", **fields})
    patched = target.patch(made["id"], fields)

    assert (posted.status_code, patched.status_code) == (500, 500)
    assert error(posted)["type"] == "api_error"


@pins("locale")
def test_the_locale_is_french_unless_told_otherwise(target: Target) -> None:
    told = [target.made(locale=locale)["locale"] for locale in ("en_US", "fr_FR", "en_GB")]

    assert target.made()["locale"] == "fr_FR"
    assert told == ["en_US", "fr_FR", "en_GB"]


@pins("locale", "reference-type", "error-list")
@pytest.mark.parametrize("fields", [{"locale": "de_DE"}, {"clientReferenceId": 42}])
def test_a_wrong_locale_or_a_number_for_a_reference_is_refused(target: Target, fields: JSON) -> None:
    response = target.post({"emailAddress": f"{unique()}@example.com", **fields})

    assert response.status_code == 400
    assert [message.split()[0] for message in error(response)["message"]] == list(fields)


@pins("deleted-at", "deleted-answers")
def test_null_for_the_deletion_restores_and_a_date_is_refused(sandbox: Sandbox) -> None:
    made = sandbox.made()
    sandbox.service.soft_delete(made["id"])

    dated = sandbox.patch(made["id"], {"deletedAt": "2030-01-01T00:00:00.000Z"})
    restored = sandbox.patch(made["id"], {"deletedAt": None})

    assert dated.status_code == 400
    assert (restored.status_code, restored.json()["deleted_at"]) == (200, None)
    assert sandbox.get(made["id"]).status_code == 200


@pins("unknown-fields")
def test_unknown_fields_are_dropped(target: Target) -> None:
    made = target.made(nickname="x", isBlocked=True, id="cus_mine")

    assert "nickname" not in made
    assert (made["is_blocked"], made["id"] == "cus_mine") == (False, False)


@pins("email-null")
def test_null_for_the_address_is_400_on_post_and_500_on_patch(target: Target) -> None:
    made = target.made()

    assert target.post({"emailAddress": None}).status_code == 400
    assert target.patch(made["id"], {"emailAddress": None}).status_code == 500


@pins("content-type")
@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_without_a_json_content_type_is_ignored(target: Target, content_type: str | None) -> None:
    made = target.made(firstName="Ada")
    headers = {"Content-Type": content_type}
    body = b'{"emailAddress": "someone@example.com", "firstName": "Eve"}'

    posted = target.call("POST", "/customers", data=body, headers=headers)
    patched = target.call("PATCH", f"/customers/{made['id']}", data=body, headers=headers)

    assert posted.status_code == 400
    assert any("emailAddress" in message for message in error(posted)["message"])
    assert (patched.status_code, patched.json()["first_name"]) == (200, "Ada")


@pins("spelling")
def test_snake_case_is_understood_too(target: Target) -> None:
    token = unique()

    response = target.post({"email_address": f"{token}@example.com", "client_reference_id": token})

    assert response.status_code == 201
    assert response.json()["client_reference_id"] == token


@pins("body-limit")
@pytest.mark.parametrize(("size", "status"), [(LIMIT, 201), (LIMIT + 1, 500)])
def test_a_body_above_the_limit_is_500(target: Target, size: int, status: int) -> None:
    start, end = f'{{"emailAddress": "{unique()}@example.com", "firstName": "'.encode(), b'"}'
    body = start + b"x" * (size - len(start) - len(end)) + end

    response = target.call(
        "POST", "/customers", data=body, headers={"Content-Type": "application/json; charset=utf-8"}
    )

    assert response.status_code == status
