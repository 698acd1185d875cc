"""How what KohortPay has differs from the users here: each difference is told once, and heeded."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from kohort_sync import conf, services, signals
from kohort_sync.models import Customer, CustomerLink, State
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain, let_time_pass
from tests.reconcile.runs import id_of, linked_users, reconciled, told

pytestmark = [pytest.mark.django_db(transaction=True)]


class Heard:
    """Note what signals of the app say."""

    def __init__(self) -> None:
        self.said: Counter[tuple[str, int]] = Counter()
        self.fields: dict[int, tuple[str, ...]] = {}

    def drifted(self, link: CustomerLink, fields: tuple[str, ...], **_: Any) -> None:
        self.said["drifted", link.pk] += 1
        self.fields[link.pk] = fields

    def blocked(self, link: CustomerLink, **_: Any) -> None:
        self.said["blocked", link.pk] += 1

    def unblocked(self, link: CustomerLink, **_: Any) -> None:
        self.said["unblocked", link.pk] += 1


@pytest.fixture
def heard() -> Any:
    heard = Heard()
    pairs: list[tuple[Any, Any]] = [
        (signals.drift_found, heard.drifted),
        (signals.customer_blocked, heard.blocked),
        (signals.customer_unblocked, heard.unblocked),
    ]
    for signal, receiver in pairs:
        signal.connect(receiver)
    yield heard
    for signal, receiver in pairs:
        signal.disconnect(receiver)


def test_a_thousand_changes_behind_the_apps_back_are_each_told_once(service: Service, heard: Heard) -> None:
    people = linked_users(800)
    drifted, blocked, deleted, both = people[:200], people[200:400], people[400:500], people[500:600]
    for link in [*drifted, *both]:
        service.change(id_of(link), first_name="Mallory", phone_number="+33123456789")
    for link in [*blocked, *both]:
        service.block(id_of(link))
    for link in deleted:
        service.soft_delete(id_of(link))
    orders = [service.checkout(email=f"order{n}@example.com") for n in range(250)]
    orphans = [
        service.add_customer(email=f"lost{n}@example.com", reference=f"{conf.reference_prefix()}{n:032x}")
        for n in range(150)
    ]
    twice = [
        service.add_customer(email=f"twin{n}@example.com", reference=link.client_reference_id)
        for n, link in enumerate(people[600:700])
    ]

    run = reconciled(full=True, report_only=True)

    assert told(run) == {
        "drifted": sorted(map(id_of, [*drifted, *both])),
        "blocked": sorted(map(id_of, [*blocked, *both])),
        "missing": sorted(map(id_of, deleted)),
        "claimed_twice": sorted(twice),
        "unknown_ours": sorted(orphans),
        "unknown_other": sorted(orders),
    }
    assert {kind: run.counters[kind] for kind in ("drifted", "blocked", "missing", "equal")} == {
        "drifted": 300,
        "blocked": 300,
        "missing": 100,
        "equal": 200,
    }
    assert run.counters["unknown_other"] == 250
    assert set(heard.said.values()) == {1}
    assert sum(kind == "blocked" for kind, _ in heard.said) == 300
    shown = {row["id"]: row for row in service.snapshot() if row["deleted_at"] is None}
    mirrored = Customer.objects.exclude(kohort_id__in=map(id_of, deleted))
    assert {
        (one.kohort_id, one.first_name, one.phone_number, one.is_blocked, one.client_reference_id)
        for one in mirrored
    } == {
        (key, row["first_name"], row["phone_number"], row["is_blocked"], row["client_reference_id"])
        for key, row in shown.items()
    }
    # Nothing was sent: it only reported.
    assert sum(row["first_name"] == "Mallory" for row in service.snapshot()) == 300


def test_ours_wins_where_it_is_mapped_and_theirs_is_mirrored(service: Service, heard: Heard) -> None:
    drifted, blocked, gone = linked_users(3)
    service.change(id_of(drifted), first_name="Mallory")
    service.block(id_of(blocked))
    service.soft_delete(id_of(gone))

    run = reconciled(full=True)
    for _ in range(3):
        drain()

    assert heard.fields == {drifted.pk: ("firstName",)}
    assert service.row(id_of(drifted))["first_name"] == "Ada"
    assert service.row(id_of(blocked))["is_blocked"]
    user = User.objects.get(username="user1")
    assert services.user_is_blocked(user)
    mirrored = services.customer_for(user)
    assert mirrored is not None
    assert mirrored.mirrored_at > run.created_at
    # Nobody is created again before a second look, a while later, and a person's decision.
    let_time_pass(1000)
    drain()
    gone.refresh_from_db()
    assert (gone.state, gone.conflict_kind) == (State.CONFLICT, "remote_missing")
    assert len(service.snapshot()) == 3
    service.change(id_of(blocked), is_blocked=False, blocked_at=None)
    reconciled(full=True)
    assert heard.said["unblocked", blocked.pk] == 1
    assert not services.user_is_blocked(user)


def test_customers_of_another_organization_are_told_apart(service: Service) -> None:
    (link,) = linked_users(1)
    other = service.add_customer(email="other@example.com")
    service.change(other, organization_id="org_other")

    run = reconciled(full=True)

    assert told(run)["stranger"] == [other]
    assert not Customer.objects.filter(kohort_id=other).exists()
    assert run.counters["equal"] == 1
    assert link.customer is not None


def test_a_user_whose_data_cannot_be_known_has_no_drift(service: Service, settings: Any) -> None:
    refused, unwanted, sent = linked_users(3)
    for link in (refused, unwanted, sent):
        service.change(id_of(link), first_name="Mallory")
    User.objects.filter(username="user0").update(email="no address")
    User.objects.filter(username="user1").update(is_active=False)

    run = reconciled(full=True, report_only=True)

    assert told(run) == {"drifted": [id_of(sent)]}


def test_a_function_of_the_host_that_kills_the_process_is_met_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked_users(3)
    run = services.reconcile("default", full=True)

    def dies(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr("kohort_sync.reconcile.compare", dies)
    with pytest.raises(SystemExit):
        drain()
    drain()

    run.refresh_from_db()
    assert run.report["ended"] == "done"


def test_what_the_service_makes_of_our_own_data_is_no_drift(service: Service) -> None:
    (link,) = linked_users(1)
    assert link.synced_at is not None
    service.change(id_of(link), first_name="ADA", updated_at=link.synced_at - timedelta(seconds=1))

    run = reconciled(full=True)

    assert told(run) == {}
    assert run.counters["equal"] == 1
