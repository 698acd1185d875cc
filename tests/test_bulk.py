"""Bulk: what goes to the database as one document arrives there as Django itself would write it."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import CharField, F, Model, UUIDField
from django.test.utils import isolate_apps
from django.utils import timezone

from kohort_sync import bulk, clock
from kohort_sync.bulk import AnyOf
from kohort_sync.models import Customer, CustomerLink, State, SyncAttempt, WorkClass
from tests.databases import people

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

IDENTITY = ("account", "kohort_id")
TEXTS = (
    "",
    " spaces,\ttabs\r\nand lines ",
    'O\'Neill "quoted" `x` $1 $$ ;--',
    r"C:\new \\ \u0041 \x00 {} [] null",
    "100 % %s %(name)s %%",
    "Zoë Ångström, Straße, 名前, e\u0301",
    "👩‍👩‍👧 🇫🇷 😀",
    "\x01\x7f\u2028\ufeff",
)
DOCUMENTS: tuple[Any, ...] = (
    {},
    [],
    {"none": None, "numbers": [1, -1.5, 2**53], "deep": {"é👍": ["'\"\\%s", True]}},
    "text",
    0,
    False,
)


@pytest.fixture(params=["aware", "naive"])
def zone(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """Let the site use time zones, or write its own local times."""
    if request.param == "naive":
        settings.USE_TZ, settings.TIME_ZONE = False, "America/New_York"
    with people.database_settings({}):
        yield


def a_moment() -> datetime:
    """Return a moment as the site writes it."""
    moment = datetime(2026, 7, 28, 1, 30, 0, 123456)  # noqa: DTZ001 — made aware below
    return timezone.make_aware(moment) if timezone.is_aware(timezone.now()) else moment


def links(number: int, *, token: str = "ours") -> list[CustomerLink]:
    """Make rows that this token holds."""
    return [
        CustomerLink.objects.create(
            account="default/test",
            user_pk=f"{token}{n}",
            client_reference_id=f"{token}{n}",
            lease_token=token,
        )
        for n in range(number)
    ]


def customer(kohort_id: str = "cus_1", **columns: Any) -> Customer:
    """Return a row that is not there yet."""
    given = {"account": "default/test", "livemode": False, "mirrored_at": a_moment()} | columns
    return Customer(kohort_id=kohort_id, **given)


def stored(*rows: Model) -> list[dict[str, Any]]:
    """Return what the database has of rows."""
    manager = type(rows[0])._base_manager
    return [manager.filter(pk=row.pk).values().get() for row in rows]


# Updates


def test_an_update_writes_what_is_fenced_and_named_alone() -> None:
    ours, theirs = links(3), links(2, token="theirs")
    rows = [*ours, *theirs]
    before = stored(*rows)
    for row in rows:
        row.state, row.work_class, row.lease_token, row.attempts = State.SKIPPED, WorkClass.BULK, "", 7

    names = ["state", "work_class", "lease_token"]
    bulk.update(rows, names, fence=("lease_token", "ours"), using="default")

    written = {"state": "skipped", "work_class": int(WorkClass.BULK), "lease_token": ""}
    assert stored(*ours) == [old | written for old in before[:3]]
    assert stored(*theirs) == before[3:]


def test_each_row_gets_its_own_values(zone: None) -> None:
    rows, twins = links(len(TEXTS)), links(len(TEXTS), token="twins")
    names = ["last_error", "fingerprint", "wants_block", "wants_restore", "settle_until", "intent_version"]
    for same in (rows, twins):
        for n, (row, text) in enumerate(zip(same, TEXTS, strict=True)):
            row.last_error, row.fingerprint = text, DOCUMENTS[n % len(DOCUMENTS)]
            row.wants_block, row.wants_restore = (None, True, False)[n % 3], n % 2 == 0
            row.settle_until = a_moment() + timedelta(hours=n) if n % 2 else None
            row.intent_version = n or None

    bulk.update(rows, names, fence=("lease_token", "ours"), using="default")
    for twin in twins:
        twin.save()

    assert [[row[name] for name in names] for row in stored(*rows)] == [
        [row[name] for name in names] for row in stored(*twins)
    ]
    assert [row["last_error"] for row in stored(*rows)] == list(TEXTS)


@pytest.mark.parametrize("fence", ["it's", 'a "b" \\', "%s", "é😀"])
def test_a_fence_may_be_any_text(fence: str) -> None:
    (row,), (other,) = links(1, token=fence), links(1, token="other")
    row.attempts = other.attempts = 3

    bulk.update([row, other], ["attempts"], fence=("lease_token", fence), using="default")

    assert [values["attempts"] for values in stored(row, other)] == [3, 0]


def test_nothing_is_asked_for_no_rows(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        bulk.update([], ["state"], fence=("lease_token", "ours"), using="default")
        bulk.insert([], using="default")
        bulk.upsert([], identity=IDENTITY, using="default")


# Inserts


def test_what_is_inserted_gets_the_moment(zone: None) -> None:
    (link,) = links(1)
    before = clock.now(using="default")

    bulk.insert(
        [
            SyncAttempt(link=link, operation="create", outcome="ok", status=None, reason=text)
            for text in TEXTS
        ],
        using="default",
    )

    rows = SyncAttempt.objects.order_by("pk")
    assert sorted(row.reason for row in rows) == sorted(TEXTS)
    assert all(abs(row.created_at - before) < timedelta(seconds=5) for row in rows)
    assert {(row.link_id, row.status, row.milliseconds) for row in rows} == {(link.pk, None, None)}


def test_an_upsert_writes_what_a_save_would(zone: None) -> None:
    given = [
        {
            "first_name": text,
            "last_name": None,
            "metadata": document,
            "livemode": n % 2 == 0,
            "created_at": a_moment() + timedelta(days=30 * n) if n % 3 else None,
        }
        for n, (text, document) in enumerate(zip(TEXTS, (*DOCUMENTS, None, None), strict=True))
    ]

    bulk.upsert(
        [customer(f"cus_{n}", **one) for n, one in enumerate(given)], identity=IDENTITY, using="default"
    )
    for n, one in enumerate(given):
        customer(f"twin_{n}", **one).save()

    written, saved = (
        [{**row, "id": None, "kohort_id": None} for row in rows.order_by("kohort_id").values()]
        for rows in (Customer.objects.filter(kohort_id__startswith=name) for name in ("cus", "twin"))
    )
    assert len(written) == len(given)
    assert written == saved
    assert Customer.objects.filter(metadata__isnull=True).count() == 4


def test_an_upsert_writes_over_the_row_of_its_account_alone() -> None:
    here, elsewhere = customer(first_name="Ada"), customer(first_name="Ada", account="elsewhere/test")
    here.save()
    elsewhere.save()
    before = stored(elsewhere)

    rows = [customer(first_name="Augusta", is_blocked=True), customer("cus_2", first_name="Bea")]
    keys = bulk.upsert(rows, identity=IDENTITY, using="default")

    assert keys == dict(Customer.objects.filter(account=here.account).values_list("kohort_id", "pk"))
    (changed,) = stored(here)
    assert (changed["first_name"], changed["is_blocked"]) == ("Augusta", True)
    assert stored(elsewhere) == before
    assert Customer.objects.count() == 3


def test_many_rows_are_inserted_and_written_over() -> None:
    for name in ("Ada", "Augusta"):
        rows = [customer(f"cus_{n}", first_name=f"{name} {n}") for n in range(1200)]
        keys = bulk.upsert(rows, identity=IDENTITY, using="default")

    assert keys == dict(Customer.objects.values_list("kohort_id", "pk"))
    assert dict(Customer.objects.values_list("kohort_id", "first_name")) == {
        f"cus_{n}": f"Augusta {n}" for n in range(1200)
    }


# One of many


@pytest.fixture
def things() -> Iterator[type[Model]]:
    """Have rows with a UUID for a key, and a text."""
    with isolate_apps("tests.signup"):

        class Thing(Model):  # noqa: DJ008 — nobody looks at it
            id = UUIDField(primary_key=True, default=uuid.uuid4)
            name = CharField(max_length=64, unique=True)

            class Meta:
                app_label = "signup"

        with connection.schema_editor() as editor:
            editor.create_model(Thing)
        yield Thing
        with connection.schema_editor() as editor:
            editor.delete_model(Thing)


@pytest.mark.parametrize("name", ["pk", "name"])
def test_any_of_many_is_what_in_is(things: Any, name: str) -> None:
    made = things._base_manager.bulk_create([things(name=f"{n} {TEXTS[n % 8]}"[:64]) for n in range(1500)])
    wanted = [getattr(thing, name) for thing in made[:1200]]
    keys = {thing.pk for thing in made[:1200]}

    rows = things._base_manager.all()

    assert {row.pk for row in rows.filter(AnyOf(F(name), wanted))} == keys
    assert {row.pk for row in rows.exclude(AnyOf(F(name), wanted))} == {row.pk for row in made} - keys


def test_any_of_none_is_nobody(django_assert_num_queries: Any) -> None:
    (row,) = links(1)
    nobody: Sequence[int] = []

    with django_assert_num_queries(0):
        assert not CustomerLink.objects.filter(AnyOf(F("pk"), nobody)).exists()
    assert CustomerLink.objects.exclude(AnyOf(F("pk"), nobody)).get() == row
