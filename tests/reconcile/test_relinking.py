"""Rows that were lost: the customers that this site made find their users again; nobody else does."""

import pytest

from kohort_sync import services
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncAttempt
from kohort_sync.testing.service import Service
from tests.edges.commands.conftest import shell
from tests.edges.commands.shell import Shell
from tests.engine.people import User, drain, link_of, sign_up
from tests.reconcile.runs import linked_users, reconciled, told

__all__ = ["shell"]

pytestmark = [pytest.mark.django_db(transaction=True)]


def lose_everything() -> None:
    for model in (SyncAttempt, CustomerLink, Customer, Account):
        model._base_manager.all().delete()


def test_lost_rows_are_found_again_and_nobody_is_made_twice(service: Service, shell: Shell) -> None:
    people = linked_users(5)
    ids = {link.user_id: link.customer.kohort_id for link in people if link.customer}
    lose_everything()

    rehearsed = shell("reconcile", "--relink", "--dry-run", "--json").json
    assert not CustomerLink.objects.exists()
    relinked = shell("reconcile", "--relink")
    drain()

    assert {one["user"]: one["kohort_id"] for one in rehearsed["users"]} == {
        str(user): kohort_id for user, kohort_id in ids.items()
    }
    assert "default/test: 5 users will be linked to the customer made for them.\n" in relinked.out
    rows = CustomerLink.objects.select_related("customer")
    assert {link.user_id: link.customer.kohort_id for link in rows if link.customer} == ids
    assert len(service.snapshot()) == 5
    drain()
    assert {row["client_reference_id"] for row in service.snapshot()} == set(
        rows.values_list("client_reference_id", flat=True)
    )


def test_conflicts_over_lost_rows_end_by_it(service: Service) -> None:
    linked_users(2)
    lose_everything()
    services.backfill("default")
    drain()
    assert set(CustomerLink.objects.values_list("state", flat=True)) == {State.CONFLICT}

    reconciled(full=True)
    services.relink("default")
    drain()

    assert set(CustomerLink.objects.values_list("state", flat=True)) == {State.LINKED}


def test_what_does_not_fit_byte_for_byte_is_left(service: Service) -> None:
    linked_users(3)
    lose_everything()
    first, second, _third = User.objects.order_by("pk")
    User.objects.filter(pk=first.pk).update(email="User0@example.com")
    by_user = {row["metadata"]["user_id"]: row["id"] for row in service.snapshot()}
    service.change(by_user[str(second.pk)], metadata={"user_id": "nobody"})
    service.add_customer(email="x@example.com", reference="other-1", metadata={"user_id": str(first.pk)})
    reconciled(full=True)

    assert [match.user.username for match in services.relink("default", dry_run=True)] == ["user2"]


def test_whoever_was_linked_or_left_out_stays_so(service: Service) -> None:
    (link,) = linked_users(1)
    CustomerLink.objects.filter(pk=link.pk).update(state=State.IGNORED, customer=None)
    reconciled(full=True)

    assert services.relink("default") == []


def test_a_restored_backup_lists_the_customers_of_users_that_it_forgot(service: Service) -> None:
    (link,) = linked_users(1)
    sign_up("forgotten")
    drain()
    customer = link_of(User.objects.get(username="forgotten")).customer
    assert customer is not None
    CustomerLink.objects.filter(user__username="forgotten").delete()
    Customer.objects.filter(pk=customer.pk).delete()
    User.objects.filter(username="forgotten").delete()

    run = reconciled(full=True)

    assert told(run) == {"unknown_ours": [customer.kohort_id]}
    assert link.customer is not None


def test_a_key_of_another_organization_reads_nothing(service: Service, settings: object) -> None:
    linked_users(1)
    service.keys = dict.fromkeys(service.keys, "org_another")
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": "sk_test_sandboxanother00"}  # type: ignore[attr-defined]
    service.keys["sk_test_sandboxanother00"] = "org_another"
    service.add_customer(email="theirs@example.com", organization_id="org_another")

    run = services.reconcile("default", full=True)
    report = drain()

    run.refresh_from_db()
    assert (report.ended, run.finished_at) == ("closed", None)
    assert Account.objects.get().gate_reason == "other_organization"
    assert Customer.objects.count() == 1


def test_a_copy_of_the_database_reads_nothing(service: Service) -> None:
    linked_users(1)
    Account.objects.update(database_address="another", database_instance="another")
    before = len(service.log)

    run = services.reconcile("default", full=True)
    drain()

    run.refresh_from_db()
    assert run.finished_at is None
    assert len(service.log) == before
