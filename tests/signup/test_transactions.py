"""The row and the user live and die together; the message goes out after the commit."""

from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.core import serializers
from django.core.management import call_command
from django.db import transaction
from django.test import RequestFactory

from kohort_sync import drainer, links, services, sweep, tasks
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing.service import DEFAULT_LIVE_KEY, Service
from project.accounts.models import User
from tests.signup.conftest import Messages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.mark.failure(1)
def test_a_message_goes_out_after_the_commit_and_not_before(messages: Messages) -> None:
    with transaction.atomic():
        User.objects.create_user("ada")
        before = messages()

    assert before == []
    (message,) = messages()
    assert message.payload[0] == ["default"]


@pytest.mark.failure(1)
def test_a_sign_up_that_is_rolled_back_leaves_nothing(service: Service, messages: Messages) -> None:
    with transaction.atomic():
        User.objects.create_user("ada", email="ada@example.com")
        transaction.set_rollback(True)

    drainer.drain("default", linger=0)

    assert not CustomerLink.objects.exists()
    assert messages() == []
    assert len(service.log) == 0


def test_a_savepoint_that_is_rolled_back_takes_its_user_alone(messages: Messages) -> None:
    with transaction.atomic():
        kept = User.objects.create_user("ada")
        with transaction.atomic():
            User.objects.create_user("bea")
            transaction.set_rollback(True)

    assert CustomerLink.objects.get().user_pk == str(kept.pk)
    assert len(messages()) == 1


def test_a_change_that_is_rolled_back_is_no_change(service: Service) -> None:
    user = User.objects.create_user("ada", email="ada@example.com")
    drainer.drain("default", linger=0)
    with transaction.atomic():
        user.first_name = "Augusta"
        user.save()
        transaction.set_rollback(True)

    link = CustomerLink.objects.get()

    assert not link.is_dirty
    assert link.next_attempt_at is None


def test_a_sign_up_without_a_transaction_is_promised_too(messages: Messages) -> None:
    User.objects.create_user("ada")

    assert CustomerLink.objects.get().state == State.PENDING
    assert len(messages()) == 1


def test_a_site_that_commits_by_hand_can_sign_up(messages: Messages) -> None:
    transaction.set_autocommit(False)
    try:
        for name in ("ada", "bea"):
            User.objects.create_user(name)
            transaction.commit()
    finally:
        transaction.set_autocommit(True)

    assert [link.state for link in CustomerLink.objects.all()] == [State.PENDING] * 2
    assert len(messages()) <= 1


def test_sign_ups_of_one_second_share_a_message(messages: Messages) -> None:
    for number in range(5):
        User.objects.create_user(f"ada{number}")

    assert len(messages()) == 1


@pytest.mark.failure(8)
def test_fixtures_are_not_heard() -> None:
    text = serializers.serialize("json", [User(pk=1, username="ada", email="ada@example.com")])

    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert User.objects.exists()
    assert not CustomerLink.objects.exists()


@pytest.mark.failure(8)
def test_fixtures_that_are_loaded_under_a_live_key_send_nobody(
    service: Service, messages: Messages, settings: Any, tmp_path: Path
) -> None:
    live = {"API_KEY": DEFAULT_LIVE_KEY, "BASE_URL": "https://kohortpay.test"}
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | live
    fixture = tmp_path / "people.json"
    people = [User(pk=pk, username=f"ada{pk}", email=f"ada{pk}@example.com") for pk in range(1, 4)]
    fixture.write_text(serializers.serialize("json", people))

    call_command("loaddata", fixture, verbosity=0)

    tasks.sweep_accounts()
    drainer.drain("default", linger=0)
    assert User.objects.count() == 3
    assert not CustomerLink.objects.exists()
    assert messages() == []
    assert len(service.log) == 0


def test_a_save_of_a_user_without_a_link_makes_none(messages: Messages) -> None:
    (user,) = User.objects.bulk_create([User(username="ada")])
    user.email = "ada@example.com"

    user.save()

    assert not CustomerLink.objects.exists()
    assert messages() == []


def test_a_log_in_marks_nothing_and_wakes_nobody(service: Service, messages: Messages, settings: Any) -> None:
    user = User.objects.create_user("ada", email="ada@example.com", password="secret-of-ada")
    drainer.drain("default", linger=0)
    messages()
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]

    # With another hasher in front the password is written anew at the log-in.
    found = authenticate(RequestFactory().get("/"), username="ada", password="secret-of-ada")
    update_last_login(User, user)

    assert found == user
    assert User.objects.get().last_login is not None
    assert User.objects.get().password.startswith("pbkdf2")
    assert not CustomerLink.objects.get().is_dirty
    assert messages() == []


def test_other_fields_beside_the_password_are_a_change() -> None:
    user = User.objects.create_user("ada")

    user.save(update_fields=["password", "email"])

    assert CustomerLink.objects.get().desired_version == 2


def test_users_of_bulk_create_are_promised_on_request(service: Service, messages: Messages) -> None:
    users = User.objects.bulk_create(
        [User(username=f"ada{n}", email=f"ada{n}@example.com") for n in range(3)]
    )

    asked = services.request_sync(users)
    drainer.drain("default", linger=0)

    assert asked == 3
    assert len(messages()) == 1
    assert CustomerLink.objects.filter(state=State.LINKED, work_class=WorkClass.BULK).count() == 3


def test_a_stale_row_with_the_same_key_never_fails_the_sign_up() -> None:
    gone = User.objects.create_user("ada")
    key = gone.pk
    User.objects.filter(pk=key)._raw_delete("default")

    again = User.objects.create_user("bea", pk=key)

    assert again.pk == key
    assert CustomerLink.objects.count() == 1


def test_a_key_that_is_used_again_meets_nobodys_row_after_a_sweep(service: Service) -> None:
    gone = User.objects.create_user("ada", email="ada@example.com")
    drainer.drain("default", linger=0)
    User.objects.filter(pk=gone.pk)._raw_delete("default")
    sweep.sweep("default")

    again = User.objects.create_user("bea", pk=gone.pk, email="bea@example.com")
    drainer.drain("default", linger=0)

    old, new = CustomerLink.objects.order_by("pk")
    assert (old.user_id, old.user_pk, old.last_error_code) == (None, None, "user_deleted")
    assert (new.user_id, new.state) == (again.pk, State.LINKED)
    assert {row["email_address"] for row in service.snapshot()} == {"ada@example.com", "bea@example.com"}


def test_a_deletion_that_is_rolled_back_forgets_nobody() -> None:
    user = User.objects.create_user("ada")

    with transaction.atomic():
        user.delete()
        transaction.set_rollback(True)

    assert CustomerLink.objects.get().user_pk == str(User.objects.get().pk)


def test_the_asynchronous_way_of_signing_up_is_heard(service: Service) -> None:
    async def view() -> None:
        user = await User.objects.acreate_user("ada", email="ada@example.com")
        user.first_name = "Augusta"
        await user.asave()

    # What blocks runs in this thread: in one of its own it would leave a connection behind.
    async_to_sync(view)()
    drainer.drain("default", linger=0)

    (row,) = service.snapshot()
    assert row["first_name"] == "Augusta"
    assert CustomerLink.objects.get().state == State.LINKED


def test_a_receiver_of_the_site_that_saves_once_more_costs_no_second_row() -> None:
    user = User(username="ada")
    user.save()
    user.email = "ada@example.com"
    user.save(force_update=True)

    assert CustomerLink.objects.get().desired_version == 2


def test_a_deletion_is_noted_while_the_service_is_not_told(service: Service) -> None:
    user = User.objects.create_user("ada", email="ada@example.com")

    User.objects.filter(pk=user.pk).delete()
    drainer.drain("default", linger=0)

    link = CustomerLink.objects.get()
    assert (link.state, link.user_pk, link.last_error_code) == (State.SKIPPED, None, "user_deleted")
    assert len(service.log) == 0


def test_an_account_knows_nothing_before_somebody_looks() -> None:
    User.objects.create_user("ada")

    assert not Account.objects.exists()
    assert links.any_due(account="default/test", using="default")
