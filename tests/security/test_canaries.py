"""Canaries over everything: people meet every refusal and fault, then all that was printed is searched."""

import io
import json
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db.models import CharField, JSONField, TextField
from django.test import Client
from django.urls import reverse
from requests.adapters import BaseAdapter

from kohort_sync import connection, drainer, services, sweep, tasks
from kohort_sync.models import Account, Customer, CustomerLink, SyncAttempt, SyncRun
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from project.accounts.models import User
from tests.engine.people import let_time_pass, link_of
from tests.security import canaries
from tests.security.canaries import Listening, Log

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security(1, 2, 7, 8, 10, 11, 12, 26)]


@dataclass
class Journey:
    """Hold the site on the way, and what was printed."""

    service: Listening
    queue: str
    log: Log
    printed: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def sign_up(self, name: str, *faults: Fault) -> User:
        """Save a user while these faults wait for the request; every sign-up announces itself anew."""
        tasks.forget()
        for fault in faults:
            self.service.faults.add(fault)
        return User.objects.create_user(name, **canaries.person(name))

    def drain(self) -> None:
        """Send what is due, whatever has closed the gate before and slowed the pace down."""
        Account.objects.update(gate="open", gate_until=None, gate_closures=0, failures=0, pace={})
        drainer.drain("default", linger=0)

    def settle(self) -> None:
        """Send what is due, and once more when whatever was waited for is over."""
        self.drain()
        let_time_pass(24 * 3600)
        self.drain()
        self.service.faults.clear()
        # Whoever failed stays as they are, so that the next drain is about the next one.
        CustomerLink.objects.update(next_attempt_at=None)

    def take_messages(self) -> None:
        """Take what the broker holds, as it holds it."""
        with current_app.connection_for_read() as opened, opened.SimpleQueue(self.queue) as found:
            for message in [found.get(block=False) for _ in range(found.qsize())]:
                message.ack()
                shown = (message.body, message.headers, message.properties, message.payload)
                self.messages.append(repr(shown))

    def command(self, *arguments: str) -> str:
        """Run a verb as a shell does; keep what it prints."""
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("kohort_sync", *arguments, stdout=out, stderr=err)
        except (SystemExit, Exception) as ended:  # noqa: BLE001 — a shell shows the words of whatever ends it
            err.write(str(ended))
        self.printed[" ".join(arguments)] = out.getvalue() + err.getvalue()
        return out.getvalue()


@pytest.fixture
def journey(settings: Any) -> Iterator[Journey]:
    """Point the site to a simulated KohortPay behind a real port, and switch on every log."""
    service, queue = Listening(seed=1), f"canaries-{uuid.uuid4()}"
    with SandboxServer(service) as sandbox, canaries.all_logs() as log:
        settings.KOHORT_SYNC = settings.KOHORT_SYNC | {
            "API_KEY": canaries.KEY,
            "BASE_URL": sandbox.url,
            "DEADLINE": 0.3,
            "QUEUE": queue,
        }
        yield Journey(service=service, queue=queue, log=log)


def refusal(status: int, *messages: str) -> str:
    """Write a refusal as the service does (observed): one message, or a list of them."""
    said: Any = messages[0] if len(messages) == 1 else list(messages)
    return json.dumps({"error": {"type": "invalid_request_error", "message": said, "code": str(status)}})


def talkative(name: str) -> dict[str, Fault]:
    """Name every kind of answer, each telling all that it knows of somebody."""
    tale = canaries.tale(name)
    stranger = {
        "id": "cus_stranger",
        "email_address": f"x{canaries.email(name)}",
        "first_name": canaries.FIRST_NAME,
        "livemode": False,
        "organization_id": canaries.ORGANIZATION,
    }
    fields = (f"emailAddress {tale}", f"firstName {tale} is odd", f"{tale} {canaries.KEY}")
    statuses = {
        f"status_{status}": Fault("status", status=status, body=refusal(status, tale))
        for status in (400, 401, 403, 404, 408, 409, 410, 413, 418, 422, 500, 503)
    }
    with_key = f"{tale} has {canaries.KEY}"
    return statuses | {
        "scheme": Fault("status", status=400, body=refusal(400, f"Authorization: Token {with_key}")),
        "key": Fault("status", status=418, body=refusal(418, with_key)),
        "no_organization": Fault("status", status=404, body=refusal(404, f"Organization not found: {tale}")),
        "fields": Fault("status", status=400, body=refusal(400, *fields)),
        "unprocessable": Fault("status", status=422, body=refusal(422, *fields)),
        "page": Fault("html", status=500, body=f"<html>{tale}</html>"),
        "slow_down": Fault("rate_limit", body=tale, headers={"X-Told": tale}),
        "redirect": Fault("redirect", location=f"https://elsewhere.invalid/?{tale}"),
        "no_json": Fault("garbage_json", body=f'{{"id": "{tale}'),
        "odd_customer": Fault("status", status=201, body=json.dumps({"id": tale, "emailAddress": [tale]})),
        "stranger": Fault("status", status=201, body=json.dumps(stranger)),
        "other_mode": Fault("status", status=201, body=json.dumps(stranger | {"livemode": True})),
        "slow": Fault("delay", seconds=0.5),
        "lost": Fault("reset", after_commit=True),
        "half": Fault("truncated"),
    }


class Careless(BaseAdapter):
    """Fail as a network library does that tells all it knows in its message."""

    def __init__(self, kind: type[Exception]) -> None:
        super().__init__()
        self._kind = kind

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        raise self._kind(f"{request.url} {request.headers} {request.body!r}", request)

    def close(self) -> None:
        """Do nothing: there are no connections."""


def careless_hook(user: User) -> Any:
    """Fail as a function of the site does, with all it knows in its message."""
    if user.first_name:
        raise LookupError(canaries.tale(user.username), user.__dict__)
    return {}


def meet_every_answer(journey: Journey) -> None:
    kinds = talkative("answer")
    for kind, fault in kinds.items():
        journey.sign_up(f"post-{kind}", replace(fault, method="POST"))
        journey.settle()
    later = {
        (method, kind): journey.sign_up(f"{method}-{kind}") for method in ("GET", "PATCH") for kind in kinds
    }
    journey.drain()
    for (method, kind), user in later.items():
        User.objects.filter(pk=user.pk).update(phone_number=f"{canaries.PHONE[:-1]}8")
        services.resync(CustomerLink.objects.filter(user=user))
        journey.service.faults.add(replace(kinds[kind], method=method))
        journey.settle()


def meet_a_careless_network(journey: Journey) -> None:
    for kind in (requests.exceptions.SSLError, requests.ConnectionError, requests.Timeout, OSError):
        journey.sign_up(f"network.{kind.__name__}")
        with connection.through(Careless(kind)):
            journey.settle()


def meet_a_careless_site(journey: Journey, settings: Any) -> None:
    usual = settings.KOHORT_SYNC
    for hook in ("CUSTOMER_DATA", "SHOULD_SYNC"):
        settings.KOHORT_SYNC = usual | {hook: careless_hook}
        journey.sign_up(f"site.{hook}")
        journey.settle()
        sweep.sweep("default")
    settings.KOHORT_SYNC = usual


def meet_a_broken_broker(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("CELERY_BROKER_WRITE_URL", f"redis://:{canaries.KEY}@127.0.0.1:1/0")
        journey.sign_up("broker.down")
        journey.command("doctor", "--json")
    journey.settle()


def be_decided_about(journey: Journey, client: Client) -> None:
    """Let staff and commands decide, with reasons that hold what does not belong there."""
    reason = f"She wrote from {canaries.email('reason')} or {canaries.PHONE}, about {canaries.KEY}."
    taken = journey.service.add_customer(
        organization_id=canaries.ORGANIZATION,
        email=canaries.email("conflict"),
        first_name=canaries.FIRST_NAME,
    )
    conflict, poison = journey.sign_up("conflict"), journey.sign_up("poison")
    CustomerLink.objects.filter(user=poison).update(crashes=9)
    journey.drain()
    assert link_of(conflict).conflict_kind == "email_in_use"
    assert link_of(poison).last_error_code == "crash_loop"
    journey.command("resolve", "--user", str(conflict.pk))
    journey.command("resolve", "--user", str(conflict.pk), "--adopt", taken, "--reason", reason)
    journey.command("retry", "--user", str(poison.pk))
    journey.settle()
    for verb in ("block", "unblock"):
        journey.command(verb, "--user", str(conflict.pk), "--reason", reason)
        journey.settle()
    for action in ("resync", "retry"):
        data = {"action": action, "_selected_action": [str(link_of(conflict).pk), str(link_of(poison).pk)]}
        answer = client.post(reverse("admin:kohort_sync_customerlink_changelist"), data)
        journey.printed[f"admin {action}"] = f"{answer.headers}"
    journey.command("erase", "--user", str(conflict.pk), "--reason", reason, "--yes", "--json")
    journey.settle()


def pages_of_the_staff(client: Client) -> dict[str, str]:
    """Open every page of ours in the admin; return what each shows."""
    shown: dict[str, str] = {}
    for model in (Account, Customer, CustomerLink, SyncAttempt):
        name = f"admin:kohort_sync_{model._meta.model_name}"
        addresses = [reverse(f"{name}_changelist")]
        # Those first that have the most to say.
        telling = "-last_error" if model is CustomerLink else "-pk"
        for row in model._base_manager.order_by(telling)[:8]:
            addresses += [reverse(f"{name}_{what}", args=[row.pk]) for what in ("change", "history")]
        shown |= {f"page {address}": client.get(address).content.decode() for address in addresses}
    return shown


def columns() -> dict[str, str]:
    """Dump every text of our tables, but for the mirror, and for the address of a create that is not over."""
    return {
        f"table {model._meta.db_table}.{column.name}": repr(
            list(model._base_manager.values_list(column.name, flat=True))
        )
        for model in (Account, CustomerLink, SyncAttempt, SyncRun, LogEntry)
        for column in model._meta.concrete_fields
        if isinstance(column, CharField | TextField | JSONField) and column.name != "intent_email"
    }


def test_nothing_that_is_printed_on_the_way_shows_the_key_or_a_person(
    journey: Journey, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(User.objects.create_superuser("boss"))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        meet_every_answer(journey)
        meet_a_careless_network(journey)
        meet_a_careless_site(journey, settings)
        meet_a_broken_broker(journey, monkeypatch)
        be_decided_about(journey, client)
        tasks.drain.apply(args=("default",))
        tasks.sweep_accounts.apply()
        for verb in ("status", "doctor", "drain"):
            journey.command(verb, "--json")
        journey.take_messages()
    exported = journey.command("export", "--user", str(User.objects.get(username="poison").pk))
    pages = pages_of_the_staff(client)

    # The journey went everywhere, and the canaries are found where they belong.
    assert {
        "urllib3.connectionpool",
        "celery.app.trace",
        "kohort_sync.tasks",
        "kohort_sync.drainer.watch",
    } <= (journey.log.loggers)
    assert len(journey.messages) > 10
    assert len({*SyncAttempt.objects.values_list("error_code", flat=True)}) > 10
    assert [one.partition(":")[0] for one in canaries.seen_in(exported)] == [
        "e-mail", "domain", "first name", "last name", "phone",
    ]  # fmt: skip
    del journey.printed[next(name for name in journey.printed if name.startswith("export"))]

    of_purpose = ("e-mail", "domain", "first name", "last name", "phone")
    mirrored = {
        name: canaries.seen_in(text, but=of_purpose) for name, text in pages.items() if "/customer/" in name
    }
    searched = {
        **{f"log {line[:60]}": line for line in journey.log.shown},
        **{f"warning {number}": f"{one.message} {one.source}" for number, one in enumerate(warned)},
        **{f"message {number}": one for number, one in enumerate(journey.messages)},
        **{f"URL {number}": one for number, one in enumerate(journey.service.targets)},
        **{f"printed by {name}": text for name, text in journey.printed.items()},
        **columns(),
        **{name: text for name, text in pages.items() if "/customer/" not in name},
    }
    found = {name: canaries.seen_in(text) for name, text in searched.items()}
    assert {name: seen for name, seen in (found | mirrored).items() if seen} == {}
