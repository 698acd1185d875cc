from tests.conformance.lines import pins
from tests.conformance.target import Sandbox, Target, error, unique


@pins("create")
def test_a_customer_is_created_with_201(target: Target) -> None:
    token = unique()

    response = target.post({"emailAddress": f"{token}@example.com", "clientReferenceId": token})

    assert response.status_code == 201
    assert response.json()["email_address"] == f"{token}@example.com"
    assert response.json()["client_reference_id"] == token


@pins("list")
def test_customers_are_listed_with_200(target: Target) -> None:
    target.made()

    response = target.list(take=1)

    assert response.status_code == 200
    assert set(response.json()) == {"data", "count"}
    assert len(response.json()["data"]) == 1


@pins("get")
def test_one_customer_is_read_with_200(target: Target) -> None:
    made = target.made()

    response = target.get(made["id"])

    assert response.status_code == 200
    assert response.json() == made


@pins("get", "not-found")
def test_a_customer_that_is_missing_is_404(target: Target) -> None:
    response = target.get("cus_missing")

    assert response.status_code == 404
    assert error(response)["message"] == "Customer with id cus_missing not found"


@pins("get")
def test_a_soft_deleted_customer_is_404(sandbox: Sandbox) -> None:
    made = sandbox.made()

    sandbox.service.soft_delete(made["id"])

    assert sandbox.get(made["id"]).status_code == 404


@pins("patch")
def test_a_customer_is_changed_with_200_and_keeps_what_was_not_sent(target: Target) -> None:
    made = target.made(firstName="Ada", lastName="King")

    response = target.patch(made["id"], {"lastName": None})

    assert response.status_code == 200
    assert (response.json()["first_name"], response.json()["last_name"]) == ("Ada", None)
    assert target.get(made["id"]).json() == response.json()


@pins("block")
def test_a_customer_is_blocked_and_unblocked_with_200_and_without_a_body(target: Target) -> None:
    made = target.made()

    blocked = target.call("PATCH", f"/customers/{made['id']}/block")
    unblocked = target.call("PATCH", f"/customers/{made['id']}/unblock", json={})

    assert (blocked.status_code, blocked.json()["is_blocked"]) == (200, True)
    assert blocked.json()["blocked_at"] is not None
    assert (unblocked.status_code, unblocked.json()["is_blocked"]) == (200, False)
    assert unblocked.json()["blocked_at"] is None


@pins("delete")
def test_deletion_is_refused_and_the_customer_stays(target: Target) -> None:
    made = target.made()

    responses = [target.call("DELETE", f"/customers/{made['id']}") for _ in range(2)]

    assert [response.status_code for response in responses] == [400, 400]
    assert "already deleted" in error(responses[0])["message"]
    assert target.get(made["id"]).status_code == 200


@pins("not-found")
def test_writing_to_a_customer_that_is_missing_says_object_not_found(target: Target) -> None:
    calls = [("PATCH", ""), ("PATCH", "/block"), ("PATCH", "/unblock"), ("DELETE", "")]

    responses = [target.call(method, f"/customers/cus_missing{end}") for method, end in calls]

    assert {response.status_code for response in responses} == {404}
    assert {error(response)["message"] for response in responses} == {"Object not found"}


@pins("plain-protocol")
def test_an_idempotency_key_changes_nothing_and_no_header_helps(target: Target) -> None:
    fields = {"emailAddress": f"{unique()}@example.com"}
    key = {"Idempotency-Key": unique()}

    first, second = target.post(fields, headers=key), target.post(fields, headers=key)

    assert (first.status_code, second.status_code) == (201, 409)
    names = {name.lower() for name in first.headers}
    assert not {name for name in names if "ratelimit" in name or "request-id" in name}
