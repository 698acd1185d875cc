"""Guards whose absence no run of the whole would show, because a twin or a retry makes up for it.

Each is caught here by its own effect, with the twin left out: see `tests/mutants/catalogue/promise.py`.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F

from kohort_sync import clock, conf, delivery, drainer, links, services
from kohort_sync.client.records import CustomerData, RemoteCustomer
from kohort_sync.links import rows
from kohort_sync.models import Customer, CustomerLink, State, SyncAttempt, WorkClass
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up
from tests.machine.simulation import simulated

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

KEY = "default/test"
ORDER = list(WorkClass)
HOUR = timedelta(hours=1)


def claim(*, limit: int = 10, account: str = KEY) -> links.Batch:
    batch = links.claim(account=account, limit=limit, order=ORDER, using="default")
    assert batch is not None
    return batch


def lose_lease(batch: links.Batch) -> links.Batch:
    """Let the leases of a batch end, and let another worker claim the rows."""
    let_time_pass(conf.row_lease() + 1)
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    return claim(limit=len(batch.links))


def create(link: CustomerLink) -> links.Intent:
    return links.Intent(link=link, operation="create", version=link.desired_version, email="ada@example.com")


def intend(batch: links.Batch, *intents: links.Intent) -> set[int]:
    return links.intend(batch, intents, using="default")


def posts(service: Service) -> int:
    return [exchange.method for exchange in service.log].count("POST")


# Claiming


def test_those_who_have_waited_longest_are_claimed_first() -> None:
    users = [sign_up(f"user{number}") for number in range(3)]
    for user, ago in zip(users, (60, 180, 120), strict=True):
        due = clock.now(using="default") - timedelta(seconds=ago)
        CustomerLink.objects.filter(user=user).update(next_attempt_at=due)

    batch = claim(limit=2)

    assert [link.user_id for link in batch.links] == [users[1].pk, users[2].pk]


def test_one_claim_takes_rows_of_one_class() -> None:
    signed_up, resynced = sign_up("ada"), sign_up("bea")
    CustomerLink.objects.filter(user=resynced).update(work_class=WorkClass.BULK)

    batch = claim()

    assert [link.user_id for link in batch.links] == [signed_up.pk]


def test_a_claim_takes_the_rows_of_its_account_alone() -> None:
    user = sign_up()
    CustomerLink.objects.update(account="elsewhere/test")
    here = sign_up("bea")

    batch = claim()

    assert [link.pk for link in batch.links] == [link_of(here).pk]
    assert link_of(user).lease_token == ""


def test_a_suspect_is_not_taken_along_behind_others() -> None:
    first, suspect = sign_up("ada"), sign_up("bea")
    CustomerLink.objects.filter(user=suspect).update(crashes=1)

    batch = claim()

    assert [link.pk for link in batch.links] == [link_of(first).pk]


def test_only_leases_that_a_row_loses_alone_are_charged_to_it() -> None:
    users = [sign_up(f"user{number}") for number in range(3)]
    claim()
    let_time_pass(conf.row_lease() + 1)
    together = [link_of(user).crashes for user in users]

    (alone,) = claim().links

    assert together == [0, 0, 0]
    assert sorted(link_of(user).crashes for user in users) == [0, 0, 1]
    assert alone.crashes == 1


def test_a_row_that_may_kill_waits_longer_than_its_lease() -> None:
    user = sign_up()
    claim()
    let_time_pass(conf.row_lease() + 1)
    claim()

    link = link_of(user)

    assert link.lease_until is not None
    assert link.next_attempt_at is not None
    assert link.next_attempt_at - link.lease_until >= timedelta(seconds=15)


def test_a_lost_lease_asks_for_a_comparison(service: Service) -> None:
    user = sign_up()
    drain()
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())

    lose_lease(claim())

    assert link_of(user).verify


def test_a_lease_lost_with_an_intent_asks_for_a_second_look(service: Service) -> None:
    user = sign_up()
    drain()
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    batch = claim()
    (link,) = batch.links
    intend(batch, links.Intent(link=link, operation="update", version=1))
    over = link_of(user).lease_until

    lose_lease(batch)

    assert over is not None
    moved = timedelta(seconds=conf.row_lease() + 1)
    assert link_of(user).look_again_at == over - moved + timedelta(seconds=conf.settle_window())


def test_a_slow_claim_makes_no_lease_longer() -> None:
    sign_up()
    began = time.monotonic()

    with connections["default"].execute_wrapper(_slowly):
        batch = claim()

    assert batch.ends - began < conf.row_lease() + 0.1
    assert time.monotonic() - began > 0.3


# Intending


def test_nothing_is_intended_whose_lease_ends_within_a_call() -> None:
    sign_up()
    batch = claim()
    let_time_pass(conf.row_lease() - conf.deadline() + 1)

    allowed = intend(batch, create(batch.links[0]))

    assert allowed == set()
    assert CustomerLink.objects.get().posts == 0


def test_nothing_is_intended_for_a_row_that_another_holds() -> None:
    sign_up()
    late = claim()
    lose_lease(late)

    allowed = intend(late, create(late.links[0]))

    assert allowed == set()


def test_no_create_is_intended_before_the_last_has_settled() -> None:
    sign_up()
    batch = claim()
    (link,) = batch.links
    first = intend(batch, create(link))

    second = intend(batch, create(link))

    assert (first, second) == ({link.pk}, set())
    assert CustomerLink.objects.get().posts == 1


def test_a_look_up_leads_to_no_create_before_the_last_has_settled() -> None:
    link = CustomerLink(pk=1, state=State.UNCERTAIN, posts=1, intent_email="ada@example.com")
    now = clock.now(using="default")
    empty = delivery.Result(
        step=delivery.LookUp(link=link, data=CustomerData(email_address="ada@example.com")), found=()
    )

    def next_step(*, settles_in: float) -> delivery.Step:
        link.settle_until = now + timedelta(seconds=settles_in)
        return delivery.after_look_up(empty, situation=delivery.Situation(now=now, began=now))

    assert isinstance(next_step(settles_in=1), delivery.Done)
    assert isinstance(next_step(settles_in=-1), delivery.Create)


def test_the_window_of_a_create_begins_where_its_lease_ends() -> None:
    user = sign_up()
    batch = claim()

    intend(batch, create(batch.links[0]))

    link = link_of(user)
    assert link.lease_until is not None
    assert link.settle_until is not None
    assert link.settle_until - link.lease_until >= timedelta(seconds=conf.settle_window())


def test_nothing_is_intended_for_somebody_whose_erasure_was_asked_for(service: Service) -> None:
    user = sign_up()
    batch = claim()
    services.erase(user, reason="asked")

    allowed = intend(batch, create(batch.links[0]))

    assert allowed == set()


def test_a_create_that_is_repeated_is_counted(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("reset", method="POST", times=2))
    drain()
    let_time_pass(1000)
    drain()

    link = link_of(user)

    assert (link.state, link.posts, posts(service)) == (State.UNCERTAIN, 2, 2)


def test_a_create_that_is_repeated_keeps_its_address(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("reset", method="POST"))
    drain()
    user.email = "moved@example.com"
    user.save()
    service.faults.add(Fault("reset", method="PATCH", times=None))
    let_time_pass(1000)

    drain()

    (remote,) = service.snapshot()
    assert remote["email_address"] == "ada@example.com"


# Sending


def test_nothing_is_sent_whose_intent_could_not_be_written(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = sign_up()
    monkeypatch.setattr(links, "intend", _nobody)

    drain()

    assert len(service.log) == 0
    assert link_of(user).state == State.PENDING


@pytest.mark.parametrize("left", [-1.0, 20.0])
def test_nothing_is_sent_for_which_the_lease_might_not_last(left: float) -> None:
    with simulated() as world:
        user = sign_up()
        # The process rests between its intent and its request.
        world.planned["after intend"] = lambda: _rest(world, left)

        # One turn, within a budget that stops nobody before the lease does.
        drainer.drain("default", budget=1000.0, linger=0, stop=lambda: "after settling" in world.passed)

        assert len(world.service.log) == 0
        assert link_of(user).state != State.LINKED


# Settling


def settle(batch: links.Batch, state: State, **changes: Any) -> None:
    with links.writing(using="default"):
        settlement = links.Settlement(link=batch.links[0], state=state, changes=changes)
        links.settle(
            batch, [settlement], mirror=lambda _: {}, now=clock.now(using="default"), using="default"
        )


def claim_linked(service: Service) -> links.Batch:
    """Link a user, and claim the row once more."""
    sign_up()
    drain()
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    return claim()


def test_a_refusal_does_not_outlive_a_change_that_was_made_meanwhile(service: Service) -> None:
    batch = claim_linked(service)
    links.mark_changed(CustomerLink.objects.all(), work_class=WorkClass.CHANGE)

    settle(batch, State.LINKED, refused="0123456789abcdef")

    assert CustomerLink.objects.get().refused == ""


def test_a_comparison_that_the_outcome_asks_for_outlives_a_change_that_was_made_meanwhile(
    service: Service,
) -> None:
    batch = claim_linked(service)
    links.mark_changed(CustomerLink.objects.all(), work_class=WorkClass.CHANGE)

    settle(batch, State.LINKED, verify=True)

    assert CustomerLink.objects.get().verify


@pytest.mark.parametrize(
    ("asked", "own", "kept"), [(60, None, 60), (60, 90, 90), (90, 60, 90), (-5, None, None)]
)
def test_of_two_later_looks_the_last_one_is_kept(
    service: Service, asked: int, own: int | None, kept: int | None
) -> None:
    batch = claim_linked(service)
    now = clock.now(using="default")

    def moment(seconds: int | None) -> datetime | None:
        return None if seconds is None else now + timedelta(seconds=seconds)

    CustomerLink.objects.update(look_again_at=moment(asked), desired_version=F("desired_version") + 1)

    settle(batch, State.LINKED, look_again_at=moment(own))

    assert CustomerLink.objects.get().look_again_at == moment(kept)


def test_a_link_says_since_when_it_stands_and_when_it_was_last_in_step(service: Service) -> None:
    user = sign_up()
    drain()
    CustomerLink.objects.update(linked_at=F("linked_at") - HOUR, synced_at=F("synced_at") - HOUR)
    before = link_of(user)
    user.first_name = "Augusta"
    user.save()

    drain()

    after = link_of(user)
    assert before.linked_at is not None
    assert before.synced_at is not None
    assert after.synced_at is not None
    assert after.linked_at == before.linked_at
    assert after.synced_at - before.synced_at >= HOUR


def test_an_erasure_takes_the_words_about_one_user_alone(service: Service) -> None:
    erased, other = sign_up("ada"), sign_up("bea")
    drain()
    for user in (erased, other):
        services.resync(CustomerLink.objects.filter(user=user), reason="asked on the phone")
    services.erase(erased, reason="asked")
    for _ in range(2):
        drain()
        let_time_pass(1000)

    told = SyncAttempt.objects.filter(operation="resync").values_list("link__user", "reason")

    assert link_of(erased).state == State.ERASED
    assert dict(told) == {erased.pk: "", other.pk: "asked on the phone"}


@pytest.mark.parametrize(
    ("columns", "seconds"),
    [
        ({}, 0),
        ({"look_again_at": 60}, 60),
        ({"look_again_at": -60}, 0),
        ({"intent": ""}, None),
        ({"lease_until": None}, None),
        ({"customer": None}, None),
    ],
)
def test_a_second_look_is_due_when_nothing_can_arrive_any_more(
    columns: dict[str, Any], seconds: int | None
) -> None:
    over = datetime(2026, 1, 1, tzinfo=UTC)
    if columns.get("look_again_at"):
        columns = {"look_again_at": over + timedelta(seconds=columns["look_again_at"])}
    window = timedelta(seconds=conf.settle_window())
    lost = {"intent": "update", "lease_until": over - window, "customer": Customer(pk=1)}

    asked = rows.second_look(CustomerLink(**lost | columns))

    assert asked == ({} if seconds is None else {"look_again_at": over + timedelta(seconds=seconds)})


# Fences


def test_a_write_without_the_token_of_the_row_changes_nothing() -> None:
    user = sign_up()
    late = claim()
    lose_lease(late)
    (link,) = late.links
    link.state = State.SKIPPED

    with links.writing(using="default"):
        rows.write([link], ["state"], token=late.token, using="default")

    assert link_of(user).state == State.PENDING


def test_what_a_late_worker_saw_is_not_mirrored() -> None:
    sign_up()
    late = claim()
    lose_lease(late)
    mirrored: list[RemoteCustomer] = []

    with links.writing(using="default"):
        shown = links.Settlement(
            link=late.links[0], state=State.LINKED, remote=RemoteCustomer(kohort_id="cus_1")
        )
        links.settle(
            late,
            [shown],
            mirror=lambda remotes: _noted(mirrored, remotes),
            now=clock.now(using="default"),
            using="default",
        )

    assert mirrored == []


def test_rows_that_another_holds_are_no_longer_ours() -> None:
    sign_up()
    late = claim()
    keys = [link.pk for link in late.links]

    present = lose_lease(late)

    assert links.still_ours(late, keys, using="default") == set()
    assert links.still_ours(present, keys, using="default") == {*keys}


def test_a_worker_that_comes_back_late_says_so() -> None:
    with simulated() as world:
        user = sign_up()
        world.drain()
        user.first_name = "Augusta"
        user.save()
        world.planned["after update"] = lambda: _overtaken(world)

        world.drain()

        link = link_of(user)
        assert link.verify
        assert link.look_again_at is not None


def test_a_late_report_says_nothing_about_rows_that_are_still_ours(service: Service) -> None:
    sign_up()
    drain()
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    batch = claim()

    reported = links.report_late(batch, [link.pk for link in batch.links], using="default")

    assert reported == 0
    assert not CustomerLink.objects.get().verify


def test_a_late_report_is_about_its_own_linked_rows_alone(service: Service) -> None:
    reported, other = sign_up("ada"), sign_up("bea")
    drain()
    unlinked = sign_up("cleo", is_active=False)
    drain()
    keys = [link_of(user).pk for user in (reported, unlinked)]
    late = links.Batch(account=KEY, token="late", links=(), claimed_at=clock.now(using="default"), ends=0.0)

    number = links.report_late(late, keys, using="default")

    assert number == 1
    assert [link_of(user).verify for user in (reported, other, unlinked)] == [True, False, False]


def test_a_late_report_takes_an_erasure_up_again(service: Service) -> None:
    user = sign_up()
    drain()
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    late = claim()
    let_time_pass(conf.row_lease() + 1)
    services.erase(user, reason="asked")
    drain()
    let_time_pass(1000)
    drain()
    erased = link_of(user).state

    links.report_late(late, [link.pk for link in late.links], using="default")

    assert (erased, link_of(user).state) == (State.ERASED, State.ERASING)


def test_a_late_report_leaves_the_ignored_alone(service: Service) -> None:
    user = sign_up()
    drain()
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    late = claim()
    let_time_pass(conf.row_lease() + 1)
    services.resolve(link_of(user), choice="ignore", reason="asked")

    reported = links.report_late(late, [link.pk for link in late.links], using="default")

    assert reported == 0
    assert link_of(user).next_attempt_at is None


# Deciding


def test_a_decision_fences_off_whoever_was_sending() -> None:
    user = sign_up()
    late = claim()
    let_time_pass(conf.row_lease() + 1)

    services.resolve(link_of(user), choice="ignore", reason="asked")

    assert link_of(user).lease_token == ""
    assert links.still_ours(late, [link_of(user).pk], using="default") == set()


def test_a_decision_over_a_lost_lease_asks_for_a_second_look(service: Service) -> None:
    user = sign_up()
    drain()
    CustomerLink.objects.update(next_attempt_at=clock.DatabaseNow())
    batch = claim()
    intend(batch, links.Intent(link=batch.links[0], operation="update", version=1))
    let_time_pass(conf.row_lease() + 1)

    services.retry(CustomerLink.objects.all())

    assert link_of(user).look_again_at is not None


def test_a_decision_about_a_state_that_has_passed_is_refused() -> None:
    seen = link_of(sign_up())
    CustomerLink.objects.update(state=State.REJECTED)

    with pytest.raises(links.BeingSent):
        links.ignore(seen, using="default")

    assert CustomerLink.objects.get().state == State.REJECTED


def _slowly(execute: Callable[..., Any], *arguments: Any) -> Any:
    time.sleep(0.1)
    return execute(*arguments)


def _nobody(*_: Any, **__: Any) -> set[int]:
    return set()


def _noted(mirrored: list[RemoteCustomer], remotes: Sequence[RemoteCustomer]) -> dict[str, int]:
    mirrored.extend(remotes)
    return {
        remote.kohort_id: Customer.objects.create(account=KEY, kohort_id=remote.kohort_id).pk
        for remote in remotes
    }


def _rest(world: Any, left: float) -> None:
    """Rest until so much of the row's lease is left, on this process's clock alone."""
    world.clock.ahead += conf.row_lease() - left


def _overtaken(world: Any) -> None:
    world.clock.let_pass(conf.row_lease() + 1)
    world.drain()
