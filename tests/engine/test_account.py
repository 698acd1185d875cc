"""One account's own affairs: its lease, its gate, its drainer, and never those of another account."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kohort_sync import clock, drainer, gate, links, services, sweep
from kohort_sync.client import errors
from kohort_sync.drainer import draining, turn, watch
from kohort_sync.identity import Identity
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up
from tests.machine.simulation import simulated

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

KEY = "default/test"
ELSEWHERE = "elsewhere/test"
HERE = Identity(address="a", instance="i")


def account(key: str = KEY) -> Account:
    return gate.account_row(key, using="default")


@pytest.mark.parametrize(
    "note",
    [
        lambda: gate.close(KEY, reason="key_refused", seconds=9000, using="default"),
        lambda: gate.reopen(KEY, using="default"),
        lambda: gate.note_success(KEY, at=clock.now(using="default"), using="default"),
        lambda: gate.note_failures(KEY, failures=5, using="default"),
        lambda: gate.note_organization(
            KEY, organization_id="org", key_fingerprint="f", database=HERE, using="default"
        ),
        lambda: gate.note_database(KEY, HERE, using="default"),
        lambda: gate.take_drainer_lease(KEY, token="ours", using="default"),
        lambda: gate.give_drainer_lease_back(KEY, token="theirs", using="default"),
    ],
    ids=[
        "close",
        "reopen",
        "success",
        "failures",
        "organization",
        "database",
        "take the lease",
        "give the lease back",
    ],
)
def test_what_is_noted_about_one_account_says_nothing_about_another(note: Callable[[], object]) -> None:
    account()
    past = clock.now(using="default") - timedelta(seconds=60)
    Account.objects.create(
        key=ELSEWHERE,
        gate=Account.Gate.CLOSED,
        gate_reason="mismatch",
        gate_until=past,
        gate_closures=2,
        failures=3,
        drainer_token="theirs",
        drainer_until=past,
    )
    before = Account.objects.filter(key=ELSEWHERE).values().get()

    note()

    assert Account.objects.filter(key=ELSEWHERE).values().get() == before


def test_an_address_that_is_freed_in_one_account_is_tried_again_there_alone(service: Service) -> None:
    waiting = {"state": State.CONFLICT, "conflict_kind": "email_in_use", "conflict_ids": ["cus_1"]}
    here, there = sign_up("ada"), sign_up("bea")
    CustomerLink.objects.update(**waiting, next_attempt_at=None)
    CustomerLink.objects.filter(user=there).update(account=ELSEWHERE)

    links.try_addresses_again(["cus_1"], account=KEY, using="default")

    assert link_of(here).next_attempt_at is not None
    assert link_of(there).next_attempt_at is None


def test_a_gate_without_an_end_stays_closed() -> None:
    account()
    Account.objects.update(gate=Account.Gate.CLOSED, gate_until=None)

    assert gate.read(KEY, using="default") == gate.Gate(open=False)


def test_each_closure_counts_until_something_succeeds() -> None:
    account()
    for seconds in (1, 2):
        gate.close(KEY, reason="rate_limited", seconds=seconds, using="default")
    gate.reopen(KEY, using="default")
    closed_twice = account().gate_closures

    gate.note_success(KEY, at=clock.now(using="default"), using="default")

    assert (closed_twice, account().gate_closures) == (2, 0)


def test_a_gate_that_opens_forgets_why_it_was_closed() -> None:
    account()
    gate.close(KEY, reason="unavailable", seconds=60, using="default")

    gate.reopen(KEY, using="default")

    row = account()
    assert (row.gate, row.gate_reason, row.gate_until) == (Account.Gate.OPEN, "", None)


def test_a_service_that_fails_for_long_is_given_the_time_that_it_asks_for() -> None:
    account()
    failing = watch.Watch(Account(key=KEY, failures=5), using="default")

    failing.close(errors.ServerError(status=503, retry_after=600.0))

    opens_in = gate.read(KEY, using="default").opens_in
    assert opens_in is not None
    assert opens_in > 590


def test_an_account_opens_for_one_row_at_first_in_this_process_and_in_the_next() -> None:
    account()
    gate.close(KEY, reason="unavailable", seconds=0, using="default")
    # Each makes up for the other where the same process goes on.
    before_the_closure = watch.Watch(Account(key=KEY), using="default")
    next_process = watch.Watch(account(), using="default")

    before_the_closure.reopen()

    assert before_the_closure.rows_at_once(20) == 1
    assert next_process.rows_at_once(20) == 1


def test_to_be_read_from_is_no_success_in_earnest(service: Service) -> None:
    sign_up()
    drain()
    Account.objects.update(last_success_at=None)
    services.resync(CustomerLink.objects.all())

    drain()

    assert [exchange.method for exchange in service.log] == ["POST", "GET"]
    assert account().last_success_at is None


# The drainer's lease

# The drainer's lease


def test_the_lease_of_a_drainer_that_was_killed_is_taken_over_when_it_ends() -> None:
    account()
    assert gate.take_drainer_lease(KEY, token="killed", using="default")

    early = gate.take_drainer_lease(KEY, token="next", using="default")
    let_time_pass(gate.DRAINER_LEASE + 1)
    in_time = gate.take_drainer_lease(KEY, token="next", using="default")

    assert (early, in_time) == (False, True)


def test_a_drainer_keeps_its_lease_while_it_works() -> None:
    account()
    assert gate.take_drainer_lease(KEY, token="ours", using="default")

    assert gate.take_drainer_lease(KEY, token="ours", using="default")


def test_a_drainer_gives_back_no_lease_but_its_own() -> None:
    account()
    assert gate.take_drainer_lease(KEY, token="present", using="default")

    gate.give_drainer_lease_back(KEY, token="late", using="default")

    assert account().drainer_token == "present"


def test_a_drain_gives_its_lease_back(service: Service) -> None:
    sign_up()

    drain()

    assert (account().drainer_token, account().drainer_until) == ("", None)


def test_a_drain_that_has_lost_its_lease_ends() -> None:
    with simulated() as world:
        sign_up()

        def be_overtaken() -> None:
            world.clock.let_pass(gate.DRAINER_LEASE + 1)
            assert gate.take_drainer_lease(KEY, token="other", using="default")

        world.planned["after settling"] = be_overtaken

        report = drainer.drain("default", budget=1000.0, linger=0)

        assert report.ended == "busy"
        assert account().drainer_token == "other"


def test_a_drainer_renews_its_lease_while_it_waits_for_an_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_RENEW_EVERY", 0.05)
    monkeypatch.setattr(draining, "_RENEWED_AFTER", 0.0)
    sign_up()
    service.faults.add(Fault("delay", method="POST", seconds=0.5))
    ends: list[Any] = []
    take = gate.take_drainer_lease

    def taking(*arguments: Any, **named: Any) -> bool:
        taken = take(*arguments, **named)
        ends.append(account().drainer_until)
        return taken

    monkeypatch.setattr(gate, "take_drainer_lease", taking)

    drain()

    assert len(ends) > 5
    assert ends == sorted(ends)


# One drain


def test_a_drain_that_has_used_up_its_budget_says_that_work_is_left(service: Service) -> None:
    for number in range(30):
        sign_up(f"user{number}")

    unfinished = drainer.drain("default", budget=0.0, linger=0)
    finished = drain()

    assert (unfinished.ended, unfinished.work_left) == ("budget", True)
    assert (finished.ended, finished.work_left) == ("done", False)


def test_who_signs_up_while_the_drainer_looks_on_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated() as world:
        sign_up("ada")
        sleep = world.clock.sleep

        def meanwhile(seconds: float) -> None:
            if world.posts() == 1 and CustomerLink.objects.count() == 1:
                sign_up("bea")
            sleep(seconds)

        monkeypatch.setattr(world.clock, "sleep", meanwhile)

        drainer.drain("default", budget=100.0, linger=1.5)

        assert world.posts() == 2


def test_who_gets_an_address_in_the_same_turn_is_named_to_whoever_does_not(service: Service) -> None:
    for name in ("ada", "bea"):
        sign_up(name, email="both@example.com")

    drain()

    served = CustomerLink.objects.select_related("customer").get(state=State.LINKED)
    other = CustomerLink.objects.get(state=State.CONFLICT)
    assert served.customer is not None
    assert (other.conflict_kind, other.conflict_ids) == ("email_in_use", [served.customer.kohort_id])


def test_nothing_is_sent_long_after_the_budget() -> None:
    with simulated() as world:
        sign_up()

        def rest() -> None:
            world.clock.ahead += 60

        world.planned["after intend"] = rest

        drainer.drain("default", budget=5.0, linger=0)

        assert len(world.service.log) == 0


def test_who_could_not_be_sent_in_time_is_given_back_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = sign_up()
    monkeypatch.setattr(links, "intend", _nobody)

    drainer.drain("default", linger=0)

    assert link_of(user).lease_token == ""


# What the sweep marks


def test_a_change_takes_up_nobody_who_was_left_out_or_is_being_erased(service: Service) -> None:
    users = [sign_up(f"user{number}") for number in range(3)]
    drain()
    services.resolve(users[0], choice="ignore", reason="asked")
    CustomerLink.objects.filter(user=users[1]).update(
        state=State.ERASING, erase_asked_at=clock.DatabaseNow(), next_attempt_at=None
    )

    marked = links.mark_changed(CustomerLink.objects.all(), work_class=WorkClass.CHANGE)

    due = [link_of(user).next_attempt_at is not None for user in users]
    assert (marked, due) == (1, [False, False, True])


@pytest.mark.parametrize("mark", [links.mark_found, links.verify_in_turn])
def test_what_is_being_sent_or_due_is_not_marked_as_found(service: Service, mark: Callable[..., int]) -> None:
    users = [sign_up("resting"), sign_up("due"), sign_up("leased")]
    drain()
    services.resync(CustomerLink.objects.filter(user=users[1]))
    CustomerLink.objects.filter(user=users[2]).update(lease_token="another")
    keys = [link_of(user).pk for user in users]

    marked = mark(keys, using="default")

    assert marked == 1
    assert link_of(users[0]).next_attempt_at is not None
    assert link_of(users[1]).work_class == WorkClass.BULK


def test_a_function_that_ends_the_process_politely_does_not_end_the_sweep(
    service: Service, settings: Any
) -> None:
    user = sign_up()
    drain()

    def leave(_user: Any) -> bool:
        raise SystemExit

    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": leave}

    sweep.sweep("default")

    assert link_of(user).next_attempt_at is not None


def test_who_is_not_linked_is_not_verified_in_turn(service: Service) -> None:
    user = sign_up(is_active=False)
    drain()

    marked = links.verify_in_turn([link_of(user).pk], using="default")

    assert marked == 0
    assert link_of(user).next_attempt_at is None


def _nobody(*_: Any, **__: Any) -> set[int]:
    return set()
