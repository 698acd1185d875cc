"""Reach a service under test by plain `requests` calls, wherever it runs."""

import secrets
from typing import Any

import requests

from kohort_sync.testing.service import DEFAULT_LIVE_KEY, DEFAULT_ORGANIZATION, DEFAULT_TEST_KEY, Service

JSON = dict[str, Any]
OTHER_ORGANIZATION = "org_another0000000000"
OTHER_TEST_KEY = "sk_test_another0000000000"
ORPHAN_KEY = "sk_test_orphan00000000000"
KEYS = {
    DEFAULT_TEST_KEY: DEFAULT_ORGANIZATION,
    DEFAULT_LIVE_KEY: DEFAULT_ORGANIZATION,
    OTHER_TEST_KEY: OTHER_ORGANIZATION,
    ORPHAN_KEY: "",
}
TIMEOUT = 30


class Target:
    """Call one service with one key; everything that it makes bears a name of its own."""

    def __init__(self, *, url: str, key: str, session: requests.Session) -> None:
        self.url = url
        self.key = key
        self.session = session

    def call(self, method: str, path: str, **how: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **how.pop("headers", {})}
        sent = {name: value for name, value in headers.items() if value is not None}
        return self.session.request(
            method, f"{self.url}{path}", headers=sent, timeout=how.pop("timeout", TIMEOUT), **how
        )

    def post(self, fields: JSON, **how: Any) -> requests.Response:
        return self.call("POST", "/customers", json=fields, **how)

    def patch(self, customer_id: str, fields: JSON) -> requests.Response:
        return self.call("PATCH", f"/customers/{customer_id}", json=fields)

    def get(self, customer_id: str) -> requests.Response:
        return self.call("GET", f"/customers/{customer_id}")

    def list(self, **parameters: Any) -> requests.Response:
        return self.call("GET", "/customers", params=parameters)

    def search(self, text: str, **parameters: Any) -> JSON:
        response = self.list(search=text, **parameters)
        assert response.status_code == 200, response.text
        listed: JSON = response.json()
        return listed

    def made(self, **fields: Any) -> JSON:
        """Create a customer with an e-mail of its own and return the answer's body."""
        response = self.post({"emailAddress": f"{unique()}@example.com", **fields})
        assert response.status_code == 201, response.text
        customer: JSON = response.json()
        return customer


class Sandbox(Target):
    """Call a simulated service, which has more keys, and hands behind the app's back."""

    def __init__(self, *, url: str, session: requests.Session, service: Service) -> None:
        super().__init__(url=url, key=DEFAULT_TEST_KEY, session=session)
        self.service = service

    def with_key(self, key: str) -> Target:
        return Target(url=self.url, key=key, session=self.session)


def unique() -> str:
    """Return a name that no earlier run has used."""
    return f"t{secrets.token_hex(8)}"


def error(response: requests.Response) -> JSON:
    """Return the error object of an answer."""
    told: JSON = response.json()["error"]
    return told


def ids(listed: JSON) -> "list[str]":
    """Return the ids of a listed page, in its order."""
    return [row["id"] for row in listed["data"]]
