"""The pipeline: one batch is prepared while another is under way, at the pace that was learned."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connections

from kohort_sync import drainer, gate, links, services
from kohort_sync.drainer import draining, turn
from kohort_sync.models import Account, CustomerLink, State, SyncAttempt
from kohort_sync.pacing import Pace
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

ROWS = 5


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim five rows at once."""
    monkeypatch.setattr(Pace, "rows", ROWS)


def bring_in(number: int, *, name: str = "user") -> list[Any]:
    users = User.objects.bulk_create(
        [User(username=f"{name}{each}", email=f"{name}{each}@example.com") for each in range(number)]
    )
    services.request_sync(users)
    return users


def wait_for(happens: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < ends
        time.sleep(0.01)


def least_pause(service: Service) -> float:
    starts = sorted(exchange.at for exchange in service.log)
    return min((after - before).total_seconds() for before, after in pairwise(starts))


def most_at_once(service: Service) -> int:
    spans = [(each.at, each.at + timedelta(seconds=each.seconds)) for each in service.log]
    steps = sorted(step for start, end in spans for step in ((start, 1), (end, -1)))
    return max(accumulate(step for _, step in steps))


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note when turns begin and end."""
    seen: list[str] = []

    def noting(name: str) -> Callable[..., Any]:
        original = getattr(turn.Turn, name)

        def noted(self: turn.Turn) -> Any:
            seen.append(name)
            return original(self)

        return noted

    for name in ("begin", "finish"):
        monkeypatch.setattr(turn.Turn, name, noting(name))
    return seen


@pytest.mark.usefixtures("small_batches")
def test_the_next_batch_begins_while_one_is_under_way(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(4 * ROWS)
    seen = watched(monkeypatch)

    drain()

    assert seen == ["begin", *["begin", "finish"] * 3, "finish"]
    assert CustomerLink.objects.filter(state=State.LINKED).count() == len(service.snapshot()) == 4 * ROWS


@pytest.mark.usefixtures("small_batches")
def test_who_signs_up_goes_before_the_next_batch_of_an_import(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(6 * ROWS)
    came: list[Any] = []
    original = turn.Turn.finish

    def finish(self: turn.Turn) -> dict[int, str]:
        if not came:
            came.append(sign_up("late"))
        return original(self)

    monkeypatch.setattr(turn.Turn, "finish", finish)

    drain()

    order = [exchange.reference for exchange in service.log]
    # The two batches that were begun already, and nothing else.
    assert order.index(link_of(came[0]).client_reference_id) == 2 * ROWS


@pytest.mark.usefixtures("small_batches")
def test_after_an_answer_for_the_whole_account_no_batch_begins_before_the_gate_was_looked_at(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(4 * ROWS)
    service.faults.add(Fault("status", times=None, method="POST", status=401))
    seen = watched(monkeypatch)

    report = drain()

    assert report.ended == "closed"
    assert seen.count("begin") <= 2
    assert len(service.log) <= 2 * ROWS


@pytest.mark.usefixtures("small_batches")
def test_what_was_sent_is_written_down_although_the_next_batch_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(3 * ROWS)
    original = links.claim
    claims: list[object] = []

    def claim(**how: Any) -> links.Batch | None:
        claims.append(how)
        if len(claims) == 2:
            wait_for(lambda: len(service.log) >= ROWS)
            raise OperationalError("gone")
        return original(**how)

    monkeypatch.setattr(links, "claim", claim)

    with pytest.raises(OperationalError):
        drain()

    assert CustomerLink.objects.filter(state=State.LINKED).count() == len(service.snapshot()) == ROWS


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, SoftTimeLimitExceeded, OperationalError])
def test_who_is_told_to_end_sends_nothing_more_and_writes_down_what_was_sent(
    ending: type[BaseException], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(2 * ROWS)
    service.faults.add(Fault("delay", times=None, method="POST", seconds=0.3))

    def take(*_: object, **__: object) -> bool:
        monkeypatch.undo()
        wait_for(lambda: len(service.log) >= 1)
        raise ending

    def wait(self: turn.Turn) -> None:
        monkeypatch.setattr(gate, "take_drainer_lease", take)
        original(self)

    original = turn.Turn.wait
    monkeypatch.setattr(turn, "_RENEW_EVERY", 0.05)
    monkeypatch.setattr(draining, "_RENEWED_AFTER", 0.0)
    monkeypatch.setattr(turn.Turn, "wait", wait)

    with pytest.raises(ending):
        drain()

    assert len(service.snapshot()) < ROWS
    assert CustomerLink.objects.filter(state=State.LINKED).count() == len(service.snapshot())
    assert not CustomerLink.objects.exclude(lease_token="").exists()


@pytest.mark.usefixtures("small_batches")
def test_what_one_batch_sent_is_written_down_although_the_other_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(2 * ROWS)
    original = turn.Turn._settle
    settled: list[object] = []

    def settle(self: turn.Turn, settlements: Any, **how: Any) -> Any:
        settled.append(settlements)
        if len(settled) == 1:
            wait_for(lambda: len(service.log) >= 2 * ROWS)
            raise OperationalError("gone")
        return original(self, settlements, **how)

    monkeypatch.setattr(turn.Turn, "_settle", settle)

    with pytest.raises(OperationalError):
        drain()

    assert CustomerLink.objects.filter(state=State.LINKED).count() == ROWS


@pytest.mark.usefixtures("small_batches")
def test_two_batches_that_fail_are_both_tried(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_in(2 * ROWS)
    original = turn.Turn.finish
    finished: list[turn.Turn] = []

    def interrupted(_: turn.Turn) -> None:
        raise OperationalError("gone")

    def finish(self: turn.Turn) -> dict[int, str]:
        finished.append(self)
        if len(finished) == 1:
            raise OperationalError("gone again")
        return original(self)

    monkeypatch.setattr(turn.Turn, "wait", interrupted)
    monkeypatch.setattr(turn.Turn, "finish", finish)

    with pytest.raises(OperationalError):
        drain()

    assert len(finished) == 2
    assert CustomerLink.objects.filter(lease_token="").count() == ROWS


def test_what_was_sent_is_written_down_although_no_thread_is_left_for_the_rest(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(3)
    original = ThreadPoolExecutor.submit
    submitted: list[object] = []

    def submit(self: ThreadPoolExecutor, *work: Any) -> Any:
        submitted.append(work)
        if len(submitted) == 3:
            wait_for(lambda: len(service.log) >= 2)
            raise RuntimeError("can't start new thread")
        return original(self, *work)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)

    with pytest.raises(RuntimeError):
        drain()

    assert CustomerLink.objects.filter(state=State.LINKED).count() == len(service.snapshot()) == 2


@pytest.mark.usefixtures("small_batches")
def test_a_drainer_that_has_lost_its_lease_sends_nothing_more(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(2 * ROWS)
    monkeypatch.setattr(turn, "_RENEW_EVERY", 0.05)
    monkeypatch.setattr(draining, "_RENEWED_AFTER", 0.0)
    service.faults.add(Fault("delay", times=None, method="POST", seconds=0.3))
    original = gate.take_drainer_lease
    taken: list[bool] = []

    def take(*arguments: Any, **named: Any) -> bool:
        # At the beginning, and after each of the two batches has begun.
        taken.append(len(taken) < 2 and original(*arguments, **named))
        return taken[-1]

    monkeypatch.setattr(gate, "take_drainer_lease", take)

    assert drain().ended == "busy"

    assert len(service.log) < ROWS
    assert not CustomerLink.objects.exclude(lease_token="").exists()


@pytest.mark.parametrize(("learned", "most"), [(3, 64), (8, 2)])
def test_as_many_are_under_way_as_was_learned_and_the_host_allows(
    learned: int, most: int, service: Service, settings: Any
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_CONCURRENCY": most}
    Account.objects.create(key="default/test", pace={"concurrency": learned})
    service.faults.add(Fault("delay", times=None, method="POST", seconds=0.05))
    bring_in(12)

    drain()

    assert most_at_once(service) == min(learned, most)


def test_a_rate_that_the_host_sets_is_kept(service: Service, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_RATE": 5}
    bring_in(6)

    drain()

    assert len(service.snapshot()) == 6
    assert least_pause(service) >= 0.15


def test_the_second_call_for_one_user_keeps_to_the_rate_too(service: Service, settings: Any) -> None:
    sign_up()
    drain()
    services.block(CustomerLink.objects.get(), reason="asked")
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_RATE": 5}
    service.log.clear()

    drain()

    assert len(service.log) >= 3
    assert least_pause(service) >= 0.15


def test_a_question_before_the_gate_opens_keeps_to_the_rate_too(service: Service, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_RATE": 2}
    sign_up("ada")
    drain()
    sign_up("bea")
    gate.close("default/test", reason="unavailable", seconds=-1, using="default")

    drain()

    assert [exchange.method for exchange in service.log] == ["POST", "GET", "POST"]
    assert least_pause(service) >= 0.45


def test_the_first_look_through_a_new_key_keeps_to_the_rate_too(service: Service, settings: Any) -> None:
    sign_up("ada")
    drain()
    Account.objects.update(key_fingerprint="another")
    gate.close("default/test", reason="unavailable", seconds=-1, using="default")
    bring_in(1)
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_RATE": 5}
    service.log.clear()

    drain()

    assert [exchange.method for exchange in service.log] == ["GET", "GET", "POST"]
    assert least_pause(service) >= 0.15


@pytest.mark.usefixtures("small_batches")
def test_a_question_before_the_gate_opens_is_asked_beside_nothing(
    service: Service, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_CONCURRENCY": 1}
    bring_in(4 * ROWS)
    service.faults.add(Fault("delay", times=None, method="POST", seconds=0.05))
    original = turn.Turn.begin

    def begin(self: turn.Turn) -> None:
        original(self)
        if len(service.log) < ROWS:
            gate.close("default/test", reason="unavailable", seconds=-1, using="default")

    monkeypatch.setattr(turn.Turn, "begin", begin)

    drain()

    assert [each.method for each in service.log].count("GET") == 1
    assert most_at_once(service) == 1


def test_the_rate_holds_from_one_drain_to_the_next(service: Service, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"MAX_RATE": 5}
    for name in ("ada", "bea"):
        sign_up(name)
        drain()

    assert len(service.log) == 2
    assert least_pause(service) >= 0.15


def test_what_a_drain_learns_is_there_for_the_next(service: Service) -> None:
    service.faults.add(Fault("delay", times=None, method="POST", seconds=0.02))
    bring_in(60)
    drain()
    learned = Account.objects.get().pace
    service.log.clear()
    bring_in(12, name="again")

    drain()

    assert learned["latency"] > 0
    assert most_at_once(service) == learned["concurrency"] > 1


@pytest.mark.parametrize("learned", [[], "fast", 7, {"concurrency": "many", "rate": -1}])
def test_a_row_that_holds_nonsense_stops_nobody(learned: object, service: Service) -> None:
    Account.objects.create(key="default/test", pace=learned)
    sign_up()

    drain()

    assert len(service.snapshot()) == 1


def test_a_refusal_sets_a_rate_that_the_next_drain_keeps(service: Service) -> None:
    bring_in(3)
    service.faults.add(Fault("rate_limit", method="POST", seconds=30))

    drain()

    assert Account.objects.get().pace["rate"] == pytest.approx(5.0)


@pytest.mark.usefixtures("small_batches")
def test_a_conflict_names_whoever_got_the_address_in_the_batch_beside(service: Service) -> None:
    Account.objects.create(key="default/test", pace={"concurrency": 64, "rate": None, "latency": 0.1})
    users = bring_in(10)
    loser, winner = users[2], users[7]
    User.objects.filter(pk__in=[loser.pk, winner.pk]).update(email="same@example.com")
    # What the first batch sends arrives after what the second one does.
    service.faults.add(Fault("delay", times=5, method="POST", seconds=0.5))

    for _ in range(2):
        drain()
        let_time_pass(30)

    link = link_of(loser)
    customer = link_of(winner).customer
    assert customer is not None
    assert (link.conflict_kind, link.conflict_ids) == ("email_in_use", [customer.kohort_id])


def slow_service(service: Service) -> None:
    """Send many rows to a service that was quick up to now."""
    Account.objects.create(key="default/test", pace={"concurrency": 2, "rate": None, "latency": 0.01})
    bring_in(200)
    service.faults.add(Fault("delay", times=None, method="POST", seconds=1.0))


def test_a_sign_up_does_not_wait_behind_a_service_that_slows_down(service: Service) -> None:
    slow_service(service)
    came: list[Any] = []

    def later() -> None:
        time.sleep(0.5)
        came.append(sign_up("late"))
        connections.close_all()

    visitor = threading.Thread(target=later)
    visitor.start()
    began = time.monotonic()
    drainer.drain("default", stop=lambda: bool(came) and link_of(came[0]).state == State.LINKED)
    visitor.join()

    assert link_of(came[0]).state == State.LINKED
    # Twice the five seconds of a batch, of which two were begun, and what was under way; not thirty.
    assert time.monotonic() - began < 20


def test_who_is_told_to_end_gives_back_what_is_not_sent(service: Service) -> None:
    slow_service(service)
    began = time.monotonic()

    drainer.drain("default", stop=lambda: time.monotonic() - began > 0.5)

    assert time.monotonic() - began < 5
    rest = CustomerLink.objects.exclude(state=State.LINKED)
    assert rest.count() > 150
    # Nothing was tried, so nothing is told of it.
    assert set(rest.values_list("state", "last_error_code", "lease_token")) == {(State.PENDING, "", "")}
    assert not SyncAttempt.objects.exclude(outcome="ok").exists()
