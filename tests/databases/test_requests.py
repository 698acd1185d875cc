"""A host whose every request is one transaction: what is promised in it lives and dies with it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from kohort_sync import drainer, services
from kohort_sync.models import Account, CustomerLink, State
from kohort_sync.testing.service import Service
from tests.databases import people, urls
from tests.engine.people import User, drain, link_of, sign_up
from tests.signup.conftest import Messages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def one_transaction(settings: Any) -> Iterator[Client]:
    """Make every request one transaction."""
    settings.ROOT_URLCONF = "tests.databases.urls"
    with people.database_settings({"ATOMIC_REQUESTS": True}):
        yield Client(raise_request_exception=False)


def test_a_page_that_fails_after_the_save_leaves_nothing(
    one_transaction: Client, messages: Messages, service: Service
) -> None:
    answer = one_transaction.get("/fail/")

    drain()
    assert answer.status_code == 500
    assert not User.objects.exists()
    assert not CustomerLink.objects.exists()
    assert messages() == []
    assert len(service.log) == 0


def test_a_page_that_succeeds_leaves_a_row_and_wakes_a_worker_after_the_commit(
    one_transaction: Client, messages: Messages, service: Service
) -> None:
    urls.before_the_commit = lambda: len(messages())

    answer = one_transaction.get("/welcome/")
    waiting = messages()
    drain()

    assert answer.status_code == 200
    assert answer.content == b"in a transaction, with 0 messages"
    assert len(waiting) == 1
    assert CustomerLink.objects.get().state == State.LINKED
    assert len(service.snapshot()) == 1


def test_the_site_itself_signs_people_up_in_one_transaction(service: Service) -> None:
    form = {"username": "ada", "email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"}
    passwords = {"password1": "correct-horse-42", "password2": "correct-horse-42"}

    with people.database_settings({"ATOMIC_REQUESTS": True}):
        answer = Client().post(reverse("sign-up"), form | passwords)
    drain()

    assert answer.status_code == 302
    assert CustomerLink.objects.get().state == State.LINKED


@pytest.mark.failure(63)
def test_a_page_cannot_drain_and_leaves_nothing(one_transaction: Client, service: Service) -> None:
    answer = one_transaction.get("/drain/")

    assert answer.status_code == 500
    assert len(service.log) == 0
    assert not User.objects.exists()
    assert not Account.objects.exists()


def test_a_resync_from_the_admin_works_in_one_transaction(one_transaction: Client, service: Service) -> None:
    user = sign_up()
    drain()
    one_transaction.force_login(User.objects.create_superuser("boss"))
    link = link_of(user)

    answer = one_transaction.post(
        reverse("admin:kohort_sync_customerlink_changelist", urlconf="tests.databases.urls"),
        {"action": "resync", "_selected_action": [link.pk]},
    )

    assert answer.status_code == 302
    assert link_of(user).verify


@pytest.mark.failure(63)
@pytest.mark.parametrize("ask", [drainer.drain, services.drain], ids=["drainer", "services"])
@pytest.mark.parametrize("how", ["atomic", "by hand"])
def test_inside_a_transaction_nothing_is_asked_of_the_database_nor_sent(
    service: Service, ask: Callable[[str], object], how: str
) -> None:
    sign_up()
    before = Account.objects.count()

    with (
        in_transaction(how),
        CaptureQueriesContext(connections["default"]) as asked,
        pytest.raises(RuntimeError, match="on_commit"),
    ):
        ask("default")

    assert len(asked) == 0
    assert len(service.log) == 0
    assert Account.objects.count() == before


def in_transaction(how: str) -> AbstractContextManager[Any]:
    return transaction.atomic() if how == "atomic" else by_hand()


@contextmanager
def by_hand() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        yield
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
