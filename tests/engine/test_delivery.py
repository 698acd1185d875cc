"""What is decided about one link, from the link and one answer alone.

Each decision here has another guard behind it that would hide its absence in a whole run; or what it
prevents takes days, a second site, or a service that answers oddly.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kohort_sync import delivery, mapping, retry
from kohort_sync.client import errors
from kohort_sync.client.records import Answer, CustomerData, RemoteCustomer
from kohort_sync.links import Settlement
from kohort_sync.mirror import Holder
from kohort_sync.models import FINAL, Customer, CustomerLink, State, WorkClass
from tests.engine.people import User

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
BEFORE = NOW - timedelta(minutes=5)
REFERENCE = "ref-1"
ADDRESS = "ada@example.com"
DATA = CustomerData(email_address=ADDRESS)


def situation(**known: Any) -> delivery.Situation:
    return delivery.Situation(**{"now": NOW, "began": NOW} | known)


def user(**columns: Any) -> Any:
    return User(**{"pk": 7, "username": "ada", "email": ADDRESS} | columns)


def unlinked(**columns: Any) -> CustomerLink:
    return CustomerLink(
        **{"pk": 1, "user_pk": "7", "client_reference_id": REFERENCE, "work_class": WorkClass.SIGNUP}
        | columns
    )


def uncertain(**columns: Any) -> CustomerLink:
    open_create = {"state": State.UNCERTAIN, "posts": 1, "intent_email": ADDRESS, "settle_until": LATER}
    return unlinked(**open_create | columns)


def linked(**columns: Any) -> CustomerLink:
    customer = Customer(pk=1, kohort_id="cus_1")
    return unlinked(**{"state": State.LINKED, "customer": customer} | columns)


def shown(**fields: Any) -> RemoteCustomer:
    return RemoteCustomer(
        **{"kohort_id": "cus_1", "email_address": ADDRESS, "client_reference_id": REFERENCE} | fields
    )


def settled(step: delivery.Step) -> Settlement:
    assert isinstance(step, delivery.Done)
    return step.settlement


def conclude(step: delivery.Step, **result: Any) -> Settlement:
    return delivery.conclude(delivery.Result(step=step, **result), situation=situation())


def always(_seconds: float) -> bool:
    return True


class Line:
    """Stand for the service behind the client's own calls: each answers with what it was told, in turn."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: object, **__: object) -> Any:
            self.calls.append(name)
            answer = self.answers[name].pop(0)
            if isinstance(answer, errors.KohortError):
                raise answer
            return answer

        return call


def send(step: delivery.Step, line: Line) -> delivery.Result:
    customers: Any = line
    return delivery.send(step, customers, may_send=always)


# Creates


def test_a_repeated_create_that_is_turned_away_stays_uncertain() -> None:
    def after(*, posts: int) -> str:
        step = delivery.Create(link=uncertain(posts=posts), data=DATA, sent=DATA)
        return conclude(step, error=errors.KeyRefused(status=401)).state

    assert after(posts=1) == State.PENDING
    assert after(posts=2) == State.UNCERTAIN


def test_a_find_among_several_creates_keeps_their_window() -> None:
    def window(*, posts: int) -> datetime | None:
        step = delivery.LookUp(link=uncertain(posts=posts), data=DATA)
        settlement = conclude(step, found=(shown(),))
        until: datetime | None = settlement.changes["settle_until"]
        return until

    assert window(posts=1) is None
    assert window(posts=2) == LATER


def test_an_address_waits_for_an_earlier_create_that_may_still_arrive() -> None:
    moved = user(email="moved@example.com")

    waiting = delivery.plan(linked(settle_until=LATER), moved, situation=situation())
    going = delivery.plan(linked(settle_until=BEFORE), moved, situation=situation())

    assert (settled(waiting).state, settled(waiting).due_in) == (State.LINKED, 300.0)
    assert isinstance(going, delivery.Update)


def test_a_deleted_customer_that_a_look_up_finds_is_left_to_a_person() -> None:
    deleted = shown(kohort_id="cus_2", deleted_at=BEFORE)
    step = delivery.LookUp(link=uncertain(), data=DATA)

    alone = conclude(step, found=(deleted,))
    beside_a_living_one = conclude(step, found=(deleted, shown()))

    assert (alone.state, alone.changes["conflict_kind"]) == (State.CONFLICT, "deleted_remotely")
    assert beside_a_living_one.state == State.LINKED
    assert beside_a_living_one.remote == shown()


def test_an_open_create_of_somebody_unwanted_is_looked_up() -> None:
    inactive = user(is_active=False)

    looked_up = delivery.plan(uncertain(), inactive, situation=situation())
    left = delivery.plan(unlinked(), inactive, situation=situation())

    assert isinstance(looked_up, delivery.LookUp)
    assert settled(left).state == State.SKIPPED


@pytest.mark.parametrize("state", FINAL)
def test_whoever_is_left_out_or_erased_stays_so_though_due(state: State) -> None:
    step = delivery.plan(unlinked(state=state), user(), situation=situation())

    assert (settled(step).state, settled(step).due_in) == (state, None)


def test_a_refusal_is_not_believed_before_a_look_up_has_shown_nobody() -> None:
    step = delivery.Create(link=uncertain(), data=DATA, sent=DATA)
    refusal = errors.Invalid("emailAddress must be an email", status=400)

    unseen = conclude(step, refusal=refusal, error=errors.NoAnswer())
    seen = conclude(step, refusal=refusal, found=())

    assert (unseen.state, seen.state) == (State.UNCERTAIN, State.REJECTED)


# Adoption


def test_only_a_living_customer_that_is_found_alone_is_adopted() -> None:
    step = delivery.Adopt(link=unlinked(), data=DATA)

    def after(*found: RemoteCustomer) -> str:
        return conclude(step, found=found).state

    free = shown(client_reference_id=None)
    assert after(free) == State.LINKED
    assert after() == State.CONFLICT
    assert after(free, shown(kohort_id="cus_2")) == State.CONFLICT
    assert after(shown(blocked_at=BEFORE)) == State.CONFLICT
    assert after(shown(client_reference_id="another")) == State.CONFLICT


def test_a_deleted_customer_that_may_be_a_strangers_is_not_offered_to_be_brought_back() -> None:
    step = delivery.Adopt(link=unlinked(), data=DATA)

    settlement = conclude(step, found=(shown(client_reference_id=None, deleted_at=BEFORE),))

    assert settlement.changes["conflict_kind"] == "email_in_use"


def test_nobody_is_adopted_where_the_site_has_stopped_it(settings: Any) -> None:
    verifies: dict[str, Any] = {"EMAIL_VERIFIED": lambda _user: True}
    refused = mapping.digest(mapping.customer_data(user()), salt=REFERENCE)
    tried = unlinked(last_error_code="email_taken", refused=refused)

    def planned(*, adopts: bool) -> delivery.Step:
        settings.KOHORT_SYNC = settings.KOHORT_SYNC | verifies | {"ADOPT_BY_EMAIL": adopts}
        return delivery.plan(tried, user(), situation=situation())

    assert isinstance(planned(adopts=True), delivery.Adopt)
    assert isinstance(planned(adopts=False), delivery.Create)


def test_a_customer_of_another_user_is_not_even_searched_for(settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"ADOPT_BY_EMAIL": True}
    step = delivery.Create(link=uncertain(), data=DATA, sent=DATA)
    taken = delivery.Result(step=step, found=(), refusal=errors.EmailTaken(status=409))

    def after(*, is_ours: bool) -> str:
        holders = {ADDRESS: Holder(kohort_id="cus_2", is_ours=is_ours)}
        return delivery.conclude(taken, situation=situation(holders=holders)).state

    assert after(is_ours=False) == State.PENDING
    assert after(is_ours=True) == State.CONFLICT


# Failures


def test_a_function_that_ends_the_process_politely_ends_its_own_turn_alone(settings: Any) -> None:
    def leave(_user: Any) -> bool:
        raise SystemExit

    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": leave}

    settlement = settled(delivery.plan(unlinked(), user(), situation=situation()))

    assert (settlement.state, settlement.changes["last_error_code"]) == (
        State.PENDING,
        "host_function_failed",
    )


def test_a_proof_that_ends_the_process_politely_proves_nothing(settings: Any) -> None:
    def leave(_user: Any) -> bool:
        raise SystemExit

    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"ADOPT_BY_EMAIL": True, "EMAIL_VERIFIED": leave}
    refused = mapping.digest(mapping.customer_data(user()), salt=REFERENCE)

    step = delivery.plan(
        unlinked(last_error_code="email_taken", refused=refused), user(), situation=situation()
    )

    assert isinstance(step, delivery.Create)


def test_a_row_that_has_killed_too_often_is_given_up_unread(settings: Any) -> None:
    asked: list[Any] = []
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"SHOULD_SYNC": asked.append}
    poison = unlinked(crashes=retry.MOST_CRASHES + 1)

    settlement = settled(delivery.plan(poison, user(), situation=situation()))

    assert (settlement.state, settlement.changes["last_error_code"]) == (State.PARKED, "crash_loop")
    # It has one life left when it is taken up again.
    assert settlement.changes["crashes"] == retry.MOST_CRASHES - 1
    assert asked == []


def test_time_that_ran_out_is_charged_to_nobody() -> None:
    settlement = conclude(delivery.Update(link=linked(), data=DATA, changes={}), error=errors.OutOfTime())

    assert (settlement.changes["attempts"], settlement.changes["failing_since"]) == (0, None)
    assert settlement.due_in == 0.0


def test_nobody_is_given_up_while_nothing_of_the_account_succeeds() -> None:
    since = NOW - timedelta(days=2)
    step = delivery.Update(link=linked(attempts=50, failing_since=since), data=DATA, changes={})
    failure = delivery.Result(step=step, error=errors.ServerError(status=503))

    def after(last_success_at: datetime | None) -> str:
        return delivery.conclude(failure, situation=situation(last_success_at=last_success_at)).state

    assert after(None) == State.LINKED
    assert after(since - timedelta(hours=1)) == State.LINKED
    assert after(NOW - timedelta(minutes=1)) == State.PARKED


def test_a_block_that_is_not_shown_is_not_believed() -> None:
    step = delivery.Block(link=linked(wants_block=True), block=True)

    believed = conclude(step, remote=shown(is_blocked=True))
    doubted = conclude(step, remote=shown(is_blocked=False))

    assert believed.changes["wants_block"] is None
    assert doubted.changes["last_error_code"] == "block_not_shown"
    assert "wants_block" not in doubted.changes


# Erasures


def test_an_erasure_waits_for_an_earlier_create_that_may_still_arrive() -> None:
    def planned(window: datetime) -> delivery.Step:
        wanted = linked(state=State.ERASING, erase_asked_at=BEFORE, settle_until=window)
        return delivery.plan(wanted, None, situation=situation())

    assert (settled(planned(LATER)).state, settled(planned(LATER)).due_in) == (State.ERASING, 300.0)
    assert isinstance(planned(BEFORE), delivery.Erase)


def test_an_erasure_is_believed_only_where_nothing_of_the_person_is_shown() -> None:
    link = linked(state=State.ERASING, erase_asked_at=BEFORE)
    step = delivery.Erase(link=link, changes={})

    kept = conclude(step, remote=shown(), carried_out=True)

    assert (kept.state, kept.changes["conflict_kind"]) == (State.CONFLICT, "erasure_refused")


def test_nothing_is_deleted_that_could_not_be_overwritten() -> None:
    step = delivery.Erase(
        link=linked(state=State.ERASING, erase_asked_at=BEFORE), changes={"firstName": None}
    )
    line = Line(update=[errors.ServerError(status=503)])

    result = send(step, line)

    assert line.calls == ["update"]
    assert (result.carried_out, isinstance(result.error, errors.ServerError)) == (False, True)


def test_a_block_that_stands_already_is_not_sent_again() -> None:
    line = Line(get=[Answer(shown(is_blocked=True), 200, 1)])

    result = send(delivery.Block(link=linked(), block=True), line)

    assert line.calls == ["get"]
    assert result.remote == shown(is_blocked=True)


@pytest.mark.parametrize(
    "step",
    [
        delivery.Create(link=uncertain(), data=DATA, sent=DATA),
        delivery.LookUp(link=uncertain(), data=DATA),
        delivery.Adopt(link=unlinked(), data=DATA),
        delivery.Adopt(link=unlinked(), data=DATA, kohort_id="cus_1"),
        delivery.Verify(link=linked()),
        delivery.Update(link=linked(), data=DATA, changes={}),
        delivery.Block(link=linked(), block=True),
        delivery.Erase(link=linked(), changes={}),
    ],
    ids=lambda step: type(step).__name__,
)
def test_no_call_is_made_without_time_for_it(step: delivery.Step) -> None:
    line: Any = Line()

    result = delivery.send(step, line, may_send=lambda _seconds: False)

    assert (line.calls, isinstance(result.error, errors.OutOfTime)) == ([], True)
