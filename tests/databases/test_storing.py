"""Users who are stored already get their rows inside the database: the same rows, once each."""

import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext, isolate_apps

import kohort_sync
from kohort_sync import clock, links, mapping, queries, references, services, sweep
from kohort_sync.links import storing
from kohort_sync.models import CustomerLink, WorkClass
from tests.databases import people
from tests.databases.people import KEY, VENDOR, Thread
from tests.engine.people import User, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

ROOT = Path(kohort_sync.__file__).parents[1]


def store(users: Any) -> int:
    return links.record_stored(users, account=KEY, using="default", work_class=WorkClass.BULK)


def everybody() -> Any:
    return User.objects.order_by("pk")


def columns_of(link: CustomerLink) -> dict[str, Any]:
    """Return what does not differ from row to row, and whether what does is there."""
    values = {field.name: getattr(link, field.attname) for field in CustomerLink._meta.concrete_fields}
    now = clock.now(using="default")
    for name, value in values.items():
        if isinstance(value, datetime):
            values[name] = abs(value - now) < timedelta(minutes=1)
    return values | {"id": 0, "user": 0, "user_pk": "", "client_reference_id": ""}


# the rows


def test_a_row_made_inside_the_database_is_like_one_made_outside() -> None:
    first, second = people.older(2)

    links.record([first], accounts=[KEY], using="default", work_class=WorkClass.BULK)
    recorded = store(everybody().filter(pk=second.pk))

    outside, inside = CustomerLink.objects.order_by("pk")
    assert recorded == 1
    assert columns_of(inside) == columns_of(outside)
    assert (inside.user_id, inside.user_pk) == (second.pk, mapping.key_of(second))


@pytest.mark.parametrize("prefix", ["shop-", "a shop with a name that is far too long-", "été/% '€ ", ""])
def test_each_row_has_a_reference_of_its_own_that_can_be_searched_for(settings: Any, prefix: str) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"REFERENCE_PREFIX": prefix}
    people.older(300)

    store(everybody())

    found = list(CustomerLink.objects.values_list("client_reference_id", flat=True))
    begins = references.new(prefix=prefix)[:-32]
    assert len(found) == len(set(found)) == 300
    assert all(map(references.is_safe, found))
    assert all(re.fullmatch(rf"{re.escape(begins)}[0-9a-f]{{32}}", reference) for reference in found)


def test_whoever_has_a_row_keeps_it_and_is_not_counted() -> None:
    user = sign_up()
    before = CustomerLink.objects.values().get()
    people.older(2)

    recorded = store(everybody())

    assert recorded == 2
    assert CustomerLink.objects.values().get(user=user) == before


def test_nobody_is_a_number_too() -> None:
    people.older(1)

    assert (store(everybody().none()), store(everybody().filter(pk__in=[]))) == (0, 0)


def test_no_function_of_the_host_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    people.older(3)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a user was loaded")

    monkeypatch.setattr(User, "from_db", refuse)
    monkeypatch.setattr(User, "__init__", refuse)

    assert services.backfill("default").recorded == 3


# the keys


class OwnKind(models.IntegerField):  # type: ignore[type-arg]
    """Be a column that reads its values as it likes."""

    def to_python(self, value: Any) -> Any:
        return f"number {value}"


KINDS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "integer": (models.BigAutoField, (1, -7, 2**60)),
    "small": (models.PositiveSmallIntegerField, (0, 32767)),
    "UUID": (
        models.UUIDField,
        (uuid.UUID(int=0), uuid.UUID("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), uuid.uuid4()),
    ),
    "text": (models.CharField, ("ada", "Ada Lovelace ", "été €", "007", "a'b\\c%s")),
    "slug": (models.SlugField, ("ada-1",)),
}


def spelled(field: Any, keys: tuple[Any, ...]) -> tuple[set[str], set[str]]:
    """Put keys into a table of their own; return how Python and how the database spells them."""

    class Host(models.Model):  # noqa: DJ008
        id = field

        class Meta:
            app_label = "signup"
            db_table = "kohort_sync_test_keys"

    with connection.schema_editor() as editor:
        editor.create_model(Host)
    try:
        Host._base_manager.bulk_create([Host(pk=key) for key in keys])
        key = mapping.key_in_database(Host, using="default")
        assert key is not None
        inside = set(Host._base_manager.values_list(key, flat=True))
        return {mapping.spelled(row.pk, model=Host) for row in Host._base_manager.all()}, inside
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Host)


@pytest.mark.parametrize("kind", KINDS)
@isolate_apps("tests.signup")
def test_the_database_spells_a_key_as_python_does(kind: str) -> None:
    field, keys = KINDS[kind]
    length = {"max_length": 50} if issubclass(field, models.CharField) else {}

    outside, inside = spelled(field(primary_key=True, **length), keys)

    assert inside == outside
    assert len(inside) == len(keys)


@pytest.mark.parametrize("field", [OwnKind, models.DecimalField, models.DateTimeField])
@isolate_apps("tests.signup")
def test_a_key_that_only_python_can_spell_is_left_to_python(field: Any) -> None:
    class Host(models.Model):  # noqa: DJ008
        id = field(primary_key=True)

        class Meta:
            app_label = "signup"

    assert mapping.key_in_database(Host, using="default") is None


@pytest.mark.parametrize(
    "lacks", [(mapping, "key_in_database", None), (references, "can_be_made_by_database", False)]
)
def test_what_the_database_cannot_do_is_done_outside(
    monkeypatch: pytest.MonkeyPatch, lacks: tuple[Any, str, Any]
) -> None:
    module, name, answer = lacks
    monkeypatch.setattr(module, name, lambda *_, **__: answer)
    users = people.older(5)

    done = services.backfill("default", limit=3)
    asked = services.request_sync(users)

    assert (done.recorded, asked) == (3, 5)
    assert {link.user_pk for link in CustomerLink.objects.all()} == set(map(mapping.key_of, users))


# the ranges


def test_a_range_costs_one_insert_and_what_surrounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 5)
    people.older(15)

    with CaptureQueriesContext(connection) as captured:
        sizes = list(sweep.record_missing(KEY, limit=None, using="default"))

    sql = [query["sql"] for query in captured]
    inserts = [text for text in sql if text.startswith("INSERT")]
    assert sizes == [5, 5, 5]
    assert len(inserts) == 3
    assert all(" SELECT " in text for text in inserts)
    # The first key, and the keys of each range; BEGIN, how the transaction begins, and COMMIT.
    assert len([text for text in sql if text.startswith("SELECT")]) == 1 + 4
    assert len(sql) <= 1 + 4 + 3 * 4


def test_a_range_looks_at_the_links_of_its_own_users_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 5)
    users = people.older(10)

    with CaptureQueriesContext(connection) as captured:
        list(sweep.record_missing(KEY, limit=None, using="default"))

    first, second = (query["sql"] for query in captured if query["sql"].startswith("INSERT"))
    for text, low, high in ((first, users[0], users[4]), (second, users[5], users[9])):
        assert len(re.findall(rf"id[`\"]? >= {low.pk}\b", text)) == 2
        assert len(re.findall(rf"id[`\"]? <= {high.pk}\b", text)) == 2


def test_keys_with_gaps_make_no_empty_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 2)
    User.objects.bulk_create([User(pk=10**number, username=f"old{number}") for number in range(5)])

    assert list(sweep.record_missing(KEY, limit=None, using="default")) == [2, 2, 1]


def test_a_sweep_that_finds_nobody_writes_nothing() -> None:
    sign_up()

    with CaptureQueriesContext(connection) as captured:
        found = list(sweep.record_missing(KEY, limit=None, using="default"))

    assert (found, len(captured)) == ([], 1)


# who asks


def test_a_request_costs_one_statement_for_many() -> None:
    users = people.older(400)

    with CaptureQueriesContext(connection) as captured:
        services.request_sync(users)

    assert [query["sql"][:6] for query in captured] == ["INSERT"]
    assert CustomerLink.objects.count() == 400


def test_a_request_for_more_than_one_statement_takes_is_met_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(storing._ASKED_AT_ONCE, VENDOR, 4)
    users = people.older(10)

    with CaptureQueriesContext(connection) as captured:
        asked = services.request_sync(users)

    assert (asked, len(captured), CustomerLink.objects.count()) == (10, 3, 10)


def test_a_request_for_somebody_who_is_not_there_makes_no_row() -> None:
    (user,) = people.older(1)
    User.objects.all()._raw_delete("default")

    assert services.request_sync([user]) == 1
    assert not CustomerLink.objects.exists()


def test_a_request_is_part_of_the_site_s_transaction() -> None:
    with transaction.atomic():
        services.request_sync(people.older(3))
        inside = CustomerLink.objects.count()
        transaction.set_rollback(True)

    assert (inside, CustomerLink.objects.count()) == (3, 0)


# side by side, and killed


@pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has one writer at a time")
def test_a_sign_up_waits_for_no_range_that_is_not_committed_yet() -> None:
    people.older(50)
    stored, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with links.writing(using="default"):
            store(queries.users_without_link(KEY, using="default").order_by("pk"))
            stored.set()
            go_on.wait(20)

    backfill = Thread(work)
    stored.wait(20)
    failure = Thread(lambda: sign_up("ada")).end(within=10)
    is_open = backfill.is_alive
    go_on.set()

    assert (failure, is_open, backfill.end()) == (None, True, None)
    assert CustomerLink.objects.count() == User.objects.count() == 51


def test_whoever_signs_up_during_a_backfill_gets_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "AT_ONCE", 20)
    people.older(400)
    failures = []

    def crowd(name: str) -> None:
        for number in range(15):
            with transaction.atomic():
                sign_up(f"{name}{number}")

    threads = [Thread(lambda name=name: crowd(name)) for name in ("ada", "bea")]  # type: ignore[misc]
    threads += [Thread(lambda: services.backfill("default")) for _ in range(2)]
    failures = [failure for thread in threads if (failure := thread.end(within=60)) is not None]

    assert failures == []
    assert CustomerLink.objects.count() == User.objects.count() == 430
    assert CustomerLink.objects.values("user_pk").distinct().count() == 430


KILLED = """
import os, signal, sys
from django.conf import settings

settings.DATABASES["default"]["NAME"] = sys.argv[1]
import django

django.setup()
from kohort_sync import links, services

links.AT_ONCE = 10
real, calls = links.record_stored, []


def record_stored(*given, **named):
    recorded = real(*given, **named)
    calls.append(recorded)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)  # the third range is written, and not committed
    return recorded


links.record_stored = record_stored
services.backfill("default")
"""


@pytest.mark.failure(29)
def test_a_backfill_that_is_killed_goes_on_where_it_was() -> None:
    users = people.older(50)
    name = str(connection.settings_dict["NAME"])

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, name],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    kept = CustomerLink.objects.count()
    done = services.backfill("default")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (kept, done.recorded, done.covered) == (20, 30, True)
    assert sorted(CustomerLink.objects.values_list("user_id", flat=True)) == [user.pk for user in users]
