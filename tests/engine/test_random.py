"""Long lives of a few users under random faults, crashes and changes: nobody is lost, nobody is doubled."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from kohort_sync import drainer, gate, links, mapping, services, sweep
from kohort_sync.drainer import throttle, turn
from kohort_sync.models import Account, CustomerLink, State
from kohort_sync.testing.faults import Fault, Kind
from kohort_sync.testing.service import Service
from tests.engine.people import User, let_time_pass, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

STEPS = 90
CROWD = 4
"""Few users: what two things do to one of them is found sooner."""
LISTED = (State.SKIPPED, State.REJECTED, State.CONFLICT)
LONGEST_WAIT = 7 * 3600.0
"""Longer than any backoff, closure, lease or window."""
CALLS_PER_CAUSE = 6
FAULTS: tuple[tuple[Kind, dict[str, Any]], ...] = (
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status", {"status": 401}),
    ("status", {"status": 404}),
    ("html", {}),
    ("rate_limit", {}),
    ("redirect", {}),
    ("garbage_json", {}),
    ("reset", {}),
    ("truncated", {}),
)


class Crash(BaseException):
    """Stand for a killed process: nothing of the engine's catches it."""


class Clock:
    """Stand for `time` where the pace waits: its pauses are longer than these drains."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds


class World:
    """Hold the users and the service, and do one random thing after the other."""

    def __init__(self, service: Service, *, seed: int) -> None:
        self.service = service
        self.dice = random.Random(seed)
        self.users: list[Any] = []
        self.causes = 0
        self.told: list[str] = []
        # What happens at the next passage of a place in the engine.
        self.planned: dict[str, Callable[[], None]] = {}

    # Things that happen

    def join(self) -> None:
        if len(self.users) < CROWD:
            self.users.append(sign_up(f"user{len(self.users)}"))

    def join_in_bulk(self) -> None:
        name = f"user{len(self.users)}"
        if len(self.users) < CROWD:
            self.users += User.objects.bulk_create([User(username=name, email=f"{name}@example.com")])

    def rename(self) -> None:
        self._change(first_name=self.dice.choice(["Ada", "Augusta"]))

    def move(self) -> None:
        """Take an address: a new one, a former one, somebody else's, none, or one that is no address."""
        number = self.dice.randrange(len(self.users) + 1)
        addresses = [f"user{number}@example.com", f"new{number}@example.com", "", "nobody@localhost"]
        self._change(email=self.dice.choices(addresses, [3, 6, 1, 1])[0])

    def come_and_go(self) -> None:
        self._change(is_active=self.dice.random() < 0.7)

    def leave(self) -> None:
        user = self._anybody()
        if user is not None and self.dice.random() < 0.3:
            user.delete()

    def leave_unheard(self) -> None:
        user = self._anybody()
        if user is not None and self.dice.random() < 0.3:
            User.objects.filter(pk=user.pk)._raw_delete("default")

    def resync(self) -> None:
        rows = CustomerLink.objects.all()
        self.causes += rows.count()
        services.resync(rows)

    def fail(self) -> None:
        kind, more = self.dice.choice(FAULTS)
        # Who refuses a request has not carried it out.
        may_have_worked = kind != "rate_limit" and more.get("status", 500) >= 500
        self.service.faults.add(
            Fault(
                kind,
                times=self.dice.choice([1, 1, 2, 6]),
                method=self.dice.choice(["POST", "POST", "PATCH", "GET", None]),
                after_commit=may_have_worked and self.dice.random() < 0.5,
                **more,
            )
        )
        self.causes += 5

    def wait(self) -> None:
        let_time_pass(self.dice.choice([2, 20, 70, 160, 400, 1000, LONGEST_WAIT]))

    def sweep(self) -> None:
        sweep.sweep("default")

    def drain(self) -> None:
        try:
            drainer.drain("default", budget=0.2, linger=0)
        except Crash:
            self.causes += 3 * len(self.users)
            # What was on its way when the process was killed may be taken back before anybody looks.
            self.rename()

    def drain_with_an_incident(self) -> None:
        """Drain, and at some point of the turn somebody changes something, or the process is killed."""
        incidents = [self._crash] * 4 + [self.rename, self.move, self.leave, self.come_and_go, self.resync]
        self.planned[self.dice.choice(["read", "intend", "sent", "sent", "settled"])] = self.dice.choice(
            incidents
        )
        self.drain()
        self.planned.clear()

    def step(self) -> None:
        actions: dict[Callable[[], None], int] = {
            self.join: 4,
            self.join_in_bulk: 1,
            self.rename: 10,
            self.move: 6,
            self.come_and_go: 2,
            self.leave: 1,
            self.leave_unheard: 1,
            self.resync: 1,
            self.fail: 5,
            self.wait: 10,
            self.sweep: 1,
            self.drain: 12,
            self.drain_with_an_incident: 12,
        }
        action = self.dice.choices(list(actions), list(actions.values()))[0]
        self.told.append(action.__name__)
        self.causes += 1
        action()

    def settle_down(self) -> None:
        """Let the faults end and the time pass, until nothing is due any more."""
        self.service.faults.clear()
        for _ in range(15):
            let_time_pass(LONGEST_WAIT)
            self.sweep()
            self.drain()

    def pass_by(self, place: str) -> None:
        self.planned.pop(place, lambda: None)()

    def _change(self, **fields: Any) -> None:
        user = self._anybody()
        if user is not None:
            for name, value in fields.items():
                setattr(user, name, value)
            user.save(update_fields=list(fields))

    def _anybody(self) -> Any:
        keys = list(User.objects.order_by("pk").values_list("pk", flat=True))
        return User.objects.get(pk=self.dice.choice(keys)) if keys else None

    def _crash(self) -> None:
        raise Crash

    # What has to hold

    def doubled(self) -> list[str]:
        living = Counter(
            row["client_reference_id"] for row in self.service.snapshot() if row["deleted_at"] is None
        )
        return [reference for reference, number in living.items() if number > 1]

    def unsettled(self) -> list[str]:
        """Describe each user who is neither linked with equal data nor listed with a reason."""
        remote = {row["id"]: row for row in self.service.snapshot()}
        found = []
        for user in User.objects.all():
            link = CustomerLink.objects.select_related("customer").filter(user=user).first()
            if link is None:
                found.append(f"{user}: no link")
            elif link.next_attempt_at is not None or link.lease_token:
                found.append(f"{user}: {link.state} is still due ({link.last_error_code})")
            elif link.state in LISTED or (link.state == State.LINKED and link.last_error_code):
                if not (link.last_error_code or link.conflict_kind):
                    found.append(f"{user}: {link.state} without a reason")
            elif link.state != State.LINKED or link.customer is None:
                found.append(f"{user}: {link.state}")
            else:
                theirs = remote[link.customer.kohort_id]
                data = mapping.customer_data(user)
                shown = (theirs["email_address"], theirs["first_name"], theirs["client_reference_id"])
                if shown != (data.email_address, data.first_name, link.client_reference_id):
                    found.append(f"{user}: linked, but {shown} is not what was promised")
        return found


@pytest.fixture
def world_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], World]:
    """Return how to make a world whose engine passes by the places where something may happen."""

    def make(seed: int) -> World:
        world = World(service, seed=seed)

        def around(owner: Any, name: str, *, before: str = "", after: str = "") -> None:
            original = getattr(owner, name)

            def passing(*args: Any, **kwargs: Any) -> Any:
                world.pass_by(before)
                value = original(*args, **kwargs)
                world.pass_by(after)
                return value

            monkeypatch.setattr(owner, name, passing)

        monkeypatch.setattr(throttle, "time", Clock())
        around(turn, "_users", after="read")
        around(links, "intend", after="intend")
        around(turn.Turn, "_settle", before="sent", after="settled")
        return world

    return make


@pytest.mark.parametrize("seed", range(12))
def test_in_the_end_every_user_is_linked_once_with_equal_data_or_listed(
    world_of: Callable[[int], World], service: Service, seed: int
) -> None:
    world = world_of(seed)
    services.backfill("default")
    world.join()

    for _ in range(STEPS):
        world.step()
        assert world.doubled() == [], world.told
    in_trouble = len(service.log)
    world.settle_down()
    after = len(service.log)
    world.settle_down()

    assert world.doubled() == []
    assert world.unsettled() == [], world.told
    assert in_trouble <= CALLS_PER_CAUSE * world.causes
    assert len(service.log) == after, "calls are made although nothing is left to do"
    assert gate.read(Account.objects.get().key, using="default").open
