"""Every way from one state to another, each brought about by what people, the service or time can do."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from kohort_sync import delivery, links, services
from kohort_sync.models import CustomerLink, State
from kohort_sync.models.states import TRANSITIONS
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

S = State
HOUR = 3600.0
DAY = 24 * HOUR
REASON = "for the test"
NOBODY = "cus_nobody"


class Killed(BaseException):
    """Stand for a process that is killed."""


@dataclass
class World:
    """Hold the simulated service and the site's settings."""

    service: Service
    settings: Any

    def configure(self, **changes: Any) -> None:
        self.settings.KOHORT_SYNC = self.settings.KOHORT_SYNC | changes


Act = Callable[[World, Any], None]


# How a user gets into a state


def pending(_: World) -> Any:
    return sign_up()


def uncertain(world: World) -> Any:
    user = sign_up()
    lost(world, user)
    return user


def linked(_: World) -> Any:
    user = sign_up()
    drain()
    return user


def skipped(_: World) -> Any:
    user = sign_up(is_active=False)
    drain()
    return user


def rejected(_: World) -> Any:
    user = sign_up(email="ada@localhost")
    drain()
    return user


def in_conflict(_: World) -> Any:
    sign_up("holder")
    drain()
    user = sign_up(email="holder@example.com")
    drain()
    return user


def linked_in_conflict(world: World) -> Any:
    sign_up("holder")
    user = linked(world)
    change(user, email="holder@example.com")
    drain()
    return user


def parked(world: World) -> Any:
    user = sign_up()
    function_fails_for_days(world, user)
    world.configure(SHOULD_SYNC=None)
    return user


def parked_after_it_was_linked(world: World) -> Any:
    user = linked(world)
    function_fails_for_days(world, user)
    world.configure(SHOULD_SYNC=None)
    return user


def parked_with_a_lost_answer(world: World) -> Any:
    user = uncertain(world)
    look_ups_fail_for_days(world, user)
    world.service.faults.clear()
    return user


def parked_while_being_erased(world: World) -> Any:
    user = erasing(world)
    changes_fail_for_days(world, user)
    world.service.faults.clear()
    return user


def erasing(world: World) -> Any:
    user = linked(world)
    erased_on_request(world, user)
    return user


def erased(world: World) -> Any:
    user = erasing(world)
    drain()
    return user


def ignored(world: World) -> Any:
    user = pending(world)
    left_out(world, user)
    return user


def ignored_after_it_was_linked(world: World) -> Any:
    user = linked(world)
    left_out(world, user)
    return user


def ignored_with_a_lost_answer(world: World) -> Any:
    user = parked_with_a_lost_answer(world)
    left_out(world, user)
    return user


def skipped_while_it_was_to_be_adopted(world: World) -> Any:
    return _unsent_while_to_be_adopted(world, pending(world), is_active=False)


def skipped_while_nobody_was_to_be_adopted(world: World) -> Any:
    return _unsent_while_to_be_adopted(world, pending(world), kohort_id=NOBODY, is_active=False)


def rejected_while_it_was_to_be_adopted(world: World) -> Any:
    return _unsent_while_to_be_adopted(world, rejected(world))


def rejected_while_nobody_was_to_be_adopted(world: World) -> Any:
    return _unsent_while_to_be_adopted(world, rejected(world), kohort_id=NOBODY)


def _unsent_while_to_be_adopted(world: World, user: Any, *, kohort_id: str = "", **fields: Any) -> Any:
    kohort_id = kohort_id or world.service.add_customer(email="theirs@example.com")
    services.resolve(user, choice="adopt", kohort_id=kohort_id, reason=REASON)
    change(user, **fields)
    drain()
    return user


# What happens to a user


def change(user: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(user, name, value)
    user.save()


def lost(world: World, _: Any) -> None:
    """Lose the request to create, so that nobody knows whether it has arrived."""
    world.service.faults.add(Fault("reset", method="POST"))
    drain()


def turned_away(world: World, _: Any) -> None:
    world.service.faults.add(Fault("rate_limit", method="POST", seconds=60))
    drain()


def found(_: World, user: Any) -> None:
    let_time_pass(20)
    drain()


def found_twice(world: World, user: Any) -> None:
    reference = link_of(user).client_reference_id
    for name in ("one", "two"):
        world.service.add_customer(email=f"{name}@example.com", reference=reference)
    let_time_pass(20)
    drain()


def adopted(world: World, user: Any) -> None:
    kohort_id = world.service.add_customer(email="ada@example.com")
    services.resolve(user, choice="adopt", kohort_id=kohort_id, reason=REASON)
    drain()


def nobody_adopted(_: World, user: Any) -> None:
    services.resolve(user, choice="adopt", kohort_id=NOBODY, reason=REASON)
    drain()


def tried_again(_: World, user: Any) -> None:
    services.retry(CustomerLink.objects.filter(user=user))


def left_out(_: World, user: Any) -> None:
    services.resolve(user, choice="ignore", reason=REASON)


def erased_on_request(_: World, user: Any) -> None:
    services.erase(user, reason=REASON)


def reported_late(_: World, user: Any) -> None:
    """Hear from a worker that had lost the row before it was erased, and sent something all the same."""
    late = links.Batch(account="default/test", token="late", links=(), claimed_at=timezone.now(), ends=0.0)
    links.report_late(late, [link_of(user).pk], using="default")


def sent(_: World, user: Any) -> None:
    drain()


def unwanted(_: World, user: Any) -> None:
    change(user, is_active=False)
    drain()


def wanted_again(_: World, user: Any) -> None:
    change(user, is_active=True)
    drain()


def corrected(_: World, user: Any) -> None:
    change(user, email="ada@example.com")
    drain()


def spoilt(_: World, user: Any) -> None:
    """Give the user an address that no service accepts."""
    change(user, email="ada@localhost", is_active=True)
    drain()


def deleted_remotely(world: World, user: Any) -> None:
    customer = link_of(user).customer
    assert customer is not None
    world.service.soft_delete(customer.kohort_id)
    change(user, first_name="Augusta")
    drain()


def erasure_refused(world: World, _: Any) -> None:
    world.service.faults.add(Fault("status", method="PATCH", status=400))
    drain()


def after(seconds: float, act: Act) -> Act:
    """Let time pass before something happens."""

    def later(world: World, user: Any) -> None:
        let_time_pass(seconds)
        act(world, user)

    return later


def and_lost(**fields: Any) -> Act:
    """Change a user, and lose the request to create that follows."""

    def changed(world: World, user: Any) -> None:
        change(user, **fields)
        lost(world, user)

    return changed


def function_fails_for_days(world: World, user: Any) -> None:
    world.configure(SHOULD_SYNC=_failing)
    change(user)
    _for_days()


def look_ups_fail_for_days(world: World, _: Any) -> None:
    world.service.faults.add(Fault("garbage_json", times=None, method="GET"))
    _for_days(others="look")


def changes_fail_for_days(world: World, _: Any) -> None:
    world.service.faults.add(Fault("status", times=None, method="PATCH", status=500))
    _for_days(others="change")


def _for_days(*, others: str = "") -> None:
    """Drain for more than a day, through all the tries of a row, while the account works for others."""
    for number in range(14):
        if others:
            sign_up(f"{others}{number}")
        drain()
        let_time_pass(6 * HOUR)
    drain()


def kills_each_process(world: World, user: Any) -> None:
    world.configure(SHOULD_SYNC=_killing)
    change(user)
    for _ in range(6):
        with pytest.raises(Killed):
            drain()
        let_time_pass(7 * HOUR)
    drain()


def _failing(_user: Any) -> bool:
    raise LookupError


def _killing(_user: Any) -> bool:
    raise Killed


# The table


@dataclass(frozen=True)
class Scenario:
    """Say how a user gets into the state before, what happens then, and what the row says after it."""

    arrange: Callable[[World], Any]
    act: Act
    code: str = ""
    begins: State | None = None
    """The state at the beginning, where the state before is passed through within one turn."""


SCENARIOS: dict[tuple[State, State], Scenario] = {
    (S.PENDING, S.UNCERTAIN): Scenario(pending, lost, "no_answer"),
    (S.PENDING, S.LINKED): Scenario(pending, adopted),
    (S.PENDING, S.SKIPPED): Scenario(pending, unwanted, "not_wanted"),
    (S.PENDING, S.REJECTED): Scenario(pending, spoilt, "email_invalid"),
    (S.PENDING, S.CONFLICT): Scenario(pending, nobody_adopted, "adoption_failed"),
    (S.PENDING, S.PARKED): Scenario(pending, function_fails_for_days, "host_function_failed"),
    (S.PENDING, S.ERASING): Scenario(pending, erased_on_request),
    (S.PENDING, S.IGNORED): Scenario(pending, left_out),
    # Surely nothing was made, and before it was sent the row said that something might be.
    (S.UNCERTAIN, S.PENDING): Scenario(pending, turned_away, "rate_limited", begins=S.PENDING),
    (S.UNCERTAIN, S.LINKED): Scenario(uncertain, after(12 * 60, sent)),
    (S.UNCERTAIN, S.SKIPPED): Scenario(uncertain, after(12 * 60, unwanted), "not_wanted"),
    (S.UNCERTAIN, S.REJECTED): Scenario(uncertain, after(12 * 60, spoilt), "email_invalid"),
    (S.UNCERTAIN, S.CONFLICT): Scenario(uncertain, found_twice, "duplicate_remote"),
    (S.UNCERTAIN, S.PARKED): Scenario(uncertain, look_ups_fail_for_days, "unreadable"),
    (S.UNCERTAIN, S.ERASING): Scenario(uncertain, erased_on_request),
    (S.LINKED, S.CONFLICT): Scenario(linked, deleted_remotely, "deleted_remotely"),
    (S.LINKED, S.PARKED): Scenario(linked, function_fails_for_days, "host_function_failed"),
    (S.LINKED, S.ERASING): Scenario(linked, erased_on_request),
    (S.LINKED, S.IGNORED): Scenario(linked, left_out),
    (S.SKIPPED, S.PENDING): Scenario(skipped, tried_again),
    (S.SKIPPED, S.UNCERTAIN): Scenario(skipped, and_lost(is_active=True), "no_answer"),
    (S.SKIPPED, S.LINKED): Scenario(skipped_while_it_was_to_be_adopted, wanted_again),
    (S.SKIPPED, S.REJECTED): Scenario(skipped, spoilt, "email_invalid"),
    (S.SKIPPED, S.CONFLICT): Scenario(
        skipped_while_nobody_was_to_be_adopted, wanted_again, "adoption_failed"
    ),
    (S.SKIPPED, S.PARKED): Scenario(skipped, kills_each_process, "crash_loop"),
    (S.SKIPPED, S.ERASING): Scenario(skipped, erased_on_request),
    (S.SKIPPED, S.IGNORED): Scenario(skipped, left_out),
    (S.REJECTED, S.PENDING): Scenario(rejected, tried_again),
    (S.REJECTED, S.UNCERTAIN): Scenario(rejected, and_lost(email="ada@example.com"), "no_answer"),
    (S.REJECTED, S.LINKED): Scenario(rejected_while_it_was_to_be_adopted, corrected),
    (S.REJECTED, S.SKIPPED): Scenario(rejected, unwanted, "not_wanted"),
    (S.REJECTED, S.CONFLICT): Scenario(rejected_while_nobody_was_to_be_adopted, corrected, "adoption_failed"),
    (S.REJECTED, S.PARKED): Scenario(rejected, kills_each_process, "crash_loop"),
    (S.REJECTED, S.ERASING): Scenario(rejected, erased_on_request),
    (S.REJECTED, S.IGNORED): Scenario(rejected, left_out),
    (S.CONFLICT, S.PENDING): Scenario(in_conflict, tried_again),
    (S.CONFLICT, S.UNCERTAIN): Scenario(in_conflict, and_lost(email="ada@example.com"), "no_answer"),
    (S.CONFLICT, S.LINKED): Scenario(linked_in_conflict, corrected),
    (S.CONFLICT, S.SKIPPED): Scenario(in_conflict, unwanted, "not_wanted"),
    (S.CONFLICT, S.REJECTED): Scenario(in_conflict, spoilt, "email_invalid"),
    (S.CONFLICT, S.PARKED): Scenario(in_conflict, kills_each_process, "crash_loop"),
    (S.CONFLICT, S.ERASING): Scenario(in_conflict, erased_on_request),
    (S.CONFLICT, S.IGNORED): Scenario(in_conflict, left_out),
    (S.PARKED, S.PENDING): Scenario(parked, tried_again),
    (S.PARKED, S.UNCERTAIN): Scenario(parked, after(DAY, lost), "no_answer"),
    (S.PARKED, S.LINKED): Scenario(parked_after_it_was_linked, after(DAY, sent)),
    (S.PARKED, S.SKIPPED): Scenario(parked, after(DAY, unwanted), "not_wanted"),
    (S.PARKED, S.REJECTED): Scenario(parked, after(DAY, spoilt), "email_invalid"),
    (S.PARKED, S.CONFLICT): Scenario(
        parked_after_it_was_linked, after(DAY, deleted_remotely), "deleted_remotely"
    ),
    (S.PARKED, S.ERASING): Scenario(parked, erased_on_request),
    # An erasure that was given up is taken up again by itself, and may then be done at once.
    (S.PARKED, S.ERASED): Scenario(parked_while_being_erased, after(DAY, sent), "erased_anonymised"),
    (S.PARKED, S.IGNORED): Scenario(parked, left_out),
    (S.ERASING, S.ERASED): Scenario(erasing, sent, "erased_anonymised"),
    (S.ERASING, S.CONFLICT): Scenario(erasing, erasure_refused, "erasure_refused"),
    (S.ERASING, S.PARKED): Scenario(erasing, changes_fail_for_days, "server_error"),
    (S.ERASED, S.ERASING): Scenario(erased, reported_late, "erased_anonymised"),
    (S.IGNORED, S.PENDING): Scenario(ignored, tried_again),
    (S.IGNORED, S.UNCERTAIN): Scenario(ignored_with_a_lost_answer, tried_again),
    (S.IGNORED, S.LINKED): Scenario(ignored_after_it_was_linked, tried_again),
    (S.IGNORED, S.ERASING): Scenario(ignored, erased_on_request),
}


@contextmanager
def watched(user: Any) -> Iterator[list[str]]:
    """Note each state that the database holds for the user's link, one after the other."""
    key, states, looking = link_of(user).pk, [link_of(user).state], False

    def look(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 — Django's signature
        nonlocal looking
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and not looking:
            looking = True
            try:
                now = CustomerLink.objects.filter(pk=key).values_list("state", flat=True).get()
            finally:
                looking = False
            if now != states[-1]:
                states.append(now)
        return result

    with connections["default"].execute_wrapper(look):
        yield states


@pytest.fixture
def world(service: Service, settings: Any) -> World:
    return World(service, settings)


@pytest.mark.parametrize("pair", SCENARIOS, ids="-".join)
def test_a_link_gets_from_one_state_to_the_other_and_says_why(
    world: World, pair: tuple[State, State]
) -> None:
    scenario = SCENARIOS[pair]
    user = scenario.arrange(world)

    with watched(user) as states:
        scenario.act(world, user)

    link = link_of(user)
    ways = [way for way in itertools.pairwise(states) if way[0] != way[1]]
    assert states[0] == (scenario.begins or pair[0])
    assert (link.state, link.last_error_code) == (pair[1], scenario.code)
    assert ways[-1] == pair
    assert [way for way in ways if way[1] not in TRANSITIONS[State(way[0])]] == []


def test_every_way_in_the_table_of_transitions_is_gone_by_some_scenario() -> None:
    ways = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}

    assert set(SCENARIOS) == ways
    assert set(TRANSITIONS) == set(State)


# What one turn writes before and after it sends


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        (None, ["pending", "uncertain", "linked"]),
        (Fault("reset", method="POST", after_commit=True), ["pending", "uncertain"]),
        (Fault("status", method="POST", status=401), ["pending", "uncertain", "pending"]),
        (Fault("status", method="POST", status=422), ["pending", "uncertain", "rejected"]),
        (Fault("status", method="POST", status=409), ["pending", "uncertain", "conflict"]),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_row_says_uncertain_from_before_a_create_until_its_outcome_is_known(
    world: World, fault: Fault | None, states: list[str]
) -> None:
    user = sign_up()
    if fault is not None:
        world.service.faults.add(fault)

    with watched(user) as seen:
        drain()

    assert seen == states


def test_a_change_leaves_the_state_alone(world: World) -> None:
    user = linked(world)

    with watched(user) as seen:
        change(user, first_name="Augusta")
        drain()

    assert seen == ["linked"]
    assert world.service.snapshot()[0]["first_name"] == "Augusta"


# What the machine does not know


@pytest.mark.parametrize("before", State)
def test_a_settlement_that_the_machine_does_not_know_is_refused(before: State) -> None:
    link = CustomerLink(state=before)

    refused = set()
    for state in State:
        try:
            links.Settlement(link=link, state=state)
        except ValueError:
            refused.add(state)

    assert refused == set(State) - TRANSITIONS[before] - {before}


@pytest.mark.parametrize("decision", ["plan", "conclude"])
def test_a_decision_that_the_machine_does_not_know_stops_no_other_row_and_is_not_written(
    world: World, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    users = [sign_up(f"user{number}") for number in range(8)]
    wrong = link_of(users[3]).pk
    usual = getattr(delivery, decision)

    def decide(subject: Any, *args: Any, **kwargs: Any) -> Any:
        link = subject if decision == "plan" else subject.step.link
        if link.pk == wrong:
            links.Settlement(link=CustomerLink(state=State.ERASED), state=State.PENDING)
        return usual(subject, *args, **kwargs)

    monkeypatch.setattr(delivery, decision, decide)

    drain()

    left = link_of(users[3])
    assert [link_of(user).state for user in users if user != users[3]] == [State.LINKED] * 7
    assert left.state == (State.PENDING if decision == "plan" else State.UNCERTAIN)
    assert left.lease_token != ""


def test_a_row_about_which_no_decision_can_be_made_is_given_up_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = linked(world)
    change(user, first_name="Augusta")

    def conclude(*_args: Any, **_kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(delivery, "conclude", conclude)

    for _ in range(7):
        drain()
        let_time_pass(7 * HOUR)

    assert (link_of(user).state, link_of(user).last_error_code) == (State.PARKED, "crash_loop")
