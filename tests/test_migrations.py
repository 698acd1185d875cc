"""Migrations only add, and a worker of the last version lives with the tables of the next."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import migrations as django_migrations
from django.db.models import NOT_PROVIDED

from kohort_sync import links, migrations
from kohort_sync.models import CustomerLink, State
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up

ADDITIVE = (
    django_migrations.AddField,
    django_migrations.AddIndex,
    django_migrations.AddConstraint,
    django_migrations.CreateModel,
    # They change what Python knows; what they may do to a column is seen below.
    django_migrations.AlterModelOptions,
    django_migrations.AlterField,
)


def steps() -> Iterator[tuple[str, Any]]:
    """Give every step after the first migration, which finds no row."""
    names = sorted(module.name for module in pkgutil.iter_modules(migrations.__path__))
    for name in names[1:]:
        module = importlib.import_module(f"{migrations.__name__}.{name}")
        for operation in module.Migration.operations:
            yield name, operation


@pytest.mark.failure(76)
def test_a_migration_adds_and_neither_takes_away_nor_rewrites_rows() -> None:
    others = [
        (name, type(operation).__name__) for name, operation in steps() if type(operation) not in ADDITIVE
    ]

    assert others == []
    assert len(list(steps())) > 0


@pytest.mark.failure(76)
def test_whoever_does_not_know_a_new_column_can_insert_all_the_same() -> None:
    added = [operation for _, operation in steps() if isinstance(operation, django_migrations.AddField)]

    unfillable = [
        operation.name
        for operation in added
        if not operation.field.null and operation.field.db_default is NOT_PROVIDED
    ]

    assert unfillable == []


@pytest.mark.failure(76)
@pytest.mark.database
@pytest.mark.django_db(transaction=True)
def test_a_state_of_a_newer_version_is_left_alone(service: Service) -> None:
    newer, known = sign_up("ada"), sign_up("bea")
    CustomerLink.objects.filter(user=newer).update(state="of_tomorrow")
    before = _told(newer)

    for _ in range(3):
        drain()
        let_time_pass(1000)
    due = links.any_due(account="default/test", using="default")

    assert _told(newer) == before
    assert not due
    assert link_of(known).state == State.LINKED
    assert len(service.snapshot()) == 1


def _told(user: Any) -> dict[str, Any]:
    """Return the row of a user, without the moments that the test itself moves."""
    row = CustomerLink.objects.values().get(user=user)
    return {name: value for name, value in row.items() if name not in {"created_at", "next_attempt_at"}}
