"""Removal: a deleted user is kept or erased at KohortPay; what is erased is erased everywhere we know of."""

from typing import Any

import pytest
from django.db import connections

from kohort_sync import connection, queries, reasons, retention, services, signals, sweep
from kohort_sync.models import Customer, CustomerLink, State, SyncAttempt
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

DAY = 24 * 3600.0
CANARIES = ("canary", "Ophelia", "Zephyrine", "+33699887766")


@pytest.fixture
def erasing(settings: Any) -> None:
    """Be a site that erases whoever is deleted."""
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"ON_USER_DELETE": "erase"}


def sign_up_canary(**fields: Any) -> Any:
    """Sign somebody up whose every word is easy to find again."""
    return sign_up(
        "canary",
        **({"first_name": "Ophelia", "last_name": "Zephyrine", "phone_number": "+33699887766"} | fields),
    )


def calls(service: Service, *, since: int = 0) -> list[str]:
    return [exchange.method for exchange in service.log][since:]


def traces() -> list[str]:
    """Name every column of every table of ours that still tells something about the canary."""
    found = []
    for model in (CustomerLink, Customer, SyncAttempt):
        for row in model._base_manager.values():
            found += [
                f"{model.__name__}.{name}"
                for name, value in row.items()
                if any(canary in str(value) for canary in CANARIES)
            ]
    return found


def only_link() -> CustomerLink:
    return CustomerLink.objects.select_related("customer").get()


# Kept


def test_a_deleted_user_stays_linked_under_keep_and_nothing_is_sent(service: Service) -> None:
    user = sign_up()
    drain()
    user.delete()

    drain()

    link = only_link()
    assert (link.state, link.last_error_code, link.user_pk) == (State.LINKED, "user_deleted", None)
    assert link.user_gone_at is not None
    assert calls(service) == ["POST"]


def test_a_user_deleted_before_anything_was_sent_is_never_sent(service: Service) -> None:
    sign_up().delete()

    drain()

    assert (only_link().state, only_link().last_error_code) == (State.SKIPPED, "user_deleted")
    assert calls(service) == []


def test_the_same_key_and_the_same_address_sign_up_again(service: Service) -> None:
    user = sign_up()
    key, email = user.pk, user.email
    drain()
    customer = only_link().customer
    assert customer is not None
    user.delete()
    drain()
    service.change(customer.kohort_id, email_address="freed@example.com")

    again = User.objects.create(pk=key, username="ada", email=email)
    drain()

    links = CustomerLink.objects.filter(user=again)
    assert [link.state for link in links] == [State.LINKED]
    assert CustomerLink.objects.count() == 2


def test_what_the_mirror_knows_of_a_deleted_user_goes_after_the_retention(service: Service) -> None:
    user = sign_up_canary()
    drain()
    user.delete()
    drain()
    let_time_pass(89 * DAY)
    sweep.sweep("default")
    kept = traces()
    let_time_pass(2 * DAY)

    sweep.sweep("default")

    assert kept
    assert traces() == []
    link = only_link()
    assert link.customer is not None
    assert link.customer.kohort_id
    assert link.fingerprint == {}


@pytest.mark.security(30)
def test_old_history_goes_and_young_history_stays(service: Service) -> None:
    user = sign_up()
    drain()
    SyncAttempt.objects.update(created_at="2020-01-01T00:00:00Z")
    user.first_name = "Augusta"
    user.save()
    drain()

    pruned = retention.prune("default/test", limit=100, using="default")

    assert pruned == (1, 0, 0)
    assert [attempt.operation for attempt in SyncAttempt.objects.all()] == ["update"]


def test_prune_removes_all_that_is_too_old_in_turns(service: Service) -> None:
    for number in range(3):
        sign_up(f"user{number}")
    drain()
    SyncAttempt.objects.update(created_at="2020-01-01T00:00:00Z")

    pruned = services.prune("default")

    assert pruned == (3, 0, 0)
    assert not SyncAttempt.objects.exists()


def test_a_conflict_over_a_user_who_is_gone_bothers_nobody(service: Service) -> None:
    user = sign_up()
    drain()
    customer = only_link().customer
    assert customer is not None
    service.soft_delete(customer.kohort_id)
    user.first_name = "Augusta"
    user.save()
    drain()
    in_conflict = only_link().conflict_kind
    user.delete()

    drain()

    assert in_conflict == "deleted_remotely"
    assert (only_link().state, only_link().last_error_code) == (State.LINKED, "user_deleted")


# Erased


@pytest.mark.security(29)
def test_a_deleted_user_is_erased_there_and_here(service: Service, erasing: None) -> None:
    user = sign_up_canary()
    drain()
    user.delete()
    committed = only_link()

    drain()

    link = only_link()
    (remote,) = service.snapshot()
    assert (committed.state, committed.user_pk) == (State.ERASING, None)
    assert (link.state, link.last_error_code) == (State.ERASED, "erased_anonymised")
    assert remote["email_address"] == f"{link.client_reference_id}@erased.invalid"
    assert not any(canary in str(remote) for canary in CANARIES)
    assert traces() == []
    assert calls(service) == ["POST", "PATCH", "DELETE", "GET"]
    assert link.next_attempt_at is None


def test_an_erased_customer_that_is_no_longer_shown_is_gone(erasing: None) -> None:
    service = Service(seed=1, dialect="documented")
    with connection.through(ServiceAdapter(service)):
        user = sign_up_canary()
        drain()
        user.delete()

        drain()

    assert (only_link().state, only_link().last_error_code) == (State.ERASED, "erased_gone")
    assert traces() == []


def test_an_address_that_was_sent_is_overwritten(erasing: None, settings: Any) -> None:
    address = {"address": {"street": "Zephyrine 1", "city": "Paris"}}
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"CUSTOMER_DATA": lambda _user: address}
    service = Service(seed=1, dialect="documented")
    with connection.through(ServiceAdapter(service)):
        user = sign_up()
        drain()
        user.delete()

        drain()

    assert "Zephyrine" not in str(service.snapshot())
    assert only_link().state == State.ERASED


@pytest.mark.security(31)
def test_the_same_key_and_address_sign_up_again_after_an_erasure(service: Service, erasing: None) -> None:
    user = sign_up_canary()
    key = user.pk
    drain()
    user.delete()
    drain()

    again = User.objects.create(pk=key, username="canary", email="canary@example.com")
    drain()

    assert link_of(again).state == State.LINKED
    assert sorted(link.state for link in CustomerLink.objects.all()) == [State.ERASED, State.LINKED]
    assert len(service.snapshot()) == 2


def test_a_user_who_was_never_sent_leaves_nothing_to_erase(service: Service, erasing: None) -> None:
    sign_up_canary().delete()

    drain()

    assert (only_link().state, only_link().last_error_code) == (State.ERASED, "erased_nothing")
    assert calls(service) == []


@pytest.mark.failure(65)
def test_a_user_deleted_while_the_create_is_unresolved_is_found_and_then_erased(
    service: Service, erasing: None
) -> None:
    user = sign_up_canary()
    service.faults.add(Fault("reset", method="POST", after_commit=True))
    drain()
    user.delete()
    let_time_pass(20)

    drain()

    assert (only_link().state, only_link().last_error_code) == (State.ERASED, "erased_anonymised")
    assert calls(service) == ["POST", "GET", "PATCH", "DELETE", "GET"]
    assert traces() == []


@pytest.mark.failure(65)
def test_a_create_that_may_still_arrive_is_waited_for_before_nothing_is_believed_to_be_there(
    service: Service, erasing: None
) -> None:
    user = sign_up_canary()
    service.faults.add(Fault("reset", method="POST"))
    drain()
    reference = only_link().client_reference_id
    user.delete()
    let_time_pass(20)
    drain()
    early = only_link()
    service.add_customer(email="canary@example.com", reference=reference)  # the lost request arrives
    let_time_pass(600)

    drain()

    assert early.state == State.ERASING
    assert only_link().last_error_code == "erased_anonymised"
    assert "canary" not in str(service.snapshot())


def test_a_lost_update_is_waited_for_before_an_erasure_is_believed(service: Service, erasing: None) -> None:
    user = sign_up_canary()
    drain()
    user.first_name = "Ophelia II"
    user.save()
    service.faults.add(Fault("reset", method="PATCH"))
    drain()
    user.delete()
    drain()
    early = only_link()
    assert early.customer is not None
    service.change(early.customer.kohort_id, first_name="Ophelia II")  # the lost request arrives
    let_time_pass(600)

    drain()

    assert early.state == State.ERASING
    assert only_link().state == State.ERASED
    assert "Ophelia" not in str(service.snapshot())


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("fault", [("reset", {}), ("status", {"status": 503})], ids=lambda fault: fault[0])
def test_an_erasure_that_is_interrupted_goes_on(
    service: Service, erasing: None, method: str, fault: tuple[Any, dict[str, Any]]
) -> None:
    user = sign_up_canary()
    drain()
    kind, more = fault
    service.faults.add(Fault(kind, method=method, after_commit=True, **more))
    user.delete()
    drain()
    interrupted = only_link().state
    let_time_pass(600)

    drain()

    assert interrupted == State.ERASING
    assert only_link().state == State.ERASED
    assert traces() == []


def test_an_erasure_that_the_service_refuses_is_left_to_a_person_and_may_be_tried_again(
    service: Service, erasing: None
) -> None:
    user = sign_up_canary()
    drain()
    service.disposable_domains = ["erased.invalid"]
    user.delete()
    drain()
    refused = only_link()
    service.disposable_domains = []

    services.retry(CustomerLink.objects.all(), reason="they let us")
    drain()

    assert (refused.state, refused.conflict_kind) == (State.CONFLICT, "erasure_refused")
    assert only_link().state == State.ERASED


def test_a_customer_that_is_not_there_any_more_counts_as_erased_at_a_second_look(
    service: Service, erasing: None
) -> None:
    user = sign_up_canary()
    drain()
    service.faults.add(Fault("status", times=None, status=404))
    user.delete()
    drain()
    first_look = only_link()
    let_time_pass(16 * 60)

    drain()

    assert (first_look.state, first_look.last_error_code) == (State.ERASING, "not_found")
    assert (only_link().state, only_link().last_error_code) == (State.ERASED, "erased_not_found")
    assert traces() == []


def test_two_customers_of_an_erased_user_are_left_to_a_person_and_then_erased(
    service: Service, erasing: None
) -> None:
    user = sign_up_canary()
    reference = only_link().client_reference_id
    pair = [service.add_customer(email=f"canary{n}@example.com", reference=reference) for n in (1, 2)]
    drain()
    user.delete()
    drain()
    found = only_link()
    service.change(pair[0], email_address="nobody@example.com", client_reference_id=None)

    with pytest.raises(services.NotPossible):
        services.resolve(found, choice="ignore", reason="leave it")
    services.retry(CustomerLink.objects.all(), reason="one was removed by hand")
    drain()

    assert (found.state, found.conflict_kind) == (State.CONFLICT, "duplicate_remote")
    assert only_link().last_error_code == "erased_anonymised"
    assert "canary" not in str(service.snapshot())


def test_a_raw_deletion_is_erased_too(service: Service, erasing: None) -> None:
    user = sign_up_canary()
    drain()
    User.objects.filter(pk=user.pk)._raw_delete("default")
    sweep.sweep("default")

    drain()

    assert only_link().state == State.ERASED


# Erased because somebody asked


def test_a_person_asks_for_an_erasure_of_a_user_who_stays(service: Service) -> None:
    user, actor = sign_up_canary(), sign_up("staff", email="")
    drain()

    services.erase(user, actor=actor, reason="asked by canary@example.com")
    drain()
    user.first_name = "Ophelia again"
    user.save()
    sweep.sweep("default")
    drain()

    link = link_of(user)
    proof = queries.proof(link)
    assert link.state == State.ERASED
    assert traces() == []
    assert (proof["state"], proof["result"], proof["asked_by"]) == (
        "erased",
        "erased_anonymised",
        str(actor.pk),
    )
    assert proof["kohort_id"].startswith("cus_")
    assert proof["asked_at"]
    assert proof["erased_at"]
    assert "canary" not in str(proof)


def test_an_erasure_asked_for_while_the_row_is_being_sent_is_not_lost(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = sign_up_canary()
    handle = service.handle

    def ask_meanwhile(request: Any) -> Any:
        if request.method == "POST":
            services.erase(user, reason="asked for")
            connections.close_all()  # this is a thread of the drainer's, which closes none
        return handle(request)

    monkeypatch.setattr(service, "handle", ask_meanwhile)

    drain()

    assert link_of(user).state == State.ERASED
    assert calls(service) == ["POST", "PATCH", "DELETE", "GET"]


def test_an_erasure_needs_a_reason(service: Service) -> None:
    user = sign_up()
    drain()

    with pytest.raises(services.NotPossible, match="Say why"):
        services.erase(user, reason=" ")

    assert link_of(user).state == State.LINKED


@pytest.mark.security(29)
def test_what_people_wrote_about_somebody_goes_with_the_erasure(service: Service) -> None:
    user = sign_up_canary()
    drain()
    services.resync(CustomerLink.objects.all(), reason="Ophelia Zephyrine called")

    services.erase(user, reason="asked for by letter")
    drain()

    reasons = dict(SyncAttempt.objects.exclude(reason="").values_list("operation", "reason"))
    assert reasons == {"erase": "asked for by letter"}


def test_the_host_hears_of_an_erasure(service: Service, erasing: None) -> None:
    heard = []

    def hear(link: CustomerLink, **_: Any) -> None:
        heard.append(link.client_reference_id)

    user = sign_up()
    drain()
    signals.customer_erased.connect(hear)
    user.delete()

    drain()

    signals.customer_erased.disconnect(hear)
    assert heard == [only_link().client_reference_id]


def test_an_address_that_an_erasure_frees_goes_to_whoever_waits_for_it(
    service: Service, erasing: None
) -> None:
    first = sign_up("ada")
    drain()
    second = sign_up("bea", email="ada@example.com")
    drain()
    waiting = link_of(second).conflict_kind
    first.delete()

    drain()
    drain()

    assert waiting == "email_in_use"
    assert link_of(second).state == State.LINKED


# Access requests


@pytest.mark.security(32)
def test_an_export_tells_all_that_is_held_about_a_user_and_nothing_about_others(service: Service) -> None:
    user, _ = sign_up_canary(), sign_up("violet")
    drain()

    told = services.export(user)

    (link,) = told["links"]
    assert told["user"] == str(user.pk)
    assert link["customer"]["email_address"] == "canary@example.com"
    assert link["customer"]["first_name"] == "Ophelia"
    assert [attempt["operation"] for attempt in link["history"]] == ["create"]
    assert link["reason"] == str(reasons.STATES["linked"])
    assert "violet" not in str(told)
