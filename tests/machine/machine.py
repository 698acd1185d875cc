"""The state machine: what may happen to a few users, and what has to hold after each thing and in the end."""

import itertools
from typing import Any

from django.conf import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kohort_sync import decisions, mapping, reasons, services
from kohort_sync.models import FINAL, Account, CustomerLink, State
from kohort_sync.testing.faults import Fault, Kind
from tests.engine.people import User
from tests.machine.simulation import (
    CANARY,
    IN_A_TRANSACTION,
    IN_THE_SERVICE,
    PLACES,
    Simulation,
    traces,
)

CROWD = 4
"""Few users: what two things do to one of them is found sooner."""
A_DAY_AND_MORE = 25 * 3600.0
"""Longer than any backoff, closure, lease, window or parking."""
MOST_ROUNDS = 25
LISTED = (State.SKIPPED, State.REJECTED, State.CONFLICT, State.PARKED)
ANYBODY = st.integers(0, CROWD - 1)

FAULTS: tuple[tuple[Kind, dict[str, Any]], ...] = (
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status", {"status": 401}),
    ("status", {"status": 404}),
    ("status", {"status": 400}),
    ("html", {}),
    ("rate_limit", {"seconds": 40}),
    ("rate_limit", {"seconds": 40, "retry_after": "date"}),
    ("redirect", {}),
    ("garbage_json", {}),
    ("reset", {}),
    ("truncated", {}),
    ("stall", {"seconds": 40}),
)
FREE_PLACES = tuple(place for place in PLACES if place not in IN_A_TRANSACTION)
# Long enough for the drainer's lease, for the row's lease, and for neither.
PAUSES = (0.0, 31.0, 160.0)


class Life(RuleBasedStateMachine):
    """Live through anything; a failing run is told as a list of calls that can be pasted into a test."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Simulation().open()
        self.numbers = itertools.count()
        self.told: list[str] = []
        # References that a person has put onto a second customer while the first one lived.
        self.handed_over: set[str] = set()
        services.backfill("default")

    def teardown(self) -> None:
        try:
            self.settle_down()
            self.check_the_end()
        finally:
            self.world.close()

    @initialize(erases=st.booleans(), adopts=st.booleans())
    def choose_policy(self, *, erases: bool, adopts: bool) -> None:
        settings.KOHORT_SYNC |= {
            "ON_USER_DELETE": "erase" if erases else "keep",
            "ADOPT_BY_EMAIL": adopts,
            "EMAIL_VERIFIED": _verified,
        }

    # What people do

    @precondition(lambda _: User.objects.count() < CROWD)
    @rule(heard=st.booleans())
    def sign_up(self, *, heard: bool) -> None:
        user = User(username=self._new("user"), email=self._new_address(), first_name=self._new("Ada"))
        if heard:
            user.save()
        else:
            User.objects.bulk_create([user])

    @rule(
        who=ANYBODY,
        what=st.sampled_from(["name", "name", "address", "theirs", "former", "none", "invalid", "off", "on"]),
        whose=ANYBODY,
        heard=st.sampled_from([True, True, True, False]),
    )
    def change(self, *, who: int, what: str, whose: int, heard: bool) -> None:
        user, other = self._user(who), self._user(whose)
        if user is None or other is None:
            return
        fields = self._fields(what, who=who, theirs=other.email)
        if heard:
            for name, value in fields.items():
                setattr(user, name, value)
            user.save(update_fields=list(fields))
        else:
            User.objects.filter(pk=user.pk).update(**fields)

    @rule(who=ANYBODY, whose=ANYBODY)
    def swap_addresses(self, *, who: int, whose: int) -> None:
        user, other = self._user(who), self._user(whose)
        if user is not None and other is not None and user != other:
            user.email, other.email = other.email, user.email
            user.save(update_fields=["email"])
            other.save(update_fields=["email"])

    @rule(who=ANYBODY, heard=st.booleans(), returns=st.booleans())
    def leave(self, *, who: int, heard: bool, returns: bool) -> None:
        """Delete a user; perhaps the database gives the primary key to the next one."""
        user = self._user(who)
        if user is None:
            return
        key = user.pk
        if heard:
            user.delete()
        else:
            User.objects.filter(pk=key)._raw_delete("default")
        if returns:
            User(
                pk=key, username=self._new("user"), email=self._new_address(), first_name=self._new("Ada")
            ).save(force_insert=True)

    @precondition(lambda _: CustomerLink.objects.exists())
    @rule(
        what=st.sampled_from(
            ["resync", "retry", "resolve", "resolve", "resolve", "block", "unblock", "erase"]
        ),
        which=st.integers(0, 5),
        choice=st.integers(0, 4),
    )
    def decide(self, *, what: str, which: int, choice: int) -> None:
        rows = CustomerLink.objects.order_by("pk")
        link = rows[which % rows.count()]
        # People write addresses into reasons.
        reason = f"asked by {CANARY}@example.com"
        try:
            if what == "resync":
                services.resync(rows.all(), reason=reason)
            elif what == "retry":
                services.retry(rows.all(), reason=reason)
            elif what == "resolve":
                self._resolve(link, choice, reason=reason)
            else:
                getattr(services, what)(link, reason=reason)
        except (services.NotPossible, services.BeingSent):
            pass

    def _resolve(self, link: CustomerLink, choice: int, *, reason: str) -> None:
        possible = decisions.allowed(state=link.state, conflict_kind=link.conflict_kind)
        if not possible:
            return
        chosen = possible[choice % len(possible)]
        kohort_id = ""
        if chosen == decisions.ADOPT:
            customers = self.world.service.snapshot()
            kohort_id = customers[choice % len(customers)]["id"] if customers else "cus_nobody"
        services.resolve(link, choice=chosen, reason=reason, kohort_id=kohort_id)
        if chosen == decisions.ADOPT:
            self.handed_over.add(link.client_reference_id)
        if chosen == decisions.CREATE:
            self.world.ledger.forget(link.client_reference_id)

    # What happens at the service

    @rule(
        fault=st.sampled_from(FAULTS),
        method=st.sampled_from(["POST", "POST", "PATCH", "GET", None]),
        times=st.sampled_from([1, 1, 2, 6]),
        worked=st.booleans(),
    )
    def fail(
        self, *, fault: tuple[Kind, dict[str, Any]], method: str | None, times: int, worked: bool
    ) -> None:
        kind, more = fault
        # Who refuses a request has not carried it out.
        may_have_worked = kind != "rate_limit" and more.get("status", 500) >= 500
        if kind == "stall":
            method = "POST"
        self.world.service.faults.add(
            Fault(kind, times=times, method=method, after_commit=worked and may_have_worked, **more)
        )

    @precondition(lambda self: self.world.service.snapshot())
    @rule(
        which=st.integers(0, 5),
        what=st.sampled_from(["delete", "restore", "block", "name", "address", "phone"]),
    )
    def change_there(self, *, which: int, what: str) -> None:
        service, customers = self.world.service, self.world.service.snapshot()
        row = customers[which % len(customers)]
        if row["email_address"].endswith("@erased.invalid"):
            return
        if what == "delete":
            service.soft_delete(row["id"])
        elif what == "restore":
            # Nobody there brings one back beside a living one of the same reference.
            if row["client_reference_id"] not in {
                other["client_reference_id"] for other in self.world.living()
            }:
                service.restore(row["id"])
        elif what == "block":
            service.block(row["id"])
        elif what == "address":
            service.change(row["id"], email_address=f"elsewhere{next(self.numbers)}@example.com")
        else:
            service.change(
                row["id"], **{"name": {"first_name": "Somebody"}, "phone": {"phone_number": "+33"}}[what]
            )

    @rule(who=ANYBODY)
    def buy(self, *, who: int) -> None:
        """Make an order in the shop: its checkout makes a customer without a reference."""
        user = self._user(who)
        if user is not None and mapping.wanted(user).yes and "." in user.email.rpartition("@")[2]:
            self.world.service.checkout(email=user.email)

    # What the engine does

    @rule(seconds=st.sampled_from([2.0, 20.0, 70.0, 160.0, 400.0, 1000.0, A_DAY_AND_MORE]))
    def wait(self, *, seconds: float) -> None:
        self.world.clock.let_pass(seconds)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule()
    def drain(self) -> None:
        before = self._final()
        self.world.drain()
        assert self._disturbed(before) == []

    @rule(seconds=st.sampled_from([20.0, 400.0]))
    def wait_and_drain(self, *, seconds: float) -> None:
        self.world.clock.let_pass(seconds)
        self.drain()

    @rule(place=st.sampled_from(PLACES), sweeps=st.booleans())
    def work_and_be_killed(self, *, place: str, sweeps: bool) -> None:
        self.world.planned[place] = self.world.kill
        self._work(sweeps=sweeps)

    @rule(
        place=st.sampled_from(FREE_PLACES),
        what=st.sampled_from(
            ["name", "address", "theirs", "off", "leave", "erase", "resync", "block", "retry"]
        ),
        who=ANYBODY,
        pause=st.sampled_from(PAUSES),
        sweeps=st.sampled_from([False, False, False, True]),
    )
    def work_while_something_changes(
        self, *, place: str, what: str, who: int, pause: float, sweeps: bool
    ) -> None:
        def change() -> None:
            self.world.clock.let_pass(pause)
            if what == "leave":
                self.leave(who=who, heard=True, returns=False)
            elif what in {"erase", "resync", "block", "retry"}:
                if CustomerLink.objects.exists():
                    self.decide(what=what, which=who, choice=0)
            else:
                self.change(who=who, what=what, whose=(who + 1) % CROWD, heard=True)

        self.world.planned[place] = change
        self._work(sweeps=sweeps)

    @rule(place=st.sampled_from(FREE_PLACES), pause=st.sampled_from(PAUSES), who=ANYBODY, moves=st.booleans())
    def work_beside_another_worker(self, *, place: str, pause: float, who: int, moves: bool) -> None:
        self.world.planned[place] = lambda: self._overtake(pause, who if moves else None)
        self._work(sweeps=False)

    @rule(pause=st.sampled_from(PAUSES), who=ANYBODY, moves=st.booleans())
    def create_beside_another_worker(self, *, pause: float, who: int, moves: bool) -> None:
        """Let a create rest at the service between check and insert while another worker drains."""
        fault = Fault("stall", method="POST", seconds=40)
        self.world.service.faults.add(fault)
        self.world.planned[IN_THE_SERVICE] = lambda: self._overtake(pause, who if moves else None)
        self._work(sweeps=False)
        self.world.service.faults.remove(fault)

    def _overtake(self, pause: float, who: int | None) -> None:
        self.world.clock.let_pass(pause)
        self.world.drain()
        if who is not None:
            self.change(who=who, what="address", whose=who, heard=True)
            self.world.drain()

    def _work(self, *, sweeps: bool) -> None:
        if sweeps:
            self.world.sweep()
        self.world.drain()
        self.world.planned.clear()

    # What has to hold after each step

    @invariant()
    def all_is_well(self) -> None:
        self.nobody_has_two_customers()
        self.the_book_of_creates_is_right()
        self.the_rows_are_sound()
        self.the_account_is_sound()

    def nobody_has_two_customers(self) -> None:
        assert set(self.world.doubled()) <= self.handed_over

    def the_book_of_creates_is_right(self) -> None:
        assert self.world.ledger.wrongs == []
        assert self.world.faults_of_the_engine == []

    def the_rows_are_sound(self) -> None:
        remote = {row["id"]: row for row in self.world.service.snapshot()}
        for link in CustomerLink.objects.select_related("customer"):
            assert list(_unsound(link)) == [], link.state
            assert not (
                link.state in {State.REJECTED, State.CONFLICT}
                and link.client_reference_id in self.world.ledger.refused
            ), f"{link.state} was believed without a look-up"
            if link.state == State.LINKED and link.customer is not None:
                shown = remote[link.customer.kohort_id]["client_reference_id"]
                is_ours = shown == link.client_reference_id or mapping.REFERENCE in link.fingerprint
                assert is_ours or link.client_reference_id in self.handed_over

    def the_account_is_sound(self) -> None:
        for account in Account.objects.all():
            is_open = account.gate == Account.Gate.OPEN
            assert is_open == (account.gate_reason == "")
            assert is_open == (account.gate_until is None)
            assert (account.drainer_token == "") == (account.drainer_until is None)

    def _final(self) -> dict[str, str]:
        """Map the references of those for whom nothing more is sent to the ids of their customers."""
        rows = CustomerLink.objects.select_related("customer").filter(state__in=FINAL)
        self._calls = len(self.world.service.log)
        return {link.client_reference_id: link.customer.kohort_id if link.customer else "-" for link in rows}

    def _disturbed(self, before: dict[str, str]) -> list[str]:
        calls = list(self.world.service.log)[self._calls :]
        return [
            f"{call.method} {call.path}"
            for call in calls
            if call.reference in before
            or call.path.split("/")[2:3] in [[kohort_id] for kohort_id in before.values()]
        ]

    # What has to hold in the end

    def settle_down(self) -> None:
        """Let the faults end and the time pass, until nothing is due any more."""
        self.world.service.faults.clear()
        self.world.planned.clear()
        services.resync(CustomerLink.objects.all())
        for _ in range(MOST_ROUNDS):
            self.world.clock.let_pass(A_DAY_AND_MORE)
            self.world.sweep()
            self.world.drain()
            if not CustomerLink.objects.exclude(next_attempt_at=None).exists():
                break
        calls = len(self.world.service.log)
        self.world.sweep()
        self.world.drain()
        assert len(self.world.service.log) == calls, "calls are made although nothing is left to do"

    def check_the_end(self) -> None:
        self.all_is_well()
        assert Account.objects.get().gate == Account.Gate.OPEN
        remote = {row["id"]: row for row in self.world.service.snapshot()}
        links = list(CustomerLink.objects.select_related("customer", "user"))
        for link in links:
            assert link.next_attempt_at is None, f"{link.state} is still due ({link.last_error_code})"
            assert link.lease_token == "", f"{link.state} is leased still"
            if link.state == State.ERASED:
                assert _left_of(link, remote) == []
            elif link.erase_asked_at is not None:
                assert link.state in {State.CONFLICT, State.IGNORED}, link.state
            else:
                assert _is_settled(link, remote) == ""
        missing = set(User.objects.values_list("pk", flat=True)) - {link.user_id for link in links}
        assert missing == set(), "users without a link"

    def _fields(self, what: str, *, who: int, theirs: str) -> dict[str, Any]:
        fields: dict[str, dict[str, Any]] = {
            "name": {"first_name": self._new("Ada")},
            "address": {"email": self._new_address()},
            "theirs": {"email": theirs},
            "former": {"email": f"{CANARY}former{who}@example.com"},
            "none": {"email": ""},
            "invalid": {"email": f"{CANARY}@localhost"},
            "off": {"is_active": False},
            "on": {"is_active": True},
        }
        return fields[what]

    def _new(self, word: str) -> str:
        return f"{word}{CANARY}{next(self.numbers)}"

    def _new_address(self) -> str:
        return f"{CANARY}{next(self.numbers)}@example.com"

    def _user(self, number: int) -> Any:
        users = list(User.objects.order_by("pk"))
        return users[number % len(users)] if users else None


def _verified(_user: Any) -> bool:
    return True


def _unsound(link: CustomerLink) -> Any:
    """Name what cannot be true of a row, beyond what the database's own constraints refuse."""
    if (link.lease_token == "") != (link.lease_until is None):
        yield "half a lease"
    if link.posts and (link.intent_email is None or link.settle_until is None):
        yield "an open create without its address or window"
    if link.state == State.UNCERTAIN and not link.posts:
        yield "uncertain about nothing"
    if (link.conflict_kind != "") != (link.state == State.CONFLICT):
        yield "a conflict that is none"
    if link.state in FINAL and link.next_attempt_at is not None and link.user_gone_at is None:
        yield "final, and due"
    if link.state in {State.PENDING, State.UNCERTAIN, State.ERASING, State.PARKED} and not (
        link.next_attempt_at or link.state == State.PARKED
    ):
        yield "waiting for nothing"


def _is_settled(link: CustomerLink, remote: dict[str, dict[str, Any]]) -> str:
    """Say what is wrong with a link that rests; empty where it keeps the promise."""
    code = link.conflict_kind or link.last_error_code
    if link.state == State.IGNORED:
        return ""
    if link.state in LISTED or (link.state == State.LINKED and code):
        return "" if code in reasons.CODES else f"{link.state} without a reason ({code})"
    if link.state != State.LINKED or link.customer is None or link.user is None:
        return f"{link.state} is no place to rest"
    theirs, data = remote[link.customer.kohort_id], mapping.customer_data(link.user)
    shown = (
        theirs["email_address"],
        theirs["first_name"],
        theirs["client_reference_id"],
        theirs["deleted_at"],
    )
    promised = (data.email_address, data.first_name, link.client_reference_id, None)
    if shown != promised:
        return f"linked, but {shown} is not {promised}"
    return "" if link.customer.is_blocked == theirs["is_blocked"] else "the mirror shows another block"


def _left_of(link: CustomerLink, remote: dict[str, dict[str, Any]]) -> list[str]:
    found = traces([link, *link.history.all(), *([link.customer] if link.customer else [])])
    if link.last_error_code == "erased_anonymised" and link.customer is not None:
        found += [
            name for name, value in remote[link.customer.kohort_id].items() if CANARY in str(value).lower()
        ]
    return found
