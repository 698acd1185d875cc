"""Mishaps: what happens at the wrong moment, there or here, makes no second customer and loses nobody."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.models import Model

from kohort_sync import connection
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncAttempt
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

DAY = 24 * 3600


def methods(service: Service) -> list[str]:
    return [exchange.method for exchange in service.log]


def verified(_user: Any) -> bool:
    return True


# There


@pytest.mark.failure(33, 47)
@pytest.mark.parametrize("kind", ["status", "html"])
def test_a_storm_of_failures_after_the_work_makes_nobody_twice(service: Service, kind: Any) -> None:
    users = [sign_up(f"user{number}") for number in range(60)]
    service.faults.add(Fault(kind, times=None, method="POST", status=503, after_commit=True, probability=0.3))

    for _ in range(40):
        drain()
        let_time_pass(90)

    assert {link_of(user).state for user in users} == {State.LINKED}
    assert len(service.snapshot()) == len(users)
    assert methods(service).count("POST") == len(users)


@pytest.mark.failure(52)
def test_an_address_that_nobody_living_has_ends_in_a_conflict_and_is_left_alone(service: Service) -> None:
    service.soft_delete(service.add_customer(email="ada@example.com"))
    user = sign_up()

    for _ in range(10):
        drain()
        let_time_pass(DAY)

    link = link_of(user)
    assert (link.state, link.conflict_kind, link.next_attempt_at) == (State.CONFLICT, "email_in_use", None)
    assert methods(service) == ["POST", "GET"]


@pytest.mark.failure(55)
def test_a_look_up_that_lags_behind_a_create_is_made_again(service: Service) -> None:
    user = sign_up()
    ours = service.add_customer(email=user.email, reference=link_of(user).client_reference_id)
    lagging = Fault("status", times=2, method="GET", status=200, body='{"data": [], "count": 0}')
    service.faults.add(lagging)

    drain()
    blind = link_of(user)
    for _ in range(3):
        let_time_pass(61)
        drain()

    link = link_of(user)
    assert (blind.state, blind.last_error_code) == (State.UNCERTAIN, "reference_taken")
    assert link.customer is not None
    assert (link.state, link.customer.kohort_id) == (State.LINKED, ours)
    assert methods(service)[:4] == ["POST", "GET", "GET", "GET"]
    assert methods(service).count("POST") == 1


@pytest.mark.failure(67)
@pytest.mark.parametrize(
    "second",
    [
        "ada@example.com",
        "ADA@example.com",
        "ada@EXAMPLE.com",
        "ada+shop@example.com",
        "ada@xn--exmple-cua.com",
        "ada@exa\u0301mple.com",
    ],
    ids=["equal", "case", "case of the domain", "plus", "punycode", "decomposed"],
)
def test_two_spellings_of_one_address_never_share_a_customer(
    service: Service, settings: Any, second: str
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"ADOPT_BY_EMAIL": True, "EMAIL_VERIFIED": verified}
    first = sign_up("ada", email="ada@ex\u00e1mple.com" if "exa\u0301" in second else "ada@example.com")
    drain()
    other = sign_up("bea", email=second)

    for _ in range(4):
        drain()
        let_time_pass(600)

    ours, theirs = link_of(first), link_of(other)
    assert ours.state == State.LINKED
    assert theirs.customer_id != ours.customer_id
    assert (theirs.state, theirs.conflict_kind) in {
        (State.LINKED, ""),
        (State.CONFLICT, "email_in_use"),
        (State.REJECTED, ""),
    }


# Here


class Broken:
    """Be a database that is down from the first answer of KohortPay on."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        if len(self.service.log):
            raise OperationalError("server closed the connection unexpectedly")
        return execute(*statement)


@pytest.mark.failure(56)
def test_a_database_that_goes_down_before_the_answer_is_noted_knows_what_was_asked(service: Service) -> None:
    user = sign_up()

    with connections["default"].execute_wrapper(Broken(service)), pytest.raises(OperationalError):
        drain()
    left = link_of(user)
    let_time_pass(200)
    drain()

    assert (left.state, left.posts, left.intent_email) == (State.UNCERTAIN, 1, user.email)
    assert link_of(user).state == State.LINKED
    assert methods(service) == ["POST", "GET"]


BACKED_UP: tuple[type[Model], ...] = (Account, User, Customer, CustomerLink, SyncAttempt)


def backup() -> dict[type[Model], list[Model]]:
    return {model: list(model._base_manager.all()) for model in BACKED_UP}


def restore(rows: dict[type[Model], list[Model]]) -> None:
    for model in reversed(BACKED_UP):
        model._base_manager.all()._raw_delete("default")
    for model, held in rows.items():
        model._base_manager.bulk_create(held)


@pytest.mark.failure(57)
def test_a_backup_from_before_the_creates_finds_its_customers_again(service: Service) -> None:
    early = sign_up("early")
    drain()
    late = [sign_up(f"late{number}") for number in range(5)]
    rows = backup()
    drain()
    ids = {row["id"] for row in service.snapshot()}
    early.first_name = "Augusta"
    early.save()
    drain()

    restore(rows)
    for _ in range(3):
        drain()
        let_time_pass(20)

    links = [link_of(user) for user in (early, *late)]
    assert [link.state for link in links] == [State.LINKED] * 6
    assert {link.customer.kohort_id for link in links if link.customer} == ids
    assert {row["id"] for row in service.snapshot()} == ids


class Deleting(ServiceAdapter):
    """Let the site delete a user while the create is under way."""

    def __init__(self, service: Service, key: int) -> None:
        super().__init__(service)
        self.key = key

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().send(request, *args, **kwargs)
        finally:
            if request.method == "POST":
                User.objects.get(pk=self.key).delete()
                connections.close_all()


@pytest.mark.failure(65)
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
def test_a_user_who_is_deleted_while_the_answer_is_awaited_is_erased_there(
    service: Service, settings: Any, *, lost: bool
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"ON_USER_DELETE": "erase"}
    user = sign_up()
    key = user.pk
    if lost:
        service.faults.add(Fault("reset", method="POST", after_commit=True))

    with connection.through(Deleting(service, key)):
        drain()
    survived = CustomerLink.objects.get()
    for _ in range(3):
        drain()
        let_time_pass(400)

    link = CustomerLink.objects.get()
    assert survived.erase_asked_at is not None
    assert (link.state, link.last_error_code) == (State.ERASED, "erased_anonymised")
    assert "ada@" not in str(service.snapshot())
    assert methods(service).count("POST") == 1


class Recording(ServiceAdapter):
    """Keep the addresses under which customers are to be made."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.addresses: list[str] = []

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method == "POST":
            self.addresses.append(json.loads(request.body)["emailAddress"])
        return super().send(request, *args, **kwargs)


@pytest.mark.failure(66)
def test_an_address_that_changes_while_a_create_is_open_is_sent_after_it(service: Service) -> None:
    user = sign_up()
    service.faults.add(Fault("reset", method="POST"))
    line = Recording(service)

    with connection.through(line):
        drain()
        user.email = "augusta@example.com"
        user.save()
        for _ in range(5):
            drain()
            let_time_pass(400)

    (remote,) = service.snapshot()
    assert line.addresses == ["ada@example.com"] * 2
    assert remote["email_address"] == "augusta@example.com"
    assert (link_of(user).state, link_of(user).is_dirty) == (State.LINKED, False)


# The configuration


@pytest.mark.failure(72)
@pytest.mark.parametrize(
    ("before", "after"), [("test", "live"), ("live", "test")], ids=["to live", "back to test"]
)
def test_a_key_of_the_other_mode_in_the_middle_touches_nobody_of_this_one(
    service: Service, settings: Any, before: str, after: str
) -> None:
    keys = {mode: f"sk_{mode}_middle000000000000" for mode in (before, after)}
    service.keys.update(dict.fromkeys(keys.values(), "org_one"))
    base = settings.KOHORT_SYNC | {"BASE_URL": "https://api.kohortpay.test"}

    def swap(_user: Any) -> bool:
        settings.KOHORT_SYNC = base | {"API_KEY": keys[after]}
        return True

    settings.KOHORT_SYNC = base | {"API_KEY": keys[before], "SHOULD_SYNC": swap}
    users = [sign_up(f"user{number}") for number in range(3)]
    drain()
    sign_up("late")
    drain()

    assert {link.account for link in CustomerLink.objects.filter(user__in=users)} == {f"default/{before}"}
    assert sorted(row["livemode"] for row in service.snapshot()) == sorted(
        [before == "live"] * 3 + [after == "live"]
    )
    assert not CustomerLink.objects.exclude(state=State.LINKED).exists()
    for link in CustomerLink.objects.select_related("customer"):
        assert link.customer is not None
        assert link.customer.account == link.account
        assert link.customer.livemode is link.account.endswith("live")


@pytest.mark.failure(73)
@pytest.mark.parametrize(
    "off", [{"ENABLED": False}, {"ENABLED": "False"}, {"API_KEY": ""}, {"API_KEY": "changeme"}]
)
def test_an_app_that_is_switched_off_keeps_its_rows_for_later(
    service: Service, settings: Any, off: dict[str, Any]
) -> None:
    user = sign_up()
    on = settings.KOHORT_SYNC
    settings.KOHORT_SYNC = on | off
    ended = drain().ended
    waiting = link_of(user)
    settings.KOHORT_SYNC = on

    drain()

    assert (ended, waiting.state) == ("idle", State.PENDING)
    assert link_of(user).state == State.LINKED
