from datetime import UTC, datetime

import pytest

from kohort_sync.testing.service import (
    DEFAULT_LIVE_KEY,
    DEFAULT_ORGANIZATION,
    DEFAULT_TEST_KEY,
    LOG_SIZE,
    Service,
)
from kohort_sync.testing.store import EmailTakenError
from kohort_sync.testing.wire import Request
from tests.testing.conftest import Client

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def test_the_snapshot_holds_every_mode_and_deleted_rows_and_is_the_callers_own(service: Service) -> None:
    service.add_customer(email="a@example.com", reference="r", metadata={"n": {"m": 1}})
    gone = service.add_customer(email="a@example.com", livemode=True)
    service.soft_delete(gone)

    service.snapshot()[0]["metadata"]["n"]["m"] = 2

    first, second = service.snapshot()
    assert (first["client_reference_id"], first["livemode"], first["metadata"]) == (
        "r",
        False,
        {"n": {"m": 1}},
    )
    assert (second["id"], second["livemode"], second["organization_id"]) == (gone, True, DEFAULT_ORGANIZATION)
    assert second["deleted_at"] is not None


def test_hands_behind_the_back_are_seen_by_the_client(client: Client) -> None:
    customer_id = client.post().json()["id"]

    client.service.block(customer_id)
    client.service.change(customer_id, first_name="Ada", email_address="b@example.com")
    client.service.soft_delete(customer_id)
    missing = client.call("GET", f"/customers/{customer_id}").status_code
    client.service.restore(customer_id)

    shown = client.call("GET", f"/customers/{customer_id}").json()
    assert missing == 404
    assert (shown["is_blocked"], shown["first_name"], shown["email_address"]) == (
        True,
        "Ada",
        "b@example.com",
    )


def test_hands_behind_the_back_keep_the_constraint(service: Service) -> None:
    service.add_customer(email="a@example.com")
    other = service.add_customer(email="b@example.com")

    with pytest.raises(EmailTakenError):
        service.add_customer(email="a@example.com")
    with pytest.raises(EmailTakenError):
        service.change(other, email_address="a@example.com")
    with pytest.raises(KeyError):
        service.change("cus_missing", first_name="x")

    assert [row["email_address"] for row in service.snapshot()] == ["a@example.com", "b@example.com"]


def test_the_log_tells_what_was_committed_and_nobodys_address(client: Client) -> None:
    made = client.call(
        "POST", "/customers", json={"emailAddress": "ada@example.com", "clientReferenceId": "r"}
    ).json()
    client.call("GET", "/customers", params={"search": "emailAddress:ada@example.com"})

    created, listed = client.service.log
    assert (created.method, created.path, created.status) == ("POST", "/customers", 201)
    assert (created.reference, created.customer_id, created.fault) == ("r", made["id"], None)
    assert (listed.path, listed.customer_id) == ("/customers", None)
    assert "ada" not in str(client.service.log)
    assert client.service.log.maxlen == LOG_SIZE


def test_a_seed_and_a_clock_make_ids_and_times_repeat() -> None:
    def made() -> dict[str, object]:
        service = Service(seed=7, clock=lambda: NOON)
        service.add_customer(email="a@example.com")
        return service.snapshot()[0]

    assert made() == made()
    assert str(made()["id"]).startswith("cus_")
    assert made()["created_at"] == NOON.replace(microsecond=123_000)


def test_a_key_may_be_revoked_while_it_runs(client: Client) -> None:
    del client.service.keys[DEFAULT_TEST_KEY]

    assert client.post().status_code == 401
    assert set(client.service.keys) == {DEFAULT_LIVE_KEY}


@pytest.mark.parametrize("body", [b"{", b"nonsense", b'{"n": NaN}', b"\xff\xfe"])
def test_a_body_that_is_no_json_is_400(service: Service, body: bytes) -> None:
    request = Request("POST", "/customers", {"content-type": "application/json"}, body)

    assert service.handle(request).status == 400


@pytest.mark.parametrize("body", [b"[]", b"", b" ", b"\xef\xbb\xbf{}"])
def test_a_body_without_fields_is_an_empty_one(service: Service, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {DEFAULT_TEST_KEY}"}

    answer = service.handle(Request("POST", "/customers", headers, body))

    assert (answer.status, b"emailAddress must be an email" in answer.body) == (400, True)


def test_a_body_of_100_000_brackets_is_500_and_no_crash(service: Service) -> None:
    body = b'{"metadata":' + b"[" * 50_000 + b"]" * 50_000 + b"}"

    assert (
        service.handle(Request("POST", "/customers", {"Content-Type": "application/json"}, body)).status
        == 500
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/customers"), ("GET", "/"), ("GET", "/orders"), ("POST", "/customers/x/block")],
)
def test_a_call_that_does_not_exist_is_404(service: Service, method: str, path: str) -> None:
    answer = service.handle(Request(method, path))

    assert (answer.status, f"Cannot {method} {path}".encode() in answer.body) == (404, True)
