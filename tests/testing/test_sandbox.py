import json
import socket
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
import requests

from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service
from tests.testing.conftest import Client

ATTACK = "<script>alert(1)</script>"
QUOTES = "\"' onmouseover=alert(2) x=&amp;$count${rows}"


class Tags(HTMLParser):
    """Collect the elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_the_customers_and_escapes_every_value(served: Client) -> None:
    served.service.add_customer(
        email=f"{ATTACK}@example.com",
        reference=f"{QUOTES}r",
        first_name=ATTACK,
        last_name=QUOTES,
        phone_number=ATTACK,
        livemode=True,
    )
    served.service.change(served.service.snapshot()[0]["id"], is_blocked=True)

    page = served.call("GET", "/").text
    tags = Tags(page)

    assert "script" not in tags.names
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert not [value for name, value in tags.attributes if name == "src"]
    assert tags.text.count(ATTACK) == 3
    assert tags.text.count(QUOTES) == 2
    assert all(word in tags.text for word in ("live", "blocked"))


def test_the_page_is_a_table_that_assistive_technology_can_read(served: Client) -> None:
    served.post()

    response = served.call("GET", "/")
    tags = Tags(response.text)

    assert ("lang", "en") in tags.attributes
    assert {"caption", "thead", "tbody", "main", "h1"} <= set(tags.names)
    assert tags.attributes.count(("scope", "col")) == 9
    assert tags.attributes.count(("scope", "row")) == 1
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_an_empty_page_says_so(served: Client) -> None:
    assert "No customers yet" in served.call("GET", "/").text


def test_a_long_page_is_cut_and_says_so(served: Client) -> None:
    for number in range(201):
        served.service.add_customer(email=f"{number}@example.com")

    assert "200 of 201 customers" in served.call("GET", "/").text


def test_the_snapshot_and_the_log_are_had_as_json(served: Client) -> None:
    made = served.post().json()

    customers = served.call("GET", "/_sandbox/customers").json()
    log = served.call("GET", "/_sandbox/log").json()

    assert customers["count"] == 1
    assert customers["data"][0]["id"] == made["id"]
    assert customers["data"][0]["created_at"] == made["created_at"]
    assert [(exchange["status"], exchange["customer_id"]) for exchange in log["data"]] == [(201, made["id"])]


def test_faults_are_added_shown_and_removed(served: Client) -> None:
    added = served.call("POST", "/_sandbox/faults", json={"kind": "status", "status": 500, "times": 3})
    struck = served.post().status_code
    shown = served.call("GET", "/_sandbox/faults").json()["data"]
    removed = served.call("DELETE", "/_sandbox/faults").json()

    assert (added.status_code, added.json()["times"]) == (201, 3)
    assert struck == 500
    assert [(fault["kind"], fault["times"]) for fault in shown] == [("status", 2)]
    assert removed == {"removed": 1}
    assert served.post().status_code == 201


def test_the_latency_is_switched(served: Client) -> None:
    switched = served.call("POST", "/_sandbox/latency", json={"profile": "test"})

    assert switched.json() == {"profile": "test"}
    assert served.call("GET", "/_sandbox/latency").json() == {"profile": "test"}
    assert served.post().elapsed.total_seconds() > 0.01


@pytest.mark.parametrize(
    ("path", "sent"),
    [("faults", {"kind": "earthquake"}), ("latency", {"profile": "slow"}), ("latency", {}), ("latency", [])],
)
def test_a_wrong_switch_says_what_is_wrong(served: Client, path: str, sent: object) -> None:
    response = served.call("POST", f"/_sandbox/{path}", json=sent)

    assert response.status_code == 400
    assert response.json()["error"]


def test_a_form_of_another_site_switches_nothing(served: Client) -> None:
    body = json.dumps({"kind": "reset"})

    response = served.call("POST", "/_sandbox/faults", data=body, headers={"Content-Type": "text/plain"})

    assert response.status_code == 415
    assert served.service.faults.waiting() == []


def test_a_name_that_only_points_here_may_not_read_the_sandbox(served: Client) -> None:
    for path in ("/", "/_sandbox/customers"):
        assert served.call("GET", path, headers={"Host": "evil.example.com"}).status_code == 403
        assert served.call("GET", path, headers={"Host": "localhost:9"}).status_code == 200


def test_an_unknown_switch_is_404(served: Client) -> None:
    assert served.call("GET", "/_sandbox/nothing").status_code == 404


@pytest.mark.parametrize("header", ["Content-Length: x", "Content-Length: -1", "Transfer-Encoding: chunked"])
def test_a_body_of_unknown_length_is_refused_and_the_connection_closed(served: Client, header: str) -> None:
    assert b"400 Bad Request" in _raw(served.url, f"POST /customers HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n")


def test_a_body_of_more_than_anything_is_500_without_being_read(served: Client) -> None:
    head = "POST /customers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"

    assert b"500 Internal Server Error" in _raw(served.url, head)


def test_a_server_stops_with_connections_open_and_frees_its_port() -> None:
    with SandboxServer(Service()) as server, requests.Session() as session:
        port = urlsplit(server.url).port or 0
        session.get(
            f"{server.url}/customers", headers={"Authorization": f"Bearer {DEFAULT_TEST_KEY}"}, timeout=5
        )

    with SandboxServer(Service(), port=port) as again:
        assert urlsplit(again.url).port == port


def test_a_server_that_never_served_stops_too() -> None:
    SandboxServer(Service()).stop()


def test_a_server_listens_on_the_loopback_unless_told_otherwise() -> None:
    server = SandboxServer(Service())
    try:
        assert urlsplit(server.url).hostname == "127.0.0.1"
    finally:
        server.stop()


def _raw(url: str, sent: str) -> bytes:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as connection:
        connection.sendall(sent.encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received
