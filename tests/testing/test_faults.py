import time
from email.utils import parsedate_to_datetime
from typing import get_args

import pytest
import requests

from kohort_sync.testing import faults
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault, Faults, Kind
from kohort_sync.testing.service import Service
from tests.testing.conftest import Client

EMAIL = "ada@example.com"


@pytest.mark.parametrize(("after_commit", "held"), [(False, []), (True, [EMAIL])])
def test_a_status_comes_before_or_after_the_commit(
    client: Client, *, after_commit: bool, held: list[str]
) -> None:
    client.service.faults.add(
        Fault("status", status=502, after_commit=after_commit, headers={"X-Why": "test"})
    )

    response = client.post()

    assert (response.status_code, response.headers["X-Why"]) == (502, "test")
    assert response.json()["error"] == {"type": "api_error", "message": "Bad Gateway", "code": "Bad Gateway"}
    assert client.emails == held


@pytest.mark.parametrize("kind", ["status", "html", "rate_limit"])
def test_the_log_names_the_reference_of_a_create_that_was_never_worked_on(client: Client, kind: Kind) -> None:
    client.service.faults.add(Fault(kind))

    client.call("POST", "/customers", json={"emailAddress": EMAIL, "clientReferenceId": "ref_1"})

    assert (client.service.log[-1].reference, client.service.log[-1].customer_id) == ("ref_1", None)


def test_a_status_may_carry_a_body_of_its_own(client: Client) -> None:
    client.service.faults.add(Fault("status", status=201, body='{"id": "cus_stranger"}'))

    assert client.post().json() == {"id": "cus_stranger"}


@pytest.mark.parametrize(("after_commit", "held"), [(False, []), (True, [EMAIL])])
def test_a_reset_comes_before_or_after_the_commit(
    client: Client, *, after_commit: bool, held: list[str]
) -> None:
    client.service.faults.add(Fault("reset", after_commit=after_commit))

    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        client.post()

    assert client.emails == held
    assert client.service.log[-1].delivery == "reset"


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_late_answer_is_a_read_timeout_and_the_work_is_done_all_the_same(
    client: Client, *, after_commit: bool
) -> None:
    client.service.faults.add(Fault("delay", seconds=0.3, after_commit=after_commit))

    began = time.monotonic()
    with pytest.raises(requests.ReadTimeout):
        client.post(timeout=(5, 0.1))
    waited, held = time.monotonic() - began, client.emails
    time.sleep(0.35)

    assert waited < 0.25
    assert held == ([EMAIL] if after_commit else [])
    assert client.emails == [EMAIL]


def test_an_answer_that_is_late_but_in_time_is_the_right_one(client: Client) -> None:
    client.service.faults.add(Fault("delay", seconds=0.05))

    assert client.post().status_code == 201


def test_a_timeout_is_kept_without_any_sleep_where_the_service_sleeps_in_name_only() -> None:
    service = Service(sleep=lambda _seconds: None)
    service.faults.add(Fault("delay", seconds=60))
    with requests.Session() as session:
        session.mount("https://", ServiceAdapter(service))

        with pytest.raises(requests.ReadTimeout):
            Client(service, session, "https://api.kohortpay.com").post(timeout=30)

    assert len(service.snapshot()) == 1


@pytest.mark.parametrize("kind", ["drip", "drip_headers"])
def test_a_dripping_answer_outlasts_a_timeout_that_counts_from_byte_to_byte(
    client: Client, kind: Kind
) -> None:
    client.service.faults.add(Fault(kind, seconds=0.3))

    began = time.monotonic()
    response = client.post(timeout=0.1)

    assert response.json()["email_address"] == EMAIL
    assert time.monotonic() - began > 0.25


def test_a_drop_that_takes_too_long_is_a_timeout_in_the_body(client: Client) -> None:
    client.service.faults.add(Fault("drip", seconds=100))

    response = client.post(timeout=0.1, stream=True)

    assert response.status_code == 201
    with pytest.raises(requests.ConnectionError, match="Read timed out"):
        _ = response.content


def test_a_truncated_answer_is_noticed_by_its_reader(client: Client) -> None:
    client.service.faults.add(Fault("truncated"))

    response = client.post(stream=True)

    assert response.status_code == 201
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        _ = response.content
    assert client.emails == [EMAIL]


@pytest.mark.parametrize(("after_commit", "held"), [(False, []), (True, [EMAIL])])
def test_a_router_answers_with_a_page(client: Client, *, after_commit: bool, held: list[str]) -> None:
    client.service.faults.add(Fault("html", status=504, after_commit=after_commit))

    response = client.post()

    assert (response.status_code, response.headers["Content-Type"]) == (504, "text/html")
    assert "<h1>504 Gateway Timeout</h1>" in response.text
    assert client.emails == held


def test_a_rate_limit_tells_seconds_or_a_date(client: Client) -> None:
    client.service.faults.add(Fault("rate_limit", seconds=7))
    client.service.faults.add(Fault("rate_limit", seconds=7, retry_after="date"))

    plain, dated = client.post(), client.post()

    until = parsedate_to_datetime(dated.headers["Retry-After"])
    assert (plain.status_code, dated.status_code) == (429, 429)
    assert plain.headers["Retry-After"] == "7"
    assert (until - parsedate_to_datetime(dated.headers["Date"])).total_seconds() == 7


def test_garbage_comes_with_the_status_of_success(client: Client) -> None:
    client.service.faults.add(Fault("garbage_json", after_commit=True))

    response = client.post()

    assert response.status_code == 201
    with pytest.raises(requests.JSONDecodeError):
        response.json()
    assert client.emails == [EMAIL]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_points_elsewhere(client: Client, status: int) -> None:
    client.service.faults.add(Fault("redirect", status=status, location="https://sink.invalid/x"))

    response = client.post()

    assert (response.status_code, response.headers["Location"]) == (status, "https://sink.invalid/x")
    assert client.emails == []


def test_a_stall_waits_between_the_check_and_the_insert(client: Client) -> None:
    client.service.faults.add(Fault("stall", seconds=0.3))
    fields = {"emailAddress": EMAIL, "clientReferenceId": "one"}

    client.call("GET", "/customers")  # has no check and no insert, so the stall waits on
    with pytest.raises(requests.ReadTimeout):
        client.call("POST", "/customers", json=fields, timeout=0.1)
    second = client.call("POST", "/customers", json={**fields, "emailAddress": "bob@example.com"})
    time.sleep(0.35)

    assert second.status_code == 201
    assert sorted(client.emails) == [EMAIL, "bob@example.com"]
    assert {row["client_reference_id"] for row in client.service.snapshot()} == {"one"}


def test_an_old_list_does_not_show_yet_whom_a_look_by_id_finds(client: Client) -> None:
    customer_id = client.post().json()["id"]
    client.service.faults.add(Fault("old_list", seconds=60))

    looked = client.call("GET", f"/customers/{customer_id}")
    old, new = (client.call("GET", "/customers").json() for _ in range(2))

    assert looked.status_code == 200
    assert (old["count"], old["data"]) == (0, [])
    assert new["count"] == 1


def test_every_kind_is_tested_here() -> None:
    tested = {
        "status",
        "html",
        "rate_limit",
        "redirect",
        "garbage_json",
        "delay",
        "stall",
        "reset",
        "drip",
        "drip_headers",
        "truncated",
        "old_list",
    }

    assert set(get_args(Kind)) == tested


def test_a_fault_strikes_as_often_as_it_says(client: Client) -> None:
    client.service.faults.add(Fault("status", times=2))

    assert [client.post(f"{n}@example.com").status_code for n in range(3)] == [503, 503, 201]


def test_a_fault_without_number_stays_until_it_is_removed(client: Client) -> None:
    fault = Fault("status", times=None)
    client.service.faults.add(fault)

    before = [client.post().status_code for _ in range(3)]
    client.service.faults.remove(fault)

    assert before == [503, 503, 503]
    assert client.post().status_code == 201


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        (Fault("status", method="get"), ["read", "search"]),
        (Fault("status", path_prefix="/customers/cus_"), ["read"]),
        (Fault("status", email=EMAIL), ["create", "read", "search"]),
        (Fault("status", email="bob@example.com"), []),
    ],
)
def test_a_filter_narrows_a_fault(client: Client, fault: Fault, struck: list[str]) -> None:
    customer_id = client.post().json()["id"]
    calls = {
        "create": ("POST", "/customers", {"json": {"emailAddress": EMAIL}}),
        "read": ("GET", f"/customers/{customer_id}", {}),
        "search": ("GET", "/customers", {"params": {"search": f"emailAddress:{EMAIL}"}}),
    }

    found = []
    for name, (method, path, how) in calls.items():
        client.service.faults.clear()
        client.service.faults.add(fault)
        if client.call(method, path, **how).status_code == 503:
            found.append(name)

    assert found == struck


def test_a_probability_is_thrown_from_a_seed() -> None:
    def struck(seed: int) -> list[bool]:
        dice = Faults(seed=seed)
        dice.add(Fault("reset", times=None, probability=0.3))
        return [
            dice.take(method="POST", path="/customers", about=lambda _email: False) is not None
            for _ in range(200)
        ]

    assert struck(1) == struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 90


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        {"kind": "earthquake"},
        {"kind": "reset", "tims": 1},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "times": "1"},
        {"kind": "delay", "seconds": "1"},
        {"kind": "status", "headers": {"X": 1}},
        {"kind": "rate_limit", "retry_after": "soon"},
    ],
)
def test_a_fault_that_is_none_is_refused(payload: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        faults.from_json(payload)
