"""The services: what people, hosts and edges may ask for, and what they get to hear."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.utils import timezone

from kohort_sync import drainer, queries, services
from kohort_sync.models import Account, CustomerLink, State, SyncAttempt, WorkClass
from kohort_sync.services import deciding
from kohort_sync.testing.service import Service
from project.accounts.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def older(number: int) -> list[User]:
    users = [User(username=f"old{each}", email=f"old{each}@example.com") for each in range(number)]
    return User.objects.bulk_create(users)


def drain() -> None:
    drainer.drain("default", linger=0)


def test_a_rehearsal_counts_and_changes_nothing() -> None:
    older(5)

    rehearsal = services.rehearse_backfill("default")
    limited = services.rehearse_backfill("default", limit=2)

    assert rehearsal == services.Rehearsal(account="default/test", covered=False, to_be_sent=5)
    assert (rehearsal.users, limited.users) == (5, 2)
    assert not CustomerLink.objects.exists()
    assert not Account.objects.filter(covered_at__isnull=False).exists()


def test_a_backfill_makes_rows_and_covers_the_account() -> None:
    older(5)
    told: list[tuple[int, int]] = []

    done = services.backfill("default", progress=lambda *numbers: told.append(numbers))

    assert done == services.Backfill(account="default/test", recorded=5, covered=True)
    assert told == [(5, 5)]
    assert CustomerLink.objects.filter(work_class=WorkClass.BULK).count() == 5


def test_a_backfill_with_a_limit_covers_when_nobody_is_left() -> None:
    older(5)

    done = [services.backfill("default", limit=2) for _ in range(4)]

    assert [(each.recorded, each.covered) for each in done] == [(2, False), (2, False), (1, True), (0, True)]


def test_a_backfill_of_an_empty_site_covers_it() -> None:
    assert services.backfill("default") == services.Backfill(account="default/test", recorded=0, covered=True)


def test_a_second_backfill_keeps_the_day_of_the_first() -> None:
    services.backfill("default")
    before = Account.objects.get().covered_at

    services.backfill("default")

    assert Account.objects.get().covered_at == before


@pytest.mark.failure(72)
def test_a_new_mode_begins_uncovered(settings: Any) -> None:
    older(1)
    services.backfill("default")
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": "sk_live_sandbox0000000000"}

    (status,) = services.status()

    assert (status["account"], status["covered"], status["users_without_link"]) == ("default/live", False, 1)


def test_a_backfilled_user_is_sent(service: Service) -> None:
    older(3)
    services.backfill("default")

    drain()

    assert len(service.snapshot()) == 3


@pytest.mark.parametrize("call", ["backfill", "drain"])
def test_an_alias_that_nobody_configured_is_named_with_the_way_out(call: str) -> None:
    calls: dict[str, Any] = {
        "backfill": lambda: services.backfill("other"),
        "drain": lambda: services.drain("other"),
    }

    with pytest.raises(services.UnknownAccount, match=r"'other'.*API_KEY.*manage.py check"):
        calls[call]()


def test_a_request_for_somebody_who_has_a_row_keeps_it() -> None:
    user = User.objects.create_user("ada")
    before = CustomerLink.objects.get()

    asked = services.request_sync([user, user])

    after = CustomerLink.objects.get()
    assert asked == 2
    assert (after.pk, after.client_reference_id) == (before.pk, before.client_reference_id)


def test_a_request_without_a_key_asks_for_nobody_and_fails_nothing(settings: Any) -> None:
    user = User.objects.create_user("ada")
    CustomerLink.objects.all().delete()
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": None}

    asked = services.request_sync([user])

    assert asked == 0
    assert not CustomerLink.objects.exists()


def test_a_request_for_nobody_is_answered() -> None:
    assert services.request_sync([]) == 0


def test_a_request_for_a_user_who_is_not_saved_says_so() -> None:
    with pytest.raises(ValueError, match="primary key"):
        services.request_sync([User(username="ada")])

    assert not CustomerLink.objects.exists()


def test_a_resync_finds_what_was_changed_there(service: Service) -> None:
    User.objects.create_user("ada", email="ada@example.com", first_name="Ada")
    drain()
    link = CustomerLink.objects.select_related("customer").get()
    assert link.customer is not None
    service.change(link.customer.kohort_id, first_name="Eve")
    actor = User.objects.create_user("admin")

    marked = services.resync(CustomerLink.objects.filter(pk=link.pk), actor=actor, reason="a call")
    drain()

    decision = SyncAttempt.objects.get(operation="resync")
    assert marked == 1
    assert service.snapshot()[0]["first_name"] == "Ada"
    assert (decision.actor, decision.reason, decision.trigger) == (str(actor.pk), "a call", "person")
    assert not CustomerLink.objects.get(pk=link.pk).verify


def test_a_resync_of_many_takes_them_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_CHUNK", 2)
    services.request_sync(older(5))

    marked = services.resync(CustomerLink.objects.all())

    assert marked == 5
    assert SyncAttempt.objects.filter(operation="resync", trigger="command").count() == 5
    assert set(CustomerLink.objects.values_list("desired_version", flat=True)) == {2}


@pytest.mark.failure(75)
def test_a_resync_of_thousands_costs_a_few_statements_for_each_hundred(
    django_assert_max_num_queries: Any,
) -> None:
    links = [
        CustomerLink(account="default/test", user_pk=str(n), client_reference_id=f"r{n}", state=State.SKIPPED)
        for n in range(2000)
    ]
    CustomerLink.objects.bulk_create(links)

    # On MariaDB each row is a statement of its own, and a turn has 20 of them: decision 0012.
    for_each_hundred = 100 + 5 * 5 if connection.vendor == "mysql" else 8
    with django_assert_max_num_queries(20 * for_each_hundred):
        marked = services.resync(CustomerLink.objects.all())

    assert marked == 2000
    assert not CustomerLink.objects.filter(verify=False).exists()


@pytest.mark.parametrize("state", [State.ERASED, State.IGNORED, State.ERASING])
def test_a_resync_leaves_alone_what_a_person_has_ended(state: State) -> None:
    User.objects.create_user("ada")
    CustomerLink.objects.update(state=state, next_attempt_at=None, erase_asked_at=timezone.now())

    assert services.resync(CustomerLink.objects.all()) == 0
    assert CustomerLink.objects.get().next_attempt_at is None


def test_a_resync_of_nothing_is_answered() -> None:
    assert services.resync(CustomerLink.objects.none()) == 0


def test_a_linked_user_has_a_customer_and_others_have_none(service: Service) -> None:
    user = User.objects.create_user("ada", email="ada@example.com")
    before = services.customer_for(user)
    drain()

    customer = services.customer_for(user)

    assert before is None
    assert customer is not None
    assert customer.email_address == "ada@example.com"
    assert services.customer_for(User(username="unsaved")) is None
    assert services.customer_for(user, alias="other") is None


def test_nobody_and_a_site_without_a_key_have_no_customer(settings: Any) -> None:
    user = User.objects.create_user("ada")
    settings.KOHORT_SYNC = {}

    assert services.customer_for(user) is None
    assert services.status() == []


def test_the_status_names_everything_that_is_promised(service: Service) -> None:
    older(2)
    User.objects.create_user("ada", email="ada@example.com")
    User.objects.create_user("bea")
    waiting = services.status()[0]
    drain()

    (status,) = services.status()

    assert set(status) == set(queries.AccountStatus.__annotations__)
    assert waiting["due"] == 2
    assert waiting["oldest_due_seconds"] is not None
    assert 0 <= waiting["oldest_due_seconds"] < 5
    assert (status["states"], status["due"], status["users_without_link"]) == (
        {"linked": 1, "skipped": 1},
        0,
        2,
    )
    assert (status["gate"], status["reason"], status["livemode"]) == ("open", "", False)


def test_an_anonymous_visitor_has_no_customer() -> None:
    assert services.customer_for(AnonymousUser()) is None  # type: ignore[arg-type]


@pytest.mark.security(16)
@pytest.mark.parametrize("kohort_id", ["no id at all", "cus_" + "x" * 61, "../customers"])
def test_what_can_be_no_customer_is_never_adopted(kohort_id: str) -> None:
    user = User.objects.create_user("ada", email="ada@example.com")
    CustomerLink.objects.update(state=State.CONFLICT, conflict_kind="email_in_use")

    with pytest.raises(services.NotPossible, match="not the id of a KohortPay customer"):
        services.resolve(user, choice="adopt", reason="a call", kohort_id=kohort_id)

    assert CustomerLink.objects.get().state == State.CONFLICT
