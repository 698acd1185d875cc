"""Reading what KohortPay has: whole or in part, again after a stop, and in another way where one fails."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError

from kohort_sync import clock, drainer, links, reconcile, services
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.drainer import walking
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncRun
from kohort_sync.testing import search
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up
from tests.reconcile.runs import id_of, linked_users, pages_asked_of, reconciled, told

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def test_every_customer_is_read_once_by_ranges_of_ids(service: Service) -> None:
    for n in range(900):
        service.add_customer(email=f"order{n}@example.com")

    run = reconciled(full=True)

    assert (run.report["ended"], run.report["complete"]) == ("done", True)
    assert run.counters["customers"] == Customer.objects.count() == 900
    assert run.counters["unknown_other"] == 900
    assert len(run.progress["parts"]) == walking.WALKERS
    # A page of each range tells that it is the last one; a count, and where the ranges begin.
    assert pages_asked_of(service) <= 900 / 25 + 2 * walking.WALKERS + 1 + walking.WALKERS


def test_later_runs_read_what_has_changed(service: Service) -> None:
    people = linked_users(60)
    reconciled(full=True)
    before = len(service.log)
    service.block(id_of(people[3]))

    run = reconciled()

    assert (run.report["complete"], run.counters["blocked"]) == (False, 1)
    # All of them are as new as the overlap is long.
    assert pages_asked_of(service, since=before) <= 5
    assert Customer.objects.get(kohort_id=id_of(people[3])).is_blocked


def test_a_change_behind_the_overlap_costs_one_page(service: Service) -> None:
    people = linked_users(60)
    for link in people:
        service.change(id_of(link), updated_at=clock.now(using="default").replace(year=2020))
    changed = service.add_customer(email="order@example.com")
    reconciled(full=True)
    before = len(service.log)

    run = reconciled()

    assert told(run) == {"unknown_other": [changed]}
    assert pages_asked_of(service, since=before) == 2


@pytest.mark.parametrize("how", [{"full": True}, {}])
def test_a_search_that_the_service_ignores_is_noticed(
    service: Service, how: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = linked_users(60)
    for day, link in enumerate(people[:40]):
        service.change(id_of(link), updated_at=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day))
    reconciled(full=True)
    monkeypatch.setattr(search, "parse", lambda _text: None)
    service.block(id_of(people[50]))

    run = reconciled(**how)

    assert (run.report["ended"], run.report["complete"]) == ("done", True)
    assert (run.counters["blocked"], run.counters["equal"]) == (1, 59)
    assert run.progress["parts"][0]["kind"] == "pages"
    assert run.report["not_shown"] == 0


def test_a_run_goes_on_where_it_stopped(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(300):
        service.add_customer(email=f"order{n}@example.com")
    run = services.reconcile("default", full=True)
    saves = []

    def dies(*arguments: object, **columns: object) -> bool:
        saves.append(1)
        if len(saves) == 4:
            raise KeyboardInterrupt
        return bool(reconcile.runs.save(*arguments, **columns))  # type: ignore[arg-type]

    monkeypatch.setattr(walking, "_WRITTEN_AT_ONCE", 25)
    monkeypatch.setattr(reconcile, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        drain()
    monkeypatch.undo()
    read = Customer.objects.count()
    before = len(service.log)

    again = reconciled(full=True)

    assert again == run
    assert 0 < read < 300 == Customer.objects.count()
    assert pages_asked_of(service, since=before) <= (300 - read) / 25 + 1


def test_whatever_else_is_due_goes_first(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(500):
        service.add_customer(email=f"order{n}@example.com")
    monkeypatch.setattr(walking, "_LOOKS_EVERY", 0.0)
    monkeypatch.setattr(walking, "WALKERS", 1)
    service.faults.add(Fault("delay", times=None, method="GET", seconds=0.02))
    run = services.reconcile("default", full=True)
    came: list[object] = []
    usual = walking.Walk._take_over

    def take_over(walk: walking.Walk, pages: object) -> None:
        usual(walk, pages)  # type: ignore[arg-type]
        if not came:
            came.append(sign_up("ada"))
            monkeypatch.setattr(walking.Walk, "_take_over", usual)

    monkeypatch.setattr(walking, "_WRITTEN_AT_ONCE", 25)
    monkeypatch.setattr(walking.Walk, "_take_over", take_over)
    drain()

    run.refresh_from_db()
    posted = next(at for at, one in enumerate(service.log) if one.method == "POST")
    assert link_of(came[0]).state == State.LINKED
    assert len(service.log) - posted > 10  # it went on afterwards
    assert run.finished_at is not None


def test_a_refused_key_stops_a_run_until_the_gate_opens(service: Service) -> None:
    linked_users(3)
    run = services.reconcile("default", full=True)
    service.faults.add(Fault("status", status=401, times=1))

    report = drain()

    run.refresh_from_db()
    assert (report.ended, run.finished_at) == ("closed", None)
    assert Account.objects.get().gate_reason == "key_refused"
    let_time_pass(1000)
    assert reconciled(full=True) == run


def test_an_answer_that_nobody_understands_ends_the_run_and_stops_no_user(service: Service) -> None:
    linked_users(3)
    service.faults.add(Fault("garbage_json", method="GET", times=1))

    run = reconciled(full=True)
    user = sign_up("late")
    drain()

    assert (run.report["ended"], run.report["code"]) == ("failed", "unreadable")
    assert link_of(user).state == State.LINKED


def test_a_run_that_is_called_off_ends(service: Service) -> None:
    linked_users(30)
    run = services.reconcile("default", full=True)
    services.cancel(run)

    assert reconciled(full=True) == run
    run.refresh_from_db()
    assert run.report == {"ended": "cancelled"}


def test_on_an_expensive_key_few_users_are_asked_for_by_reference(service: Service) -> None:
    people = linked_users(30)
    for n in range(900):
        service.add_customer(email=f"order{n}@example.com")
    service.block(id_of(people[2]))
    service.soft_delete(id_of(people[4]))
    Account.objects.update(pace={"concurrency": 8, "rate": None, "latency": 0.6})
    before = len(service.log)

    run = reconciled(full=True, report_only=True)

    assert run.report["by_reference"]
    assert told(run) == {"blocked": [id_of(people[2])], "missing": [id_of(people[4])]}
    assert pages_asked_of(service, since=before) == 1 + 2


def test_what_a_push_wrote_meanwhile_stays(service: Service) -> None:
    (link,) = linked_users(1)
    assert link.customer is not None
    old = RemoteCustomer(
        kohort_id=id_of(link),
        email_address="old@example.com",
        updated_at=link.customer.updated_at.replace(year=2020) if link.customer.updated_at else None,
    )

    with links.writing(using="default"):
        reconcile.take_over(
            [old], account=link.account, livemode=False, now=clock.now(using="default"), using="default"
        )

    assert Customer.objects.get().email_address == "user0@example.com"


def test_nothing_comes_back_about_whoever_is_gone_or_erased(service: Service) -> None:
    gone, erased = linked_users(2)
    CustomerLink.objects.filter(pk=gone.pk).update(user=None, user_pk=None)
    CustomerLink.objects.filter(pk=erased.pk).update(
        state=State.ERASED, erase_asked_at=clock.now(using="default"), erased_at=clock.now(using="default")
    )
    Customer.objects.update(email_address="", first_name=None, last_name=None)

    reconciled(full=True)

    assert set(Customer.objects.values_list("email_address", "first_name")) == {("", None)}


def test_covered_accounts_are_read_by_themselves(service: Service, settings: object) -> None:
    linked_users(3)
    services.backfill("default")
    drain()
    assert not SyncRun.objects.exists()

    Account.objects.update(covered_at=clock.now(using="default").replace(year=2020))
    drainer.drain("default", linger=0)

    first = SyncRun.objects.get()
    assert (first.scope["full"], first.report["ended"]) == (True, "done")
    assert reconcile.due("default/test", using="default") == ""
    row = Account.objects.get()
    row.checkpoint["tried_at"] = clock.now(using="default").replace(year=2020).isoformat()
    row.save()
    assert reconcile.due("default/test", using="default") == "recent"
    newest = row.checkpoint.pop("newest")
    row.save()
    assert reconcile.due("default/test", using="default") == ""
    row.checkpoint |= {"newest": newest, "full_at": row.checkpoint["tried_at"]}
    row.save()
    assert reconcile.due("default/test", using="default") == "full"


def test_a_customer_that_the_database_refuses_keeps_nobody_else_from_being_read(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [service.add_customer(email=f"order{n}@example.com") for n in range(3)]
    usual = reconcile.take_over

    def refuses(remotes: list[RemoteCustomer], **how: object) -> object:
        if any(remote.kohort_id == ids[1] for remote in remotes):
            raise DataError
        return usual(remotes, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(reconcile, "take_over", refuses)

    run = reconciled(full=True)

    assert run.report["ended"] == "done"
    assert set(Customer.objects.values_list("kohort_id", flat=True)) == {ids[0], ids[2]}
    assert f"The database refuses the customer {ids[1]} of KohortPay: DataError." in caplog.text


def test_a_run_that_another_process_has_closed_stays_as_it_is(service: Service) -> None:
    run = reconciled(full=True)
    late = SyncRun.objects.get()

    reconcile.finish(late, report={"ended": "cancelled"}, checkpoint={}, using="default")

    run.refresh_from_db()
    assert run.report["ended"] == "done"


def test_local_times_are_compared_with_those_of_the_service(service: Service, settings: Any) -> None:
    settings.USE_TZ = False
    linked_users(3)

    run = reconciled(full=True)
    later = reconciled()

    assert (run.report["ended"], run.counters["equal"]) == ("done", 3)
    assert (later.report["complete"], later.counters["equal"]) == (False, 3)


def test_a_fault_of_ours_is_not_passed_over(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.add_customer(email="order@example.com")

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reconcile.KeyRange, "take", fails)
    services.reconcile("default", full=True)

    with pytest.raises(ZeroDivisionError):
        drain()


def test_strangers_are_not_missed_where_pages_are_counted(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked_users(30)
    service.change(service.add_customer(email="other@example.com"), organization_id="org_other")
    monkeypatch.setattr(search, "parse", lambda _text: None)

    run = reconciled(full=True)

    assert (run.progress["walks"], run.report["not_shown"]) == (1, 0)


def test_answers_as_documented_are_read_too(either_dialect: Service) -> None:
    people = linked_users(30)
    either_dialect.block(id_of(people[3]))
    order = either_dialect.add_customer(email="order@example.com")

    run = reconciled(full=True)

    assert told(run) == {"blocked": [id_of(people[3])], "unknown_other": [order]}
    assert run.counters["equal"] == 29
