"""Updates: what changes here is sent there, once, and nothing else is."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F

from kohort_sync import connection, drainer, links, services, sweep
from kohort_sync.models import Account, Customer, CustomerLink, State, WorkClass
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up
from tests.signup.models import Badge, Profile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def calls(service: Service) -> list[str]:
    return [exchange.method for exchange in service.log]


def remote_of(service: Service, user: Any) -> dict[str, Any]:
    customer = link_of(user).customer
    assert customer is not None
    return next(row for row in service.snapshot() if row["id"] == customer.kohort_id)


def with_profile(user: Any) -> dict[str, Any]:
    """Be the CUSTOMER_DATA of a host that keeps phone numbers elsewhere."""
    profile = Profile._base_manager.filter(user=user).first()
    return {"phone_number": profile.phone_number if profile else None}


def test_a_log_in_sends_nothing_and_is_not_even_noted(service: Service) -> None:
    user = sign_up()
    drain()
    before = link_of(user).desired_version
    user.save(update_fields=["last_login"])

    drain()

    assert link_of(user).desired_version == before
    assert calls(service) == ["POST"]


def test_a_save_that_changes_nothing_that_is_sent_sends_nothing(service: Service) -> None:
    user = sign_up()
    drain()
    user.is_staff = True
    user.save()

    drain()

    assert calls(service) == ["POST"]
    assert not link_of(user).is_dirty


def test_several_saves_become_one_change_of_the_changed_fields(service: Service) -> None:
    user = sign_up()
    drain()
    for name in ("Augusta", "Byron", "Countess"):
        user.first_name = name
        user.save()

    drain()

    assert calls(service) == ["POST", "PATCH"]
    assert remote_of(service, user)["first_name"] == "Countess"


@pytest.mark.parametrize("by", ["save", "delete"])
def test_a_change_of_a_watched_model_is_a_change_of_its_user(
    service: Service, settings: Any, by: str
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": with_profile}
    user, other = sign_up("ada"), sign_up("bea")
    profile = Profile._base_manager.create(user=user, phone_number="+33102030405")
    drain()
    before = len(calls(service))
    profile.phone_number = "+33102030406"

    profile.save() if by == "save" else profile.delete()
    drain()

    assert calls(service)[before:] == ["PATCH"]
    assert remote_of(service, user)["phone_number"] == ("+33102030406" if by == "save" else None)
    assert remote_of(service, other)["phone_number"] is None


def test_a_watched_model_may_name_its_user_by_another_column_or_nobody() -> None:
    user = sign_up()
    before = link_of(user).desired_version

    Badge._base_manager.create(holder=user, text="gold")
    Badge._base_manager.create(holder=None, text="lost")

    assert link_of(user).desired_version == before + 1


def test_an_address_that_passes_from_one_user_to_the_next_ends_where_it_belongs(service: Service) -> None:
    first, second = sign_up("ada"), sign_up("bea")
    drain()
    second.email = first.email
    second.save()
    first.email = "new@example.com"
    first.save()
    CustomerLink.objects.filter(user=second).update(work_class=WorkClass.SIGNUP)  # so it comes too early

    drain()
    early = link_of(second)
    let_time_pass(30)
    drain()

    assert (early.state, early.last_error_code) == (State.LINKED, "email_taken")
    assert [link_of(user).state for user in (first, second)] == [State.LINKED, State.LINKED]
    assert remote_of(service, second)["email_address"] == "ada@example.com"


def swap(first: Any, second: Any) -> None:
    first.email, second.email = second.email, first.email
    first.save()
    second.save()


@pytest.mark.failure(68)
@pytest.mark.security(30)
def test_users_who_swap_their_addresses_end_in_a_conflict_with_both_ids(service: Service) -> None:
    first, second = sign_up("ada"), sign_up("bea")
    drain()
    ids = {remote_of(service, user)["id"] for user in (first, second)}
    swap(first, second)

    for _ in range(10):
        let_time_pass(600)
        drain()
    settled = len(calls(service))
    let_time_pass(7 * 24 * 3600)
    drain()

    found = [link_of(user) for user in (first, second)]
    assert [link.conflict_kind for link in found] == ["email_in_use", "email_in_use"]
    assert [set(link.conflict_ids) for link in found] == [ids, ids]
    assert calls(service)[2:settled] == ["PATCH"] * 6, "three tries each"
    assert len(calls(service)) == settled


def test_a_swap_is_undone_by_moving_one_of_the_two_out_of_the_way(service: Service) -> None:
    first, second = sign_up("ada"), sign_up("bea")
    drain()
    swap(first, second)
    for _ in range(10):
        let_time_pass(600)
        drain()
    service.change(remote_of(service, first)["id"], email_address="parked@example.com")

    services.retry(CustomerLink.objects.filter(user=second))
    for _ in range(3):
        drain()
        let_time_pass(600)

    assert [link_of(user).state for user in (first, second)] == [State.LINKED, State.LINKED]
    assert remote_of(service, first)["email_address"] == "bea@example.com"
    assert remote_of(service, second)["email_address"] == "ada@example.com"


def test_refused_data_is_not_sent_again_before_it_changes(service: Service) -> None:
    service.disposable_domains = ["example.org"]
    user = sign_up(email="ada@example.org")
    drain()
    for _ in range(3):
        user.save()
        drain()
    quiet = calls(service).count("POST")
    user.email = "ada@example.com"
    user.save()

    drain()

    assert quiet == 1
    assert link_of(user).state == State.LINKED


def test_a_refused_change_of_a_linked_user_is_not_sent_again_before_it_changes(service: Service) -> None:
    user = sign_up()
    drain()
    service.disposable_domains = ["example.org"]
    user.email = "ada@example.org"
    user.save()
    drain()
    for _ in range(3):
        user.save()
        drain()

    refused = link_of(user)

    assert calls(service) == ["POST", "PATCH"]
    assert (refused.state, refused.last_error_code) == (State.LINKED, "invalid")


def test_a_resync_tries_again_what_was_refused(service: Service) -> None:
    service.disposable_domains = ["example.org"]
    user = sign_up(email="ada@example.org")
    drain()
    service.disposable_domains = []

    services.resync(CustomerLink.objects.all())
    drain()

    assert link_of(user).state == State.LINKED


def test_consent_withdrawn_leaves_the_link_and_sends_nothing_more(service: Service) -> None:
    user = sign_up()
    drain()
    user.is_active = False
    user.first_name = "Augusta"
    user.save()
    drain()
    withdrawn = link_of(user)
    user.is_active = True
    user.save()

    drain()

    assert (withdrawn.state, withdrawn.last_error_code) == (State.LINKED, "not_wanted")
    assert withdrawn.customer is not None
    assert calls(service) == ["POST", "PATCH"]
    assert remote_of(service, user)["first_name"] == "Augusta"


def test_a_user_who_never_was_wanted_is_skipped_and_comes_when_wanted(service: Service) -> None:
    user = sign_up(is_active=False)
    drain()
    skipped = link_of(user)
    user.is_active = True
    user.save()

    drain()

    assert (skipped.state, skipped.last_error_code) == (State.SKIPPED, "not_wanted")
    assert link_of(user).state == State.LINKED


@pytest.mark.failure(58)
def test_an_update_whose_answer_is_lost_is_compared_at_once_and_again_when_it_can_no_longer_arrive(
    service: Service,
) -> None:
    user = sign_up()
    drain()
    user.first_name = "Augusta"
    user.save()
    service.faults.add(Fault("reset", method="PATCH", after_commit=True))
    drain()
    let_time_pass(20)
    drain()
    first_look = link_of(user)
    # Only now does the lost request arrive, and undoes what was sent since.
    service.change(remote_of(service, user)["id"], first_name="Late")
    let_time_pass(400)

    drain()

    assert first_look.look_again_at is not None
    assert first_look.next_attempt_at == first_look.look_again_at
    assert remote_of(service, user)["first_name"] == "Augusta"
    assert link_of(user).look_again_at is None
    assert link_of(user).next_attempt_at is None


@pytest.mark.failure(21, 58)
def test_a_worker_that_reports_late_asks_for_two_looks(service: Service) -> None:
    user = sign_up()
    drain()
    batch_of = link_of(user)
    CustomerLink.objects.update(next_attempt_at="2020-01-01T00:00:00Z")
    batch = links.claim(account="default/test", limit=1, order=list(WorkClass), using="default")
    assert batch is not None
    CustomerLink.objects.update(lease_token="", lease_until=None)  # somebody else had it meanwhile

    links.report_late(batch, {batch_of.pk}, using="default")
    before = len(calls(service))
    drain()
    let_time_pass(400)
    drain()

    assert calls(service)[before:] == ["GET", "GET"]
    assert link_of(user).next_attempt_at is None


class Robbing(ServiceAdapter):
    """Let somebody else have had every row by the time an answer comes."""

    def send(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().send(*args, **kwargs)
        CustomerLink.objects.update(lease_token="", lease_until=None)
        connections.close_all()
        return answer


@pytest.mark.failure(21, 58)
def test_a_worker_that_loses_its_row_while_it_waits_reports_late(service: Service) -> None:
    user = sign_up()
    drain()
    user.first_name = "Augusta"
    user.save()

    with connection.through(Robbing(service)):
        drainer.drain("default", budget=0.1, linger=0)

    link = link_of(user)
    assert link.verify
    assert link.look_again_at is not None
    assert link.synced_version < link.desired_version


# Changes behind the signals' back


@pytest.mark.failure(6)
def test_a_change_that_no_signal_announced_is_found_by_the_sweep(service: Service) -> None:
    users = [sign_up(f"user{number}") for number in range(3)]
    drain()
    User.objects.filter(pk=users[1].pk).update(email="moved@example.com")

    sweep.sweep("default")
    drain()

    assert calls(service) == ["POST"] * 3 + ["PATCH"]
    assert remote_of(service, users[1])["email_address"] == "moved@example.com"


def test_the_sweep_brings_back_whoever_may_be_sent_now(service: Service) -> None:
    service.disposable_domains = ["example.org"]
    names = ("inactive", "nowhere", "refused", "withdrawn")
    inactive = sign_up("inactive", is_active=False)
    nowhere, refused = sign_up("nowhere", email=""), sign_up("refused", email="ada@example.org")
    withdrawn = sign_up("withdrawn")
    drain()
    withdrawn.is_active = False
    withdrawn.save()
    drain()
    User.objects.update(is_active=True)
    for user in (nowhere, refused):
        User.objects.filter(pk=user.pk).update(email=f"{user.username}@example.com")

    sweep.sweep("default")
    drain()

    found = {user.username: link_of(user) for user in (inactive, nowhere, refused, withdrawn)}
    assert {name: link.state for name, link in found.items()} == dict.fromkeys(names, State.LINKED)
    assert {link.last_error_code for link in found.values()} == {""}


def test_the_sweep_marks_nobody_who_is_as_confirmed(service: Service) -> None:
    service.disposable_domains = ["example.org"]
    sign_up("linked")
    sign_up("inactive", is_active=False)
    sign_up("nowhere", email="")
    sign_up("wrong", email="no@address")
    sign_up("refused", email="ada@example.org")
    drain()

    sweep.sweep("default")

    assert not CustomerLink.objects.filter(next_attempt_at__isnull=False).exists()


def test_all_users_are_compared_once_a_day_a_slice_at_a_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_LEAST_AT_ONCE", 2)
    users = [sign_up(f"user{number}") for number in range(8)]
    drain()
    for _ in range(5):  # the round of today
        sweep.sweep("default")
    User.objects.update(first_name="Somebody")
    Account.objects.update(last_sweep_at=F("last_sweep_at") - timedelta(days=1))
    monkeypatch.setattr(sweep, "_MOST_AT_ONCE", 3)

    marked = []
    for _ in range(4):
        sweep.sweep("default")
        marked.append(CustomerLink.objects.filter(next_attempt_at__isnull=False).count())

    assert marked == [3, 5, 7, 8], "as much as the time since the last sweep wants, then the least at once"
    drain()
    assert {remote_of(service, user)["first_name"] for user in users} == {"Somebody"}


def test_those_who_are_not_sent_do_not_keep_the_others_from_being_compared(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_LEAST_AT_ONCE", 2)
    users = [sign_up(f"user{number}") for number in range(6)]
    drain()
    for user in users[:2]:
        user.is_active = False
        user.save()
    for user in users[2:4]:
        user.delete()
    drain()
    Customer.objects.update(mirrored_at="2020-01-02T00:00:00Z")
    Customer.objects.filter(link__user__in=users[:2]).update(mirrored_at="2020-01-01T00:00:00Z")

    for _ in range(3):
        sweep.sweep("default")
        drain()

    seen = Customer.objects.filter(mirrored_at__year__gt=2020, link__user__isnull=False)
    assert {customer.link.user_id for customer in seen} == {users[n].pk for n in (0, 1, 4, 5)}


def test_a_customer_that_was_not_seen_for_a_month_is_compared(service: Service) -> None:
    users = [sign_up(f"user{number}") for number in range(3)]
    drain()
    old = link_of(users[0]).customer
    assert old is not None
    service.change(old.kohort_id, first_name="Drifted")
    type(old).objects.filter(pk=old.pk).update(mirrored_at="2020-01-01T00:00:00Z")

    sweep.sweep("default")
    asked = CustomerLink.objects.filter(next_attempt_at__isnull=False)
    classes = [link.work_class for link in asked]
    drain()

    assert classes == [WorkClass.VERIFY]
    assert calls(service) == ["POST"] * 3 + ["GET", "PATCH"]
    assert remote_of(service, users[0])["first_name"] == "Ada"
