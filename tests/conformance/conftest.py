"""Run the suite on the simulator in process, on the simulator over HTTP, and on a service that the
environment names.

`sandbox` is asked for by tests that need a second key, another mode or a hand behind the app's back; those
tests have no third run, for no single key of a real service can give them that. `target` is asked for by
all others.
"""

import os
from collections.abc import Iterator

import pytest
import requests

from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import Service
from tests.conformance.target import KEYS, Sandbox, Target

SIMULATED = ["in_process", "over_http"]
REMOTE_URL = os.environ.get("KOHORT_CONFORMANCE_URL", "").rstrip("/")
REMOTE_KEY = os.environ.get("KOHORT_CONFORMANCE_KEY", "")
ALL = [*SIMULATED, "remote"] if REMOTE_URL and REMOTE_KEY else SIMULATED


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[dict[str, Sandbox]]:
    inner, outer = Service(keys=KEYS), Service(keys=KEYS)
    with SandboxServer(outer) as server, requests.Session() as direct, requests.Session() as network:
        direct.mount("https://", ServiceAdapter(inner))
        direct.trust_env = network.trust_env = False
        yield {
            "in_process": Sandbox(url="https://api.kohortpay.com", session=direct, service=inner),
            "over_http": Sandbox(url=server.url, session=network, service=outer),
        }


@pytest.fixture(params=SIMULATED)
def sandbox(request: pytest.FixtureRequest, sandboxes: dict[str, Sandbox]) -> Sandbox:
    return sandboxes[request.param]


@pytest.fixture(params=ALL)
def target(request: pytest.FixtureRequest, sandboxes: dict[str, Sandbox]) -> Iterator[Target]:
    if request.param in sandboxes:
        yield sandboxes[request.param]
        return
    with requests.Session() as session:
        session.trust_env = False
        yield Target(url=REMOTE_URL, key=REMOTE_KEY, session=session)
