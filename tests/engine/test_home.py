"""Home: a copy of the database sends nothing, and a database that has only moved sends on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from kohort_sync import identity, services
from kohort_sync.identity import Identity
from kohort_sync.models import Account, State
from kohort_sync.testing.service import Service
from tests.engine.people import drain, link_of, sign_up

pytestmark = pytest.mark.django_db(transaction=True)

THERE = Identity(address="another address!", instance="another instance")


@pytest.fixture
def used_elsewhere(service: Service) -> None:
    """Leave the rows as a copy of another database holds them: its user is linked there."""
    sign_up("ada")
    drain()
    moved(database_address=THERE.address, database_instance=THERE.instance)


def moved(**columns: str) -> None:
    Account.objects.update(**columns)


def noted() -> Identity:
    row = Account.objects.get()
    return Identity(address=row.database_address, instance=row.database_instance)


@pytest.mark.database
@pytest.mark.failure(69)
@pytest.mark.usefixtures("used_elsewhere")
def test_nothing_is_sent_from_a_copy_and_the_account_says_why(service: Service) -> None:
    user = sign_up("bea")
    calls = len(service.log)

    ended = [drain().ended for _ in range(2)]

    row = Account.objects.get()
    assert ended == ["closed", "closed"]
    assert (row.gate, row.gate_reason, row.gate_until) == ("closed", "other_database", None)
    assert len(service.log) == calls
    assert link_of(user).state == State.PENDING


@pytest.mark.failure(69)
@pytest.mark.usefixtures("used_elsewhere")
def test_a_database_that_somebody_accepts_sends_on() -> None:
    user = sign_up("bea")
    drain()

    was_another = services.accept_database("default")
    drain()

    assert was_another
    assert noted() == identity.of_database(using="default")
    assert link_of(user).state == State.LINKED


@pytest.mark.parametrize("column", ["database_address", "database_instance"])
def test_another_server_or_another_name_alone_is_followed_silently(service: Service, column: str) -> None:
    sign_up("ada")
    drain()
    moved(**{column: "what it was once"})
    user = sign_up("bea")

    drain()

    assert noted() == identity.of_database(using="default")
    assert link_of(user).state == State.LINKED


def test_rows_from_before_the_identity_was_noted_are_at_home(service: Service) -> None:
    sign_up("ada")
    drain()
    moved(database_address="", database_instance="")
    user = sign_up("bea")

    drain()

    assert noted() == identity.of_database(using="default")
    assert link_of(user).state == State.LINKED


@pytest.mark.usefixtures("used_elsewhere")
def test_a_copy_that_gets_a_key_of_its_own_is_at_home(service: Service, settings: Any) -> None:
    organization = next(iter(service.keys.values()))
    service.keys["sk_test_staging0000000000"] = organization
    user = sign_up("bea")
    drain()
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": "sk_test_staging0000000000"}

    states = [(drain().ended, link_of(user).state) for _ in range(2)]

    assert states == [("done", State.LINKED)] * 2
    assert noted() == identity.of_database(using="default")


@pytest.mark.usefixtures("used_elsewhere")
def test_a_closure_ends_by_itself_where_the_settings_lead_home_again() -> None:
    here = identity.of_database(using="default")
    user = sign_up("bea")
    drain()
    moved(database_address=here.address, database_instance=here.instance)

    drain()

    assert link_of(user).state == State.LINKED


# Who a database is


@pytest.fixture
def elsewhere() -> Iterator[Any]:
    """Open the tests' database once more, under settings that a test may change."""
    connections["elsewhere"] = connections["default"].copy("elsewhere")
    yield connections["elsewhere"].settings_dict
    connections["elsewhere"].close()
    del connections["elsewhere"]


@pytest.mark.database
def test_a_database_is_the_same_whenever_it_is_asked() -> None:
    first, second = (identity.of_database(using="default") for _ in range(2))

    assert first == second
    assert all((first.address, first.instance))
    assert not first.is_another_than(second)


@pytest.mark.database
def test_a_database_under_another_address_is_the_same(elsewhere: Any, tmp_path: Path) -> None:
    if connections["default"].vendor == "sqlite":
        renamed = tmp_path / "renamed.sqlite3"
        renamed.hardlink_to(elsewhere["NAME"])
        elsewhere["NAME"] = str(renamed)
    else:
        elsewhere["HOST"] = "localhost"

    here, there = (identity.of_database(using=alias) for alias in ("default", "elsewhere"))

    assert here.address != there.address
    assert here.instance == there.instance


@pytest.mark.database
def test_another_database_on_the_same_server_is_another(elsewhere: Any, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    copy.touch()
    names = {"postgresql": "template1", "mysql": "mysql", "sqlite": str(copy)}
    elsewhere["NAME"] = names[connections["default"].vendor]

    here, there = (identity.of_database(using=alias) for alias in ("default", "elsewhere"))

    assert there.is_another_than(here)


def test_a_database_that_does_not_say_who_it_is_is_never_taken_for_another(elsewhere: Any) -> None:
    elsewhere["NAME"] = "/nowhere/at/all.sqlite3"
    elsewhere["HOST"] = "nowhere.invalid"

    here, there = (identity.of_database(using=alias) for alias in ("default", "elsewhere"))

    assert there.instance == "" or connections["default"].vendor != "sqlite"
    assert not there.is_another_than(here)
