import re

from kohort_sync.testing.answers import SEEN_KEYS
from tests.conformance.lines import pins
from tests.conformance.target import Sandbox, Target, unique

TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")


@pins("keys-of-answers")
def test_every_answer_has_the_same_eighteen_keys(target: Target) -> None:
    made = target.made(clientReferenceId=unique())

    others = [target.get(made["id"]).json(), target.patch(made["id"], {}).json()]

    assert len(SEEN_KEYS) == 18
    assert {"client_reference_id", "locale"} < set(SEEN_KEYS)
    assert not {"address_id", "shipping_address_id"} & set(SEEN_KEYS)
    assert [set(answer) for answer in (made, *others)] == [set(SEEN_KEYS)] * 3


@pins("times", "ids")
def test_times_have_milliseconds_and_a_z_and_ids_their_prefix(target: Target) -> None:
    made = target.made()

    assert TIME.fullmatch(made["created_at"])
    assert TIME.fullmatch(made["updated_at"])
    assert re.fullmatch(r"cus_\w+", made["id"])


@pins("updated-at")
def test_updated_at_moves_on_an_empty_patch(target: Target) -> None:
    made = target.made()

    changed = target.patch(made["id"], {}).json()

    assert changed["updated_at"] > made["updated_at"]
    assert changed["created_at"] == made["created_at"]


@pins("blocked-at")
def test_blocking_again_moves_blocked_at(target: Target) -> None:
    made = target.made()

    first, second = (target.call("PATCH", f"/customers/{made['id']}/block").json() for _ in range(2))

    assert second["blocked_at"] > first["blocked_at"]


@pins("deleted-answers", "get")
def test_a_soft_deleted_customer_still_answers_to_patch_and_block(sandbox: Sandbox) -> None:
    made = sandbox.made()
    sandbox.service.soft_delete(made["id"])

    answers = [sandbox.patch(made["id"], {}), sandbox.call("PATCH", f"/customers/{made['id']}/block")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(TIME.fullmatch(answer.json()["deleted_at"]) for answer in answers)
    assert sandbox.get(made["id"]).status_code == 404
    assert sandbox.call("DELETE", f"/customers/{made['id']}").status_code == 400


@pins("own-changes")
def test_a_checkout_makes_a_customer_without_a_reference(sandbox: Sandbox) -> None:
    address = f"{unique()}@example.com"

    made = sandbox.get(sandbox.service.checkout(email=address, phone_number="+33 1")).json()

    assert (made["email_address"], made["client_reference_id"]) == (address, None)
    assert sandbox.post({"emailAddress": address}).status_code == 409


@pins("own-changes")
def test_a_checkout_restores_a_deleted_customer_and_overwrites_its_phone(sandbox: Sandbox) -> None:
    made = sandbox.made(phoneNumber="+33 1")
    sandbox.service.soft_delete(made["id"])

    sandbox.service.checkout(email=made["email_address"], phone_number="+33 2")

    now = sandbox.get(made["id"]).json()
    assert (now["deleted_at"], now["phone_number"]) == (None, "+33 2")
