import pytest

from kohort_sync.testing.service import DEFAULT_LIVE_KEY
from tests.conformance.lines import pins
from tests.conformance.target import ORPHAN_KEY, OTHER_TEST_KEY, Sandbox, Target, error, unique

DUMMY = "sk_test_nobodyholdsthiskey000000"


@pins("scheme")
@pytest.mark.parametrize("sent", [f"Basic {DUMMY}", f"bearer {DUMMY}", DUMMY])
def test_another_scheme_is_refused_with_a_message_that_repeats_the_key(target: Target, sent: str) -> None:
    response = target.call("GET", "/customers", headers={"Authorization": sent})

    assert response.status_code == 400
    assert DUMMY in error(response)["message"]


@pins("key-format")
def test_a_malformed_key_is_400(target: Target) -> None:
    response = target.call("GET", "/customers", headers={"Authorization": "Bearer not-a-key"})

    assert response.status_code == 400


@pins("key-unknown")
@pytest.mark.parametrize("sent", [None, f"Bearer {DUMMY}"])
def test_a_missing_or_unknown_key_is_401(target: Target, sent: str | None) -> None:
    response = target.call("GET", "/customers", headers={"Authorization": sent})

    assert response.status_code == 401
    assert error(response)["type"] == "invalid_request_error"


@pins("key-organization")
def test_a_key_without_its_organization_is_404(sandbox: Sandbox) -> None:
    response = sandbox.with_key(ORPHAN_KEY).list()

    assert response.status_code == 404
    assert error(response)["message"] == "Organization not found"


@pins("mode")
def test_the_mode_is_that_of_the_key_whatever_the_body_says(target: Target) -> None:
    live = target.key.startswith("sk_live_")

    made = target.made(livemode=not live)

    assert made["livemode"] is live


@pins("mode", "get", "reference-check", "email-constraint")
@pytest.mark.parametrize("key", [DEFAULT_LIVE_KEY, OTHER_TEST_KEY])
def test_each_mode_and_each_organization_is_a_world_of_its_own(sandbox: Sandbox, key: str) -> None:
    token = unique()
    fields = {"emailAddress": f"{token}@example.com", "clientReferenceId": token}
    made = sandbox.made(**fields)
    other = sandbox.with_key(key)

    second = other.made(**fields)

    assert second["id"] != made["id"]
    assert other.get(made["id"]).status_code == 404
    assert other.patch(made["id"], {}).status_code == 404
    assert [row["id"] for row in other.search(f"clientReferenceId:{token}")["data"]] == [second["id"]]
