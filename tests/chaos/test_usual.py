"""The usual design, while nothing is killed: it has to work, or the figures beside ours mean nothing."""

import ast
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery.app.defaults import NAMESPACES, flatten
from django.conf import settings

from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_ORGANIZATION, DEFAULT_TEST_KEY, Service
from project.demo import stack
from project.demo.processes import Process, Processes
from project.demo.stack import KohortPay, Plan
from tests.broker.site import wait_until
from tests.chaos.usual import hosting

PACKAGE = Path(__file__).parent / "usual"
# Nothing listens on port 9.
NO_BROKER = "redis://127.0.0.1:9/0"


@dataclass(frozen=True, kw_only=True)
class Site:
    """Hold a site with the usual design: its database, a worker, and KohortPay's sandbox behind it."""

    service: Service
    processes: Processes
    environment: dict[str, str]
    worker: Process

    def sign_up(self, name: str, *, email: str = "") -> str:
        """Create a user, and wait until the task is over; return the address."""
        address = email or f"{name}@example.com"
        self._do(_created(name, address))
        return address

    def sign_up_without_a_broker(self, name: str) -> str:
        """Create a user while nothing listens where the broker should; return the address."""
        address = f"{name}@example.com"
        self._shell(_created(name, address), CELERY_BROKER_URL=NO_BROKER)
        return address

    def rename(self, name: str, *, last_name: str) -> None:
        """Change the last name of a user, and wait until the task is over."""
        self._do(f"user = User.objects.get(username={name!r}); user.last_name = {last_name!r}; user.save()")

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return what the site knows, as those who judge a run read it."""
        written = self.processes.run("dump", "-m", "tests.chaos.usual.dump", environment=self.environment)
        tables: dict[str, list[dict[str, Any]]] = json.loads(written)
        return tables

    def calls(self, address: str) -> list[tuple[str, int]]:
        """Return the calls about a user, by the reference of the customer with this address."""
        (row,) = (row for row in self.service.snapshot() if row["email_address"] == address)
        reference = row["client_reference_id"]
        return [(one.method, one.status) for one in self.service.log if one.reference == reference]

    def _do(self, code: str) -> None:
        before = self._ended()
        self._shell(code)
        wait_until(lambda: self._ended() > before, seconds=30, otherwise=self.worker.tail)

    def _shell(self, code: str, **environment: str) -> None:
        whole = f"from project.accounts.models import User; {code}"
        self.processes.run(
            "shell", "manage.py", "shell", "-c", whole, environment=self.environment | environment
        )

    def _ended(self) -> int:
        return len(re.findall(r"sync_user\[\S+\] (?:succeeded|raised)", self.worker.says()))


def _created(name: str, address: str) -> str:
    return f"User.objects.create_user({name!r}, {address!r}, first_name='Ada', last_name='King')"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start a site; its tests take people of their own."""
    folder = tmp_path_factory.mktemp("usual")
    service = Service(seed=1)
    processes = Processes(logs=folder / "logs", directory=Path(settings.BASE_DIR))
    with SandboxServer(service) as sandbox:
        plan = Plan(state=folder, deadline=2.0)
        environment = stack.environment(plan, KohortPay(url=sandbox.url, key=DEFAULT_TEST_KEY)) | {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.usual.settings",
            "USUAL_RETRY_BACKOFF_MAX": "1",
        }
        try:
            processes.run("migrate", "manage.py", "migrate", "--no-input", environment=environment)
            worker = processes.start(
                "worker", "-m", "celery", "-A", "project", "worker", "-c", "1", "--loglevel", "INFO",
                "-n", f"usual-{os.getpid()}@%h", "--without-gossip", "--without-mingle",
                environment=environment,
            )  # fmt: skip
            processes.wait_for(worker, r"@\S+ ready\.")
            yield Site(service=service, processes=processes, environment=environment, worker=worker)
        finally:
            processes.end()


def test_a_user_who_signs_up_becomes_a_customer(site: Site) -> None:
    address = site.sign_up("ada")

    tables = site.tables()
    (remote,) = (row for row in site.service.snapshot() if row["email_address"] == address)
    (customer,) = (row for row in tables["customers"] if row["email_address"] == address)
    (link,) = (row for row in tables["links"] if row["kohort_id"] == remote["id"])
    assert site.calls(address) == [("POST", 201)]
    assert (link["state"], link["attempts"], link["last_error_code"]) == ("linked", 1, "")
    assert link["client_reference_id"] == remote["client_reference_id"] == f"user-{link['user_pk']}"
    assert customer == {
        "kohort_id": remote["id"],
        "email_address": address,
        "first_name": "Ada",
        "last_name": "King",
        "client_reference_id": remote["client_reference_id"],
        "livemode": False,
        "organization_id": DEFAULT_ORGANIZATION,
        "deleted_at": None,
    }


def test_a_changed_name_is_sent(site: Site) -> None:
    address = site.sign_up("bea")

    site.rename("bea", last_name="Potter")

    (customer,) = (row for row in site.tables()["customers"] if row["email_address"] == address)
    (remote,) = (row for row in site.service.snapshot() if row["email_address"] == address)
    assert site.calls(address) == [("POST", 201), ("PATCH", 200)]
    assert (customer["last_name"], remote["last_name"]) == ("Potter", "Potter")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("cleo", Fault("status", status=503, email="cleo@example.com")),
        ("dora", Fault("rate_limit", email="dora@example.com")),
        ("elsa", Fault("reset", email="elsa@example.com")),
        ("faye", Fault("html", status=502, email="faye@example.com", times=3)),
    ],
)
def test_a_create_that_fails_before_it_is_done_is_tried_again(site: Site, name: str, fault: Fault) -> None:
    site.service.faults.add(fault)

    address = site.sign_up(name)

    (remote,) = (row for row in site.service.snapshot() if row["email_address"] == address)
    (link,) = (row for row in site.tables()["links"] if row["kohort_id"] == remote["id"])
    assert (link["state"], link["attempts"]) == ("linked", 1 + (fault.times or 0))


def test_a_taken_address_is_refused_once_and_for_all(site: Site) -> None:
    address = site.sign_up("gina")
    before = len(site.service.log)

    site.sign_up("gina-too", email=address)

    link = site.tables()["links"][-1]
    assert [(one.method, one.status) for one in list(site.service.log)[before:]] == [("POST", 409)]
    assert (link["state"], link["kohort_id"], link["last_error_code"]) == ("pending", None, "http_409")


def test_a_create_whose_answer_is_lost_leaves_a_customer_whose_id_stays_unknown(site: Site) -> None:
    site.service.faults.add(Fault("reset", after_commit=True, email="hana@example.com"))

    address = site.sign_up("hana")
    site.rename("hana", last_name="Sato")

    (remote,) = (row for row in site.service.snapshot() if row["email_address"] == address)
    (link,) = (
        row for row in site.tables()["links"] if row["client_reference_id"] == remote["client_reference_id"]
    )
    assert [method for method, _ in site.calls(address)] == ["POST", "POST", "POST"]
    assert (link["state"], link["kohort_id"], link["last_error_code"]) == ("pending", None, "http_400")
    assert remote["last_name"] == "King"


def test_a_sign_up_that_no_broker_heard_of_goes_through_and_is_sent_with_the_next_change(site: Site) -> None:
    address = site.sign_up_without_a_broker("iris")
    known = {row["email_address"] for row in site.service.snapshot()}

    site.rename("iris", last_name="Wood")

    assert address not in known
    assert site.calls(address) == [("POST", 201)]


def test_its_migration_is_complete(site: Site) -> None:
    options = ("makemigrations", "usual", "--check", "--dry-run")

    written = site.processes.run("migrations", "manage.py", *options, environment=site.environment)

    assert "No changes detected" in written


def test_it_imports_nothing_of_ours() -> None:
    trees = [ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")]

    froms = {
        node.module or "" for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    plain = {
        name.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert "requests" in plain
    assert not {name for name in froms | plain if name.split(".")[0] == "kohort_sync"}


def test_what_it_asks_of_celery_is_known_to_celery() -> None:
    known = {f"CELERY_{name.upper()}" for name in dict(flatten(NAMESPACES))}

    assert hosting.CELERY.keys() <= known
