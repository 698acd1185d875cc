"""A journey: people sign up over the form of a real site, and the rest is done by real processes."""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from project.demo import cast as casting
from project.demo import stack
from project.demo.cast import Person
from project.demo.processes import Processes
from project.demo.service import Sandbox
from project.demo.stack import Plan, Stack
from project.demo.standings import Standing
from project.demo.verdict import Evidence
from project.demo.visitor import Status, Visitor

SETTLED_WITHIN = 60.0
"""Seconds: twice the settle window of a deadline of one second."""
_PASSWORD = "plum-crumble-42"


@dataclass(frozen=True, kw_only=True)
class Journey:
    """Hold where everybody arrived: by KohortPay's own list, the site's tables, and the status pages."""

    cast: Sequence[Person]
    evidence: Evidence
    pages: dict[str, Status]


def travel(plan: Plan) -> Journey:
    """Start a stack, sign people up, wait until each has arrived, and end the stack."""
    run = secrets.token_hex(4)
    admin = casting.admin(run)
    # Whoever meets a fault waits for half a minute, so they go first and the others travel meanwhile.
    travellers = [
        *casting.unlucky_people(run, dialect=plan.dialect),
        *casting.ordinary_people(run)[:2],
        *casting.special_people(run),
    ]
    processes = Processes(logs=plan.state / "logs", directory=Path(settings.BASE_DIR))
    with ExitStack() as cleanup:
        cleanup.callback(processes.end)
        running = stack.start(plan, processes, admin=admin, password=_PASSWORD, say=lambda _: None)
        sandbox = cleanup.enter_context(Sandbox(running.kohortpay.url))
        visitors: dict[str, Visitor] = {}
        for person in travellers:
            if person.follows:
                _wait(processes, visitors[person.follows], lambda page: page.state == "linked")
            if person.fault:
                sandbox.fail_once(person.fault, email=person.email)
            visitor = cleanup.enter_context(closing(Visitor(running.site)))
            visitor.sign_up(person, password=_PASSWORD)
            visitors[person.username] = visitor
        pages = {
            name: _wait(processes, visitor, lambda page: page.state not in ("pending", "uncertain"))
            for name, visitor in visitors.items()
        }
        evidence = Evidence(
            standings=_standings(processes, running),
            customers=sandbox.customers(),
            creates=sandbox.creates(),
            faults_left=sandbox.faults_left(),
        )
    return Journey(cast=[admin, *travellers], evidence=evidence, pages=pages)


def _wait(processes: Processes, visitor: Visitor, arrived: Callable[[Status], bool]) -> Status:
    """Look at a status page until it shows what is awaited, or for too long; return what it shows."""
    ends = time.monotonic() + SETTLED_WITHIN
    while not arrived(page := visitor.status()) and time.monotonic() < ends:
        processes.check()
        time.sleep(0.25)
    return page


def _standings(processes: Processes, running: Stack) -> dict[str, Standing]:
    """Read the site's tables through its own `dumpdata`, whatever the database."""
    told = processes.run(
        "dump", "manage.py", "dumpdata", "accounts.user", "kohort_sync", environment=running.environment
    )
    rows: list[dict[str, Any]] = json.loads(told[told.index("[") :])
    names = {row["pk"]: row["fields"]["username"] for row in rows if row["model"] == "accounts.user"}
    customers = {row["pk"]: row["fields"] for row in rows if row["model"] == "kohort_sync.customer"}
    links = [row["fields"] for row in rows if row["model"] == "kohort_sync.customerlink"]
    return {
        names[link["user"]]: Standing(
            state=link["state"],
            code=link["conflict_kind"] or link["last_error_code"],
            reference=link["client_reference_id"],
            kohort_id=customers[link["customer"]]["kohort_id"] if link["customer"] else "",
            mirrored_email=customers[link["customer"]]["email_address"] if link["customer"] else "",
            settled=link["next_attempt_at"] is None and not link["lease_token"],
        )
        for link in links
    }
