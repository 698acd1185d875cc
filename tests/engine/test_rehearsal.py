"""What a rehearsed backfill foretells is what a backfill and a drain then come to."""

from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from kohort_sync import reasons, services
from kohort_sync.models import CustomerLink, State
from kohort_sync.services import running
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

# What CUSTOMER_DATA makes of whoever bears the name, and the code that comes of it.
DATA: dict[str, tuple[Any, str]] = {
    "email_invalid": ({"email_address": "not an address"}, "email_invalid"),
    "no_email": ({"email_address": None}, "no_email"),
    "text_unsendable": ({"first_name": "a\0b"}, "text_unsendable"),
    "locale_unknown": ({"locale": "tlh"}, "locale_unknown"),
    "metadata_unsendable": ({"metadata": {"when": object()}}, "metadata_unsendable"),
    "too_large": ({"metadata": {"text": "x" * 110_000}}, "too_large"),
    "customer_data_invalid": ({"colour": "red"}, "customer_data_invalid"),
    "no dict": ("Ada", "customer_data_invalid"),
    "fine": ({"first_name": "Ada"}, ""),
}
STATES = {"": State.LINKED, "no_email": State.SKIPPED, "not_wanted": State.SKIPPED}
FAILS = {"raises": ZeroDivisionError, "exits": SystemExit}


def kind_of(user: Any) -> str:
    return str(user.username.split("-")[0])


def should_sync(user: Any) -> bool:
    if failure := FAILS.get(kind_of(user)):
        raise failure
    return kind_of(user) != "not_wanted"


def customer_data(user: Any) -> Any:
    return DATA[kind_of(user)][0]


@pytest.fixture(autouse=True)
def _host(settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {
        "SHOULD_SYNC": should_sync,
        "CUSTOMER_DATA": customer_data,
    }


def crowd() -> Counter[tuple[State, str]]:
    """Make users of every kind, of each kind one more than of the last; return what is to become of them."""
    expected: Counter[tuple[State, str]] = Counter()
    users = []
    kinds = {kind: code for kind, (_, code) in DATA.items()} | {"not_wanted": "not_wanted"}
    kinds |= dict.fromkeys(FAILS, "host_function_failed")
    for number, (kind, code) in enumerate(kinds.items(), start=1):
        state = STATES.get(code, State.PENDING if kind in FAILS else State.REJECTED)
        expected[state, code] += number
        users += [
            User(username=f"{kind}-{each}", email=f"{kind.replace(' ', '_')}{each}@example.com")
            for each in range(number)
        ]
    User.objects.bulk_create(users)
    return expected


def test_what_is_foretold_is_what_comes(service: Service) -> None:
    expected = crowd()
    to_be_sent = expected.pop((State.LINKED, ""))

    foretold = services.rehearse_backfill("default")
    services.backfill("default")
    drain()

    came = Counter(
        (State(state), code) for state, code in CustomerLink.objects.values_list("state", "last_error_code")
    )
    assert (foretold.to_be_sent, foretold.not_sent) == (to_be_sent, expected)
    assert foretold.users == User.objects.count()
    assert came == expected + Counter({(State.LINKED, ""): to_be_sent})
    assert {code for _, code in expected} <= set(reasons.CODES)


def test_a_rehearsal_writes_nothing_and_sends_nothing(service: Service) -> None:
    crowd()

    with CaptureQueriesContext(connection) as captured:
        services.rehearse_backfill("default")

    assert {query["sql"].split()[0] for query in captured} == {"SELECT"}
    assert len(service.log) == 0


def test_a_rehearsal_loads_a_few_users_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_LOADED_AT_ONCE", 10)
    crowd()
    told: list[tuple[int, int]] = []

    foretold = services.rehearse_backfill("default", progress=lambda *numbers: told.append(numbers))

    everybody = User.objects.count()
    assert [done for done, _ in told] == [*range(10, everybody, 10), everybody]
    assert {total for _, total in told} == {everybody} == {foretold.users}


@pytest.mark.parametrize("limit", [1, 10, 25, 999])
def test_a_limit_is_kept(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(running, "_LOADED_AT_ONCE", 10)
    crowd()

    assert services.rehearse_backfill("default", limit=limit).users == min(limit, User.objects.count())


def test_a_function_that_fails_in_a_rehearsal_is_logged_without_a_person(
    caplog: pytest.LogCaptureFixture,
) -> None:
    User.objects.bulk_create([User(username="raises-0", email="ada@example.com")])

    services.rehearse_backfill("default")

    (record,) = caplog.records
    assert "link (none yet): ZeroDivisionError in" in record.getMessage()
    assert "ada" not in record.getMessage()


def test_nobody_who_has_a_link_is_foretold(service: Service) -> None:
    User.objects.create_user("fine-0", "fine@example.com")

    assert services.rehearse_backfill("default").users == 0
