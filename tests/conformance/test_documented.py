"""Pin the dialect of the public reference: `POST /customers` as its page shows it, and the success codes of
the other pages.
"""

from collections.abc import Iterator

import pytest
import requests

from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import Service
from tests.conformance.conftest import SIMULATED
from tests.conformance.target import Sandbox, error, unique

ADDRESS = {
    "street": "123 Main St",
    "city": "Springfield",
    "state": "IL",
    "postalCode": "62701",
    "country": "US",
}
EXAMPLE = {
    "firstName": "John",
    "lastName": "Doe",
    "phoneNumber": "+1 555 555 5555",
    "address": ADDRESS,
    "shippingAddress": {"addressLine1": "Avenue des Champs-Élysées", "city": "Paris"},
    "metadata": {"order_id": "ord_1JYLo8KerLxWZaQtys6ZQ1xS"},
    "locale": "fr_FR",
    "clientReferenceId": "myclientid-1234",
}
KEYS = [
    "id",
    "emailAddress",
    "firstName",
    "lastName",
    "phoneNumber",
    "livemode",
    "isBlocked",
    "organizationId",
    "addressId",
    "shippingAddressId",
    "metadata",
    "createdAt",
    "createdBy",
    "updatedAt",
    "blockedAt",
    "blockedBy",
    "updatedBy",
    "deletedAt",
]


@pytest.fixture(params=SIMULATED)
def documented(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    service = Service(dialect="documented")
    with requests.Session() as session:
        session.trust_env = False
        if request.param == "in_process":
            session.mount("https://", ServiceAdapter(service))
            yield Sandbox(url="https://api.kohortpay.com", session=session, service=service)
            return
        with SandboxServer(service) as server:
            yield Sandbox(url=server.url, session=session, service=service)


def test_the_example_of_the_reference_is_created_with_201_and_the_18_documented_keys(
    documented: Sandbox,
) -> None:
    response = documented.post({"emailAddress": "john@example.com", **EXAMPLE})

    customer = response.json()
    assert response.status_code == 201
    assert list(customer) == KEYS
    assert {name: customer[name] for name in ("firstName", "lastName", "phoneNumber", "metadata")} == {
        name: EXAMPLE[name] for name in ("firstName", "lastName", "phoneNumber", "metadata")
    }
    assert customer["addressId"].startswith("adr_")
    assert customer["shippingAddressId"].startswith("adr_")
    assert (customer["livemode"], customer["isBlocked"], customer["deletedAt"]) == (False, False, None)


def test_only_the_address_is_required(documented: Sandbox) -> None:
    assert documented.made()["addressId"] is None
    assert error(documented.post({"firstName": "John"}))["message"] == ["emailAddress must be an email"]


@pytest.mark.parametrize("fields", [{"locale": "en_GB"}, {"address": "Paris"}, {"clientReferenceId": 1}])
def test_what_the_reference_does_not_allow_is_refused(documented: Sandbox, fields: dict[str, object]) -> None:
    assert documented.post({"emailAddress": "a@example.com", **fields}).status_code == 400


def test_a_reference_is_unique_though_no_answer_shows_it(documented: Sandbox) -> None:
    token = unique()
    made = documented.made(clientReferenceId=token)

    second = documented.post({"emailAddress": "b@example.com", "clientReferenceId": token})
    found = documented.search(f"clientReferenceId:{token}")

    assert second.status_code == 400
    assert [row["id"] for row in found["data"]] == [made["id"]]
    assert token not in str(found)


def test_updates_and_blocks_answer_201(documented: Sandbox) -> None:
    made = documented.made(address=ADDRESS)

    changed = documented.patch(made["id"], {"firstName": "Jane", "address": None})
    blocked = documented.call("PATCH", f"/customers/{made['id']}/block")
    unblocked = documented.call("PATCH", f"/customers/{made['id']}/unblock")

    assert [answer.status_code for answer in (changed, blocked, unblocked)] == [201, 201, 201]
    assert (changed.json()["firstName"], changed.json()["addressId"]) == ("Jane", None)
    assert [answer.json()["isBlocked"] for answer in (blocked, unblocked)] == [True, False]


def test_a_customer_is_deleted_with_201_and_gone_until_it_is_restored(documented: Sandbox) -> None:
    made = documented.made()

    deleted = documented.call("DELETE", f"/customers/{made['id']}")
    gone = documented.get(made["id"]).status_code
    restored = documented.patch(made["id"], {"deletedAt": None})

    assert (deleted.status_code, gone, restored.status_code) == (201, 404, 201)
    assert deleted.json()["deletedAt"] is not None
    assert documented.get(made["id"]).json()["deletedAt"] is None


def test_a_date_for_the_deletion_deletes(documented: Sandbox) -> None:
    made = documented.made()

    answer = documented.patch(made["id"], {"deletedAt": "2021-07-22T00:00:00.000Z"})

    assert (answer.status_code, answer.json()["deletedAt"]) == (201, "2021-07-22T00:00:00.000Z")
    assert documented.get(made["id"]).status_code == 404
