"""The sweep: finds who came or went unheard, and sends nobody's past to anybody."""

from typing import Any

import pytest
from django.utils import timezone

from kohort_sync import links, queries, sweep, tasks
from kohort_sync.models import Account, CustomerLink, WorkClass
from project.accounts.models import User
from tests.machine.simulation import simulated

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

KEY = "default/test"


def older(number: int, *, start: int = 0) -> list[User]:
    """Make users whom no signal announced."""
    return User.objects.bulk_create([User(username=f"old{start + each}") for each in range(number)])


def cover() -> None:
    Account.objects.update_or_create(key=KEY, defaults={"covered_at": timezone.now()})


def missing() -> int:
    return queries.users_without_link(KEY, using="default").count()


@pytest.mark.failure(6)
def test_users_of_a_covered_account_are_found() -> None:
    cover()
    users = older(3)

    found = sweep.sweep("default")

    assert found == 3
    assert {link.user_pk for link in CustomerLink.objects.all()} == {str(user.pk) for user in users}
    assert {link.work_class for link in CustomerLink.objects.all()} == {WorkClass.BULK}
    assert all(link.next_attempt_at for link in CustomerLink.objects.all())


def test_users_of_an_account_that_nobody_covered_are_counted_and_not_taken() -> None:
    older(3)

    found = sweep.sweep("default")

    assert found == 0
    assert missing() == 3
    assert not CustomerLink.objects.exists()
    assert Account.objects.get().last_sweep_at is not None


def test_a_second_sweep_finds_nobody() -> None:
    cover()
    older(3)
    sweep.sweep("default")

    assert sweep.sweep("default") == 0
    assert CustomerLink.objects.count() == 3


@pytest.mark.failure(6)
def test_more_users_than_fit_into_one_statement_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 4)
    cover()
    older(10)

    sizes = list(sweep.record_missing(KEY, limit=None, using="default"))

    assert sizes == [4, 4, 2]
    assert missing() == 0


@pytest.mark.parametrize(("limit", "sizes"), [(0, []), (3, [3]), (6, [4, 2]), (8, [4, 4]), (99, [4, 4, 2])])
def test_a_limit_is_kept(monkeypatch: pytest.MonkeyPatch, limit: int, sizes: list[int]) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 4)
    older(10)

    assert list(sweep.record_missing(KEY, limit=limit, using="default")) == sizes


def test_users_between_others_who_have_a_row_are_found() -> None:
    cover()
    older(2)
    User.objects.create_user("ada")
    older(2, start=2)

    assert sweep.sweep("default") == 4
    assert missing() == 0


def test_an_alias_that_is_not_configured_is_nothing_to_do() -> None:
    assert sweep.sweep("other") == 0
    assert not Account.objects.exists()


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_users_who_went_unheard_set_their_keys_free(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(sweep, "CHUNK", chunk)
    users = [User.objects.create_user(f"ada{number}") for number in range(5)]
    User.objects.filter(pk__in=[user.pk for user in users[:3]])._raw_delete("default")

    sweep.sweep("default")

    kept = CustomerLink.objects.exclude(user_pk=None)
    assert {link.user_pk for link in kept} == {str(user.pk) for user in users[3:]}
    assert CustomerLink.objects.filter(user_pk=None, user=None, next_attempt_at__isnull=False).count() == 3


def test_a_user_who_was_deleted_while_there_was_no_key_sets_the_key_free(settings: Any) -> None:
    user = User.objects.create_user("ada")
    configured = settings.KOHORT_SYNC
    settings.KOHORT_SYNC = {}
    user.delete()
    settings.KOHORT_SYNC = configured

    sweep.sweep("default")

    assert CustomerLink.objects.get().user_pk is None


@pytest.mark.failure(27)
def test_the_task_of_beat_sweeps_every_account() -> None:
    cover()
    older(1)

    tasks.sweep_accounts()

    assert missing() == 0
    assert Account.objects.get().last_sweep_at is not None


def test_the_task_of_beat_is_idle_without_a_key(settings: Any) -> None:
    settings.KOHORT_SYNC = {}

    tasks.sweep_accounts()

    assert not Account.objects.exists()


@pytest.mark.failure(29)
def test_a_sweep_that_is_killed_between_its_chunks_leaves_the_rest_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 4)
    with simulated() as world:
        cover()
        older(10)
        # The first chunk is committed; the process ends when the second is about to be written.
        world.planned["after recording"] = lambda: world.planned.update({"before recording": world.kill})

        lived = world.sweep()
        kept = CustomerLink.objects.count()
        world.sweep()

    assert not lived
    assert kept == 4
    assert missing() == 0
    assert CustomerLink.objects.count() == 10
