"""What a sign-up costs the site: one statement in its own transaction, and nothing over the network."""

import socket
from typing import Any, NoReturn

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

import kohort_sync
from kohort_sync.models import CustomerLink
from project.accounts.models import User
from tests.signup.conftest import Messages
from tests.signup.models import Merchant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def primed(db: None) -> None:
    """Let the process see that our table is there, as its first sign-up does."""
    User.objects.create_user("first")


def statements(number: int) -> list[str]:
    """Sign up in a transaction; return what was asked of the database inside it."""
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        User.objects.create_user(f"ada{number}", email="ada@example.com")
    return [query["sql"] for query in captured]


@pytest.mark.security(36)
def test_a_sign_up_costs_one_insert_and_no_look_up(primed: None, messages: Messages) -> None:
    with kohort_sync.paused():
        without = statements(1)

    with_us = statements(2)

    ours = [sql for sql in with_us if "kohort_sync" in sql]
    assert len(with_us) == len(without) + 1
    assert len(ours) == 1
    assert ours[0].startswith("INSERT")


def test_the_first_sign_up_of_a_process_costs_a_savepoint_more() -> None:
    sql = statements(1)

    position = next(index for index, text in enumerate(sql) if "kohort_sync" in text)
    assert sql[position - 1].startswith("SAVEPOINT")
    assert sql[position + 1].startswith("RELEASE SAVEPOINT")


def test_a_change_costs_one_update(primed: None) -> None:
    user = User.objects.create_user("ada")

    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        user.save()

    ours = [query["sql"] for query in captured if "kohort_sync" in query["sql"]]
    assert len(captured) == 2
    assert ours[0].startswith("UPDATE")


@pytest.mark.parametrize("settings_of_site", [{}, {"API_KEY": None}, {"API_KEY": "pk_test_x"}])
def test_without_a_secret_key_nothing_is_asked_and_nothing_is_written(
    settings: Any, settings_of_site: dict[str, Any], messages: Messages
) -> None:
    settings.KOHORT_SYNC = settings_of_site

    sql = statements(1)
    user = User.objects.get()
    user.save()
    with CaptureQueriesContext(connection) as of_deletion:
        user.delete()

    assert not [text for text in sql if "kohort_sync" in text]
    # Django itself clears the foreign key; the receiver adds nothing to it.
    assert len([query for query in of_deletion if "kohort_sync_customerlink" in query["sql"]]) <= 1
    assert not CustomerLink.objects.exists()
    assert messages() == []


def test_no_receiver_opens_a_connection_to_anything(primed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> NoReturn:
        raise AssertionError("a receiver reached for the network")

    with transaction.atomic(), monkeypatch.context() as blocked:
        blocked.setattr(socket.socket, "connect", refuse)
        blocked.setattr(socket, "getaddrinfo", refuse)
        user = User.objects.create_user("ada", email="ada@example.com")
        user.save()
        merchant = Merchant.objects.create(username="shop")
        merchant.delete()
        user.delete()
        # The nudge after the commit is another matter: what waits here must not go out under the block.
        transaction.set_rollback(True)

    assert User.objects.count() == 1


@pytest.mark.parametrize("prefix", ["a shop with a name that is far too long for a column-", "été/€ ", ""])
def test_no_prefix_of_a_site_can_break_a_sign_up(settings: Any, primed: None, prefix: str) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"REFERENCE_PREFIX": prefix}

    user = User.objects.create_user("ada")

    link = CustomerLink.objects.get(user=user)
    assert len(link.client_reference_id) <= 50


def test_a_secret_key_of_bytes_is_as_good_as_one_of_text(settings: Any) -> None:
    settings.SECRET_KEY = b"\xff" * 50

    user = User.objects.create_user("ada")

    assert CustomerLink.objects.filter(user=user).exists()
