"""Code that is deployed before its migration costs a log line, and no sign-up."""

import logging
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from kohort_sync import receivers
from kohort_sync.models import CustomerLink
from project.accounts.models import User
from tests.signup.conftest import Messages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

TABLE = CustomerLink._meta.db_table


@pytest.fixture
def no_table(db: None) -> Iterator[None]:
    """Take our table away, as before the migration."""
    rename(TABLE, "not_there_yet")
    try:
        yield
    finally:
        rename("not_there_yet", TABLE)


def rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.mark.parametrize("in_a_transaction", [False, True])
def test_a_sign_up_before_the_migration_succeeds_with_one_line_in_the_log(
    no_table: None, messages: Messages, caplog: pytest.LogCaptureFixture, *, in_a_transaction: bool
) -> None:
    with caplog.at_level(logging.INFO, logger="kohort_sync"):
        if in_a_transaction:
            with transaction.atomic():
                User.objects.create_user("ada")
                User.objects.filter(username="ada").update(first_name="Ada")
        else:
            User.objects.create_user("ada")

    assert User.objects.count() == 1
    (record,) = caplog.records
    assert "manage.py migrate" in record.getMessage()
    assert record.exc_info is None
    assert messages() == []


def test_a_change_before_the_migration_succeeds(no_table: None) -> None:
    user = User.objects.create_user("ada")
    user.first_name = "Ada"

    with transaction.atomic():
        user.save()

    assert User.objects.get().first_name == "Ada"


def test_the_migration_is_noticed_without_a_restart() -> None:
    rename(TABLE, "not_there_yet")
    try:
        User.objects.create_user("ada")
    finally:
        rename("not_there_yet", TABLE)

    User.objects.create_user("bea")

    assert CustomerLink.objects.count() == 1


def test_a_process_that_has_seen_the_table_pays_no_savepoint_any_more() -> None:
    User.objects.create_user("ada")

    assert "default" in receivers._proven
