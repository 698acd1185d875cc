"""The state machine: what may happen to a few users, and what has to hold after each thing and in the end."""

import itertools
from typing import Any

from django.conf import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kohort_sync import decisions, mapping, reasons, services
from kohort_sync.client import errors
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

NAMES = (f"Ada{CANARY}", f"Augusta{CANARY}")
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
TURNING_PLACES = (
    *(f"{when} {name}" for name in ("create", "update", "find", "intend") for when in ("before", "after")),
    "after claim",
    "before conclude",
    "before settling",
)
"""Where two workers of one row can do each other harm: more often than anywhere else."""
ANSWERED_PLACES = ("before create", "after create", "before update", "after update")
SWEEPING_PLACES = tuple(
    f"{when} {name}"
    for name in ("forgetting", "recording", "comparing", "choosing", "pruning")
    for when in ("before", "after")
)
# Long enough for the drainer's lease, for the row's lease, and for neither.
PAUSES = (0.0, 31.0, 160.0, 160.0)
WAITS = st.sampled_from([0.0, 20.0, 100.0, 400.0])
LEADS = st.sampled_from(["nothing", "name", "name", "address", "join", "block"])
MEANWHILE = ("nothing", "name", "address", "erase", "ignore")
LONGER_THAN_THE_WINDOW = 1000.0
"""A create that rests so long may meet its repetition; then the equal address keeps the second one out."""


class Life(RuleBasedStateMachine):
    """Live through anything; a failing run is told as a list of calls that can be pasted into a test.

    A rule that finds nobody does nothing: which rules there are must not depend on the time of the database.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = Simulation().open()
        self.numbers = itertools.count()
        self.told: list[str] = []
        # References that a person has put onto a second customer while the first one lived.
        self.handed_over: set[str] = set()
        # Links that a person has left out, until somebody decides otherwise.
        self.left_out: set[int] = set()
        # Customers that somebody changed behind our back.
        self.touched: set[str] = set()
        services.backfill("default")

    def teardown(self) -> None:
        try:
            self.world.service.faults.clear()
            self.world.planned.clear()
            self.settle_down()
            self.check_the_end()
            if self.touched:
                # What was done behind our back is found out when somebody asks for a comparison.
                self.touched.clear()
                services.resync(CustomerLink.objects.all())
                self.settle_down()
                self.check_the_end()
        finally:
            self.world.close()

    @initialize(erases=st.booleans(), adopts=st.booleans(), linked=st.booleans())
    def begin(self, *, erases: bool, adopts: bool, linked: bool) -> None:
        """Choose what the site wants; two users are there already, perhaps with their customers."""
        settings.KOHORT_SYNC |= {
            "ON_USER_DELETE": "erase" if erases else "keep",
            "ADOPT_BY_EMAIL": adopts,
            "EMAIL_VERIFIED": _verified,
        }
        self.sign_up(heard=True)
        self.sign_up(heard=True)
        if linked:
            self.world.drain()

    # What people do

    @rule(heard=st.booleans())
    def sign_up(self, *, heard: bool) -> None:
        if _still_here().count() >= CROWD:
            return
        user = User(username=self._new("user"), email=self._new_address(), first_name=NAMES[0])
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
        fields = self._fields(what, user, who=who, theirs=other.email)
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
            User(pk=key, username=self._new("user"), email=self._new_address(), first_name=NAMES[0]).save(
                force_insert=True
            )

    @rule(
        what=st.sampled_from(
            ["resync", "retry", "resolve", "resolve", "resolve", "block", "unblock", "erase"]
        ),
        which=st.integers(0, 5),
        choice=st.integers(0, 4),
    )
    def decide(self, *, what: str, which: int, choice: int) -> None:
        rows = CustomerLink.objects.order_by("pk")
        if not rows:
            return
        link = rows[which % len(rows)]
        # People write names and addresses into reasons; that of an erasure is kept, without the address.
        reason = f"{CANARY}@example.com has called" + ("" if what == "erase" else f", {NAMES[0]}")
        try:
            if what in {"retry", "resolve"}:
                self.left_out -= {link.pk} if what == "resolve" else self.left_out
            if what == "resync":
                services.resync(rows.all(), reason=reason)
            elif what == "retry":
                services.retry(rows.all(), reason=reason)
            elif what == "resolve":
                self._resolve(link, choice, reason=reason)
            elif what == "ignore":
                services.resolve(link, choice=what, reason=reason)
                self.left_out.add(link.pk)
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

    @rule(
        which=st.integers(0, 5),
        what=st.sampled_from(["delete", "restore", "block", "name", "address", "phone"]),
    )
    def change_there(self, *, which: int, what: str) -> None:
        service, customers = self.world.service, self.world.service.snapshot()
        if not customers:
            return
        row = customers[which % len(customers)]
        if row["email_address"].endswith("@erased.invalid"):
            return
        self.touched.add(row["id"])
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
            self.touched.add(self.world.service.checkout(email=user.email))

    # What the engine does

    @rule(seconds=st.sampled_from([2.0, 20.0, 70.0, 160.0, 400.0, 1000.0, A_DAY_AND_MORE]))
    def wait(self, *, seconds: float) -> None:
        self.world.clock.let_pass(seconds)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule(seconds=WAITS)
    def drain(self, *, seconds: float) -> None:
        self.world.clock.let_pass(seconds)
        before = self._final()
        self.world.drain()
        assert self._disturbed(before) == []

    @rule(place=st.sampled_from([*PLACES, *TURNING_PLACES]), lead=LEADS, who=ANYBODY, seconds=WAITS)
    def work_and_be_killed(self, *, place: str, lead: str, who: int, seconds: float) -> None:
        self._lead(lead, who, seconds)
        self.world.planned[place] = self.world.kill
        self._work(sweeps=place in SWEEPING_PLACES)

    @rule(
        place=st.sampled_from([*FREE_PLACES, *TURNING_PLACES]),
        lead=LEADS,
        what=st.sampled_from(
            ["name", "address", "theirs", "off", "leave", "erase", "resync", "block", "retry"]
        ),
        who=ANYBODY,
        whom=ANYBODY,
        seconds=WAITS,
    )
    def work_while_something_changes(
        self, *, place: str, lead: str, what: str, who: int, whom: int, seconds: float
    ) -> None:
        self._lead(lead, who, seconds)
        self.world.planned[place] = lambda: self._happen(what, whom)
        self._work(sweeps=place in SWEEPING_PLACES)

    @rule(
        place=st.sampled_from([*FREE_PLACES, *TURNING_PLACES, *TURNING_PLACES]),
        lead=LEADS,
        pause=st.sampled_from(PAUSES),
        who=ANYBODY,
        then=st.sampled_from(MEANWHILE),
        dies=st.booleans(),
    )
    def work_beside_another_worker(
        self, *, place: str, lead: str, pause: float, who: int, then: str, dies: bool
    ) -> None:
        """Work, and at a place rest while another worker drains; then go on, perhaps no further than that."""

        def overtake() -> None:
            self._overtake(pause, who, then)
            if dies:
                self.world.planned[place.replace("before", "after")] = self.world.kill

        self._lead(lead, who, 100.0)
        self.world.planned[place] = overtake
        self._work(sweeps=place in SWEEPING_PLACES)

    @rule(
        place=st.sampled_from(TURNING_PLACES),
        who=ANYBODY,
        how=st.sampled_from(["is overtaken", "is killed", "gets no answer"]),
    )
    def take_a_change_back(self, *, place: str, who: int, how: str) -> None:
        """Change a name, and take that back while a worker sends it, who may come to grief."""

        def meet() -> None:
            if how == "is overtaken":
                self.world.clock.let_pass(160.0)
                self._happen("name", who)
                self.world.drain()
            self._happen("name", who)
            if how == "is killed":
                self.world.kill()
            if how == "gets no answer" and place in ANSWERED_PLACES:
                raise errors.NoAnswer

        self._lead("name", who, 100.0)
        self.world.planned[place] = meet
        self._work(sweeps=False)

    @rule(
        pause=st.sampled_from([*PAUSES, LONGER_THAN_THE_WINDOW, LONGER_THAN_THE_WINDOW]),
        who=ANYBODY,
        moves=st.booleans(),
        then=st.sampled_from(MEANWHILE),
    )
    def create_beside_another_worker(self, *, pause: float, who: int, moves: bool, then: str) -> None:
        """Let a create rest at the service between check and insert while another worker drains."""

        def overtake() -> None:
            if moves:
                self.change(who=who, what="address", whose=who, heard=True)
            self._overtake(pause, who, then)

        self._lead("join", who, 100.0)
        fault = Fault("stall", method="POST", seconds=40)
        self.world.service.faults.add(fault)
        self.world.planned[IN_THE_SERVICE] = overtake
        self._work(sweeps=False)
        self.world.service.faults.remove(fault)

    def _overtake(self, pause: float, who: int, then: str) -> None:
        self.world.clock.let_pass(pause)
        self.world.drain()
        self._happen(then, who)
        self.world.drain()

    def _lead(self, lead: str, who: int, seconds: float) -> None:
        """Give the engine something to do, and let the gate open that a fault before has closed."""
        self.world.clock.let_pass(seconds)
        self._happen(lead, who)

    def _happen(self, what: str, who: int) -> None:
        if what == "join":
            self.sign_up(heard=True)
        elif what == "leave":
            self.leave(who=who, heard=True, returns=False)
        elif what in {"erase", "resync", "block", "retry", "ignore"}:
            self.decide(what=what, which=who, choice=0)
        elif what != "nothing":
            self.change(who=who, what=what, whose=(who + 1) % CROWD, heard=True)

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
            unsound = [f"{link.state}: {what}" for what in _unsound(link)]
            assert unsound == [], unsound
            assert link.pk not in self.left_out or link.state in {*FINAL, State.ERASING}
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
        """Let the time pass, until nothing is due any more."""
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
                left = _left_of(link, remote)
                assert left == [], left
                assert link.client_reference_id in self.handed_over or not self._known_there(link)
            elif link.erase_asked_at is not None:
                assert link.state in {State.CONFLICT, State.IGNORED}, link.state
            elif link.customer is None or link.customer.kohort_id not in self.touched:
                assert _is_settled(link, remote) == ""
        missing = set(User.objects.values_list("pk", flat=True)) - {link.user_id for link in links}
        assert missing == set(), "users without a link"

    def _known_there(self, link: CustomerLink) -> list[str]:
        """Return the living customers of a link that tell something about the person."""
        return [
            row["id"]
            for row in self.world.living()
            if row["client_reference_id"] == link.client_reference_id and CANARY in str(row).lower()
        ]

    def _fields(self, what: str, user: Any, *, who: int, theirs: str) -> dict[str, Any]:
        fields: dict[str, dict[str, Any]] = {
            # Only two: what is taken back is like what was sent before.
            "name": {"first_name": NAMES[user.first_name == NAMES[0]]},
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
        users = list(_still_here().order_by("pk"))
        return users[number % len(users)] if users else None


def _still_here() -> Any:
    """Return the users with whom something can still happen."""
    return User.objects.exclude(kohort_links__state__in=FINAL)


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
