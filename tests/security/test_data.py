"""What of people and keys is kept, and what is asked for: no more than has a reason."""

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.views import debug

from kohort_sync import connection, drainer
from kohort_sync.delivery import Situation
from kohort_sync.links import Intent, Settlement
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncAttempt, SyncRun
from kohort_sync.testing.adapter import ServiceAdapter
from kohort_sync.testing.wire import Request, Response
from project.accounts.models import User
from tests.security import canaries

pytestmark = pytest.mark.django_db(transaction=True)


class Chatty(canaries.Listening):
    """Tell more about a customer than was ever agreed on."""

    told = 0

    def handle(self, request: Request) -> Response:
        answer = super().handle(request)
        if not answer.body.startswith(b'{"id"'):
            return answer
        self.told += 1
        more = f'{{"iban": "{canaries.KEY}", "notes": {{"of": "{canaries.KEY}"}}, '.encode()
        return Response(answer.status, answer.headers, more + answer.body[1:])


@pytest.mark.security(28)
def test_what_nobody_has_agreed_on_is_not_kept(settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": canaries.KEY}
    service = Chatty(seed=1)
    with connection.through(ServiceAdapter(service)):
        user = User.objects.create_user("ada", **canaries.person("ada"))
        drainer.drain("default", linger=0)

    assert CustomerLink.objects.get(user=user).state == State.LINKED
    assert service.told == 1
    assert [one for one in canaries.seen_in(everything()) if one.startswith("key")] == []


@pytest.mark.security(1, 5)
def test_of_the_key_only_eight_digits_of_its_fingerprint_are_kept(settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": canaries.KEY}
    with connection.through(ServiceAdapter(canaries.Listening(seed=1))):
        User.objects.create_user("ada", **canaries.person("ada"))
        drainer.drain("default", linger=0)

    assert Account.objects.get().key_fingerprint != ""
    assert len(Account.objects.get().key_fingerprint) == 8
    assert canaries.KEY not in everything()


def everything() -> str:
    """Print every column of every row of ours."""
    tables: Any = (Account, Customer, CustomerLink, SyncAttempt, SyncRun)
    return repr([list(table._base_manager.values()) for table in tables])


@pytest.mark.security(2)
def test_the_key_is_masked_where_django_shows_its_settings(settings: Any, client: Client) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": canaries.KEY}
    settings.DEBUG = True

    page = client.get("/nothing/is/here/")
    shown = repr(debug.SafeExceptionReporterFilter().get_safe_settings()["KOHORT_SYNC"])

    assert page.status_code == 404
    assert canaries.seen_in(page.content.decode()) == []
    assert "API_KEY" in shown
    assert canaries.seen_in(shown) == []


@pytest.mark.security(8)
def test_what_the_engine_carries_prints_nobody() -> None:
    address = canaries.email("ada")
    link = CustomerLink(client_reference_id="ks-1", intent_email=address)

    carried = [
        Intent(link=link, operation="create", version=1, email=address),
        Settlement(link=link, state=State.PENDING, changes={"intent_email": address}),
        Situation(now=None, began=None, holders={address: None}),  # type: ignore[arg-type, dict-item]
    ]

    assert canaries.seen_in(repr(carried)) == []


@pytest.mark.security(11)
@pytest.mark.parametrize("adopts", [False, True])
def test_an_address_gets_into_a_url_only_where_the_site_wants_to_adopt(
    settings: Any,
    adopts: bool,  # noqa: FBT001
) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {
        "API_KEY": canaries.KEY,
        "ADOPT_BY_EMAIL": adopts,
        "EMAIL_VERIFIED": lambda _user: True,
    }
    service = canaries.Listening(seed=1)
    service.add_customer(organization_id=canaries.ORGANIZATION, email=canaries.email("ada"))
    with connection.through(ServiceAdapter(service)):
        User.objects.create_user("ada", **canaries.person("ada"))
        drainer.drain("default", linger=0)
        drainer.drain("default", linger=0)

    assert bool(canaries.seen_in(" ".join(service.targets))) is adopts


@pytest.mark.security(11)
def test_the_docs_say_that_adoption_puts_addresses_into_urls() -> None:
    told = (django_settings.BASE_DIR / "docs" / "settings.md").read_text()

    assert "URL" in told.partition("### `ADOPT_BY_EMAIL`")[2].partition("### ")[0]


@pytest.mark.security(38)
def test_a_reference_is_never_taken_from_the_site_or_its_users(settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {
        "CUSTOMER_DATA": lambda _user: {"client_reference_id": "mine", "clientReferenceId": "mine"}
    }
    service = canaries.Listening(seed=1)
    with connection.through(ServiceAdapter(service)):
        user = User.objects.create_user("ada", **canaries.person("ada"))
        drainer.drain("default", linger=0)

    link = CustomerLink.objects.get(user=user)
    assert (link.state, link.last_error_code) == (State.REJECTED, "customer_data_invalid")
    assert link.client_reference_id != "mine"
    assert service.snapshot() == []
