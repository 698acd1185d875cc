"""Be the KohortPay customers service, without a network: a request in, an answer out.

Two dialects: `seen` is how the service's own code was observed to behave and the default, `documented` is
how its public reference says that it behaves. Hand a `Service` to `adapter.ServiceAdapter` or to
`server.SandboxServer` to put a client in front of it.
"""

import collections
import contextlib
import dataclasses
import email.utils
import random
import string
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, unquote_plus

from kohort_sync.testing import answers, body, faults, keys
from kohort_sync.testing.answers import Dialect, RefusalError
from kohort_sync.testing.customers import Customers
from kohort_sync.testing.faults import Fault, Faults
from kohort_sync.testing.latency import Kind, Latency, Profile
from kohort_sync.testing.store import Store, World
from kohort_sync.testing.visit import Admitted, Visit
from kohort_sync.testing.wire import Request, Response

DEFAULT_TEST_KEY = "sk_test_sandbox0000000000"
DEFAULT_LIVE_KEY = "sk_live_sandbox0000000000"
DEFAULT_ORGANIZATION = "org_sandbox0000000000"
DEFAULT_KEYS = {DEFAULT_TEST_KEY: DEFAULT_ORGANIZATION, DEFAULT_LIVE_KEY: DEFAULT_ORGANIZATION}
LOG_SIZE = 10_000
_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 24
_ON_ONE = {("GET",), ("PATCH",), ("DELETE",), ("PATCH", "block"), ("PATCH", "unblock")}


@dataclasses.dataclass(frozen=True, slots=True)
class Exchange:
    """Hold one exchange for those who judge it afterwards: no key, no e-mail, no body.

    `customer_id` is what the exchange committed, whatever its answer said; `delivery` is how that answer
    went out.
    """

    at: datetime
    seconds: float
    method: str
    path: str
    status: int
    reference: str | None
    customer_id: str | None
    fault: str | None
    delivery: str


class Service:
    """Simulate the service; safe for threads, and two requests at once race as they do there.

    `keys` maps secret keys to organization ids; an empty id is an organization that is gone. `check_gap` is
    in seconds. `disposable_domains` are refused, and None stands for a list that cannot be fetched. `keys`,
    `check_gap` and `disposable_domains` may be changed while it runs.
    """

    def __init__(
        self,
        *,
        dialect: Dialect = "seen",
        keys: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        seed: int | None = None,
        check_gap: float = 0.0,
        latency: str | Profile = "none",
        disposable_domains: Collection[str] | None = (),
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dialect: Dialect = dialect
        self.keys = dict(DEFAULT_KEYS if keys is None else keys)
        self.check_gap = check_gap
        self.disposable_domains = disposable_domains
        self.faults = Faults(seed=seed)
        self.latency = Latency(latency, seed=seed)
        self.log: collections.deque[Exchange] = collections.deque(maxlen=LOG_SIZE)
        self.sleep = sleep
        self._monotonic = monotonic
        self._random = random.Random(seed)  # noqa: S311 - ids of a simulator
        self._random_lock = threading.Lock()
        self._store = Store()
        self._customers = Customers(dialect=dialect, clock=clock, new_id=self._new_id)

    @property
    def may_take_time(self) -> bool:
        """Say whether an answer may be slow just now; a transport in process then keeps the client's
        timeout by itself.
        """
        slow = self.latency.profile.name != "none" or self.check_gap > 0
        return slow or any(fault.kind in {"delay", "stall"} for fault, _ in self.faults.waiting())

    def handle(self, request: Request) -> Response:
        """Answer one request; what it commits stays committed, whether or not anybody awaits the answer."""
        at = self._customers.now()
        fault = self.faults.take(
            method=request.method, path=request.path, about=lambda address: self._is_about(request, address)
        )
        stalled = fault.seconds if fault and fault.kind == "stall" else 0.0
        visit = Visit(
            sleep=self.sleep,
            gap=self.check_gap + stalled,
            lag=fault.seconds if fault and fault.kind == "old_list" else 0.0,
            disposable_domains=self.disposable_domains,
        )
        visit.reference = _reference(request)
        visit.wait(self.latency.book(_kind(request), now=self._monotonic()))
        if fault and fault.kind == "delay" and not fault.after_commit:
            visit.wait(fault.seconds)
        answer = self._answer(visit, request) if fault is None or fault.lets_through else None
        if fault and fault.kind == "delay" and fault.after_commit:
            visit.wait(fault.seconds)
        told = self._told(fault, answer)
        self.log.append(
            Exchange(
                at=at,
                seconds=visit.seconds,
                method=request.method,
                path=request.path,
                status=told.status,
                reference=visit.reference,
                customer_id=visit.customer_id,
                fault=fault.kind if fault else None,
                delivery=told.delivery.value,
            )
        )
        dated = {"Date": email.utils.format_datetime(self._customers.now(), usegmt=True), **told.headers}
        return dataclasses.replace(told, headers=dated, seconds=visit.seconds)

    # What the tests and hosts do behind the app's back.

    def snapshot(self) -> list[dict[str, Any]]:
        """Return every row of every organization and mode, deleted ones too, as dicts in snake_case; times
        are datetimes.
        """
        return self._store.snapshot()

    def row(self, customer_id: str) -> dict[str, Any]:
        """Return one row as `snapshot` does; raise KeyError if there is none of that id."""
        return self._store.world_of(customer_id).as_dict(customer_id)

    def add_customer(
        self,
        *,
        email: str,
        reference: str | None = None,
        livemode: bool = False,
        organization_id: str = DEFAULT_ORGANIZATION,
        **columns: Any,
    ) -> str:
        """Put a customer there without any check but the e-mail's constraint; return its id."""
        world = self._store.world(organization_id=organization_id, livemode=livemode)
        row = self._customers.new_row(
            world, created_by=None, email_address=email, client_reference_id=reference, **columns
        )
        world.insert(row)
        return row.id

    def change(self, customer_id: str, **columns: Any) -> None:
        """Change columns of a customer, deleted or not; raise KeyError if there is none of that id."""
        self._store.world_of(customer_id).change(
            customer_id, lambda row: self._customers.changed(row, columns)
        )

    def block(self, customer_id: str) -> None:
        """Block a customer, as an operator at KohortPay would."""
        self.change(customer_id, is_blocked=True, blocked_at=self._customers.now())

    def soft_delete(self, customer_id: str) -> None:
        """Delete a customer the way the service does: the row stays and keeps its e-mail."""
        self.change(customer_id, deleted_at=self._customers.now())

    def restore(self, customer_id: str) -> None:
        """Bring a deleted customer back."""
        self.change(customer_id, deleted_at=None)

    def checkout(
        self,
        *,
        email: str,
        phone_number: str | None = None,
        livemode: bool = False,
        organization_id: str = DEFAULT_ORGANIZATION,
    ) -> str:
        """Do what an order does to customers, and return the id (observed).

        It makes a customer by e-mail with no reference, or restores the one that is there and overwrites
        its phone number.
        """
        held = self._store.world(organization_id=organization_id, livemode=livemode).with_email(email)
        if held is None:
            return self.add_customer(
                email=email, phone_number=phone_number, livemode=livemode, organization_id=organization_id
            )
        self.change(held.id, deleted_at=None, phone_number=phone_number)
        return held.id

    def _answer(self, visit: Visit, request: Request) -> Response:
        try:
            return self._route(visit, request, body.fields(request))
        except RefusalError as refused:
            return answers.refusal(refused)

    def _route(self, visit: Visit, request: Request, fields: dict[str, Any]) -> Response:
        method, steps = request.method, [unquote(step) for step in request.path.strip("/").split("/")]
        if method == "POST" and steps == ["customers"]:
            return self._customers.create(visit, self._admit(request), fields)
        if method == "GET" and steps == ["customers"]:
            return self._customers.list(visit, self._admit(request), request.query)
        match steps:
            case ["customers", customer_id, *rest] if (method, *rest) in _ON_ONE:
                return self._on_one((method, *rest), visit, request, customer_id, fields)
        raise RefusalError(404, f"Cannot {method} {request.path}")

    def _on_one(
        self, call: tuple[str, ...], visit: Visit, request: Request, customer_id: str, fields: dict[str, Any]
    ) -> Response:
        admitted = self._admit(request)
        if call == ("GET",):
            return self._customers.read(admitted, customer_id)
        if call == ("PATCH",):
            return self._customers.update(visit, admitted, customer_id, fields)
        return {
            ("PATCH", "block"): self._customers.block,
            ("PATCH", "unblock"): self._customers.unblock,
            ("DELETE",): self._customers.delete,
        }[call](visit, admitted, customer_id)

    def _admit(self, request: Request) -> Admitted:
        caller = keys.authenticate(request.header("Authorization"), keys=self.keys)
        return Admitted(caller, self._world(caller))

    def _world(self, caller: keys.Caller) -> World:
        return self._store.world(organization_id=caller.organization_id, livemode=caller.livemode)

    def _told(self, fault: Fault | None, answer: Response | None) -> Response:
        if fault is not None:
            return faults.spoil(fault, answer, now=self._customers.now())
        if answer is None:
            raise AssertionError("without a fault there is an answer")
        return answer

    def _is_about(self, request: Request, address: str) -> bool:
        try:
            sent = body.fields(request).get("emailAddress")
        except RefusalError:
            sent = None
        steps = request.path.strip("/").split("/")
        rows = [world.get(unquote(steps[1])) for world in self._store] if len(steps) > 1 else []
        return (
            sent == address
            or any(row is not None and row.email_address == address for row in rows)
            or address in unquote(unquote_plus(request.query))
        )

    def _new_id(self, prefix: str) -> str:
        with self._random_lock:
            return f"{prefix}_{''.join(self._random.choices(_ALPHABET, k=_ID_LENGTH))}"


def _reference(request: Request) -> str | None:
    """Read the reference, which the log names even where a fault comes before all work."""
    with contextlib.suppress(RefusalError):
        reference = body.fields(request).get("clientReferenceId")
        return reference if isinstance(reference, str) else None
    return None


def _kind(request: Request) -> Kind:
    if request.method == "POST":
        return "post"
    return "list" if request.path.strip("/") == "customers" else "get"
