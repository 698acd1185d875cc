"""Put a client in front of a simulated service, in process and over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service


class Client:
    """Call a service with its default test key."""

    def __init__(self, service: Service, session: requests.Session, url: str) -> None:
        self.service = service
        self.url = url
        self._session = session
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {DEFAULT_TEST_KEY}"

    def call(self, method: str, path: str, **how: Any) -> requests.Response:
        how = {"timeout": 5, "allow_redirects": False, **how}
        return self._session.request(method, f"{self.url}{path}", **how)

    def post(self, email: str = "ada@example.com", **how: Any) -> requests.Response:
        return self.call("POST", "/customers", json={"emailAddress": email}, **how)

    @property
    def emails(self) -> list[str]:
        return [row["email_address"] for row in self.service.snapshot()]


@pytest.fixture
def service() -> Service:
    return Service(seed=1)


@pytest.fixture(params=["in_process", "over_http"])
def client(request: pytest.FixtureRequest, service: Service) -> Iterator[Client]:
    with requests.Session() as session:
        if request.param == "in_process":
            session.mount("https://", ServiceAdapter(service))
            yield Client(service, session, "https://api.kohortpay.com")
            return
        with SandboxServer(service) as server:
            yield Client(service, session, server.url)


@pytest.fixture
def served(service: Service) -> Iterator[Client]:
    with requests.Session() as session, SandboxServer(service) as server:
        yield Client(service, session, server.url)
