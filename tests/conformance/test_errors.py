import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
import requests

from kohort_sync.testing.faults import Fault
from tests.conformance.lines import pins
from tests.conformance.target import Sandbox, Target, error, unique

Result = TypeVar("Result")


@pins("error-shape", "error-list")
def test_validation_tells_all_faults_at_once_in_camel_case(target: Target) -> None:
    response = target.post({"email_address": "x", "first_name": 1, "phone_number": [], "metadata": "x"})

    told = error(response)
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
    assert set(told) <= {"type", "message", "code"}
    assert told["type"] == "invalid_request_error"
    assert [message.split()[0] for message in told["message"]] == [
        "emailAddress",
        "firstName",
        "phoneNumber",
        "metadata",
    ]


@pins("error-shape")
def test_the_service_own_faults_are_api_errors(target: Target) -> None:
    response = target.list(skip=-1)

    assert response.status_code == 500
    assert error(response)["type"] == "api_error"
    assert isinstance(error(response)["message"], str)


@pins("reference-taken", "reference-check")
def test_a_taken_reference_is_400_and_says_so(target: Target) -> None:
    token = unique()
    target.made(clientReferenceId=token)

    response = target.post({"emailAddress": f"{unique()}@example.com", "clientReferenceId": token})

    assert response.status_code == 400
    assert error(response)["message"] == f"Customer with client reference id {token} already exists."


@pins("reference-check")
def test_a_patch_may_take_a_reference_that_is_taken(target: Target) -> None:
    token = unique()
    target.made(clientReferenceId=token)
    other = target.made(clientReferenceId=unique())

    response = target.patch(other["id"], {"clientReferenceId": token})

    assert (response.status_code, response.json()["client_reference_id"]) == (200, token)
    assert target.search(f"clientReferenceId:{token}")["count"] == 2


@pins("reference-check")
def test_the_reference_of_a_soft_deleted_customer_is_free(sandbox: Sandbox) -> None:
    token = unique()
    made = sandbox.made(clientReferenceId=token)
    sandbox.service.soft_delete(made["id"])

    assert sandbox.made(clientReferenceId=token)["id"] != made["id"]


@pins("email-taken", "email-constraint")
def test_a_taken_address_is_409_on_post_and_on_patch(target: Target) -> None:
    first, second = target.made(), target.made()

    posted = target.post({"emailAddress": first["email_address"]})
    patched = target.patch(second["id"], {"emailAddress": first["email_address"]})

    assert (posted.status_code, patched.status_code) == (409, 409)
    assert target.get(second["id"]).json()["email_address"] == second["email_address"]


@pins("email-taken", "email-constraint")
def test_the_address_of_a_soft_deleted_customer_is_taken(sandbox: Sandbox) -> None:
    made = sandbox.made()
    sandbox.service.soft_delete(made["id"])

    response = sandbox.post({"emailAddress": made["email_address"]})

    assert response.status_code == 409
    assert sandbox.search(f"emailAddress:{made['email_address']}")["count"] == 0


@pins("both-taken")
def test_when_both_are_taken_the_reference_comes_first(target: Target) -> None:
    made = target.made(clientReferenceId=unique())
    fields = {"emailAddress": made["email_address"], "clientReferenceId": made["client_reference_id"]}

    assert target.post(fields).status_code == 400


@pins("reference-race")
def test_parallel_posts_of_one_reference_make_several_customers(sandbox: Sandbox) -> None:
    token = unique()
    sandbox.service.check_gap = 0.05
    try:
        made = at_once(6, lambda: sandbox.made(clientReferenceId=token)["id"])
    finally:
        sandbox.service.check_gap = 0.0

    assert len(set(made)) == 6
    assert sandbox.search(f"clientReferenceId:{token}")["count"] == 6


@pins("email-constraint")
def test_parallel_posts_of_one_address_make_one_customer(target: Target) -> None:
    fields = {"emailAddress": f"{unique()}@example.com"}

    statuses = at_once(6, lambda: target.post(fields).status_code)

    assert sorted(statuses) == [201, *[409] * 5]


@pins("abandoned")
def test_a_post_that_its_client_gave_up_still_makes_its_customer(sandbox: Sandbox) -> None:
    token = unique()
    address = f"{token}@example.com"
    sandbox.service.faults.add(Fault("delay", seconds=0.2, email=address))

    with pytest.raises(requests.ReadTimeout):
        sandbox.post({"emailAddress": address, "clientReferenceId": token}, timeout=0.05)
    before = sandbox.search(f"clientReferenceId:{token}")["count"]
    time.sleep(0.3)

    assert (before, sandbox.search(f"clientReferenceId:{token}")["count"]) == (0, 1)


def at_once(times: int, act: Callable[[], Result]) -> list[Result]:
    """Act from so many threads, all released at the same moment."""
    gate = threading.Barrier(times)

    def wait_and_act() -> Result:
        gate.wait()
        return act()

    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(wait_and_act) for _ in range(times)]]
