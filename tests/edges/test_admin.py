"""The admin as staff meet it: everything is readable, nothing is editable, one button repairs."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission
from django.contrib.messages import WARNING
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from pytest_django.asserts import assertContains, assertNotContains

from kohort_sync import admin as kohort_admin
from kohort_sync import reasons
from kohort_sync.admin import pages
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncAttempt, SyncRun
from kohort_sync.testing.service import Service
from project.accounts.models import User
from tests.site import people

pytestmark = pytest.mark.django_db

MODELS = (Account, Customer, CustomerLink, SyncAttempt, SyncRun)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def staff(client: Client) -> Client:
    """Sign a superuser in."""
    client.force_login(User.objects.create_superuser("boss", "boss@example.org"))
    return client


def colleague(client: Client, *permissions: str) -> User:
    """Sign in a member of the staff who has some permissions of ours."""
    user = User.objects.create_user("colleague", "colleague@example.org", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="kohort_sync", codename__in=permissions)
    )
    client.force_login(user)
    return user


def one_of_each() -> tuple[Any, ...]:
    """Make a row of every model that has pages."""
    user = User.objects.create_user("ada", "ada@example.org")
    link = people.place(user, State.LINKED)
    attempt = SyncAttempt.objects.create(link=link, operation="create", outcome="ok", status=201)
    account = Account.objects.create(key="default/test", gate="closed", gate_reason="key_refused")
    run = SyncRun.objects.create(
        kind="reconcile",
        account="default/test",
        finished_at=timezone.now(),
        progress={"complete": True},
        counters={"customers": 900, "equal": 899, "drifted": 1},
        report={
            "ended": "done",
            "findings": [{"kind": "drifted", "kohort_id": SCRIPT, "user": "7", "fields": ["firstName"]}],
        },
    )
    return account, link.customer, link, attempt, run


def page_of(model: Any, what: str, *arguments: Any) -> str:
    return reverse(f"admin:kohort_sync_{model._meta.model_name}_{what}", args=arguments)


def resync(client: Client, *links: CustomerLink, **more: str) -> Any:
    return press("resync", client, *links, **more)


def press(button: str, client: Client, *links: CustomerLink, **more: str) -> Any:
    selected = [str(link.pk) for link in links]
    data = {"action": button, "_selected_action": selected} | more
    return client.post(page_of(CustomerLink, "changelist"), data, follow=True)


def test_every_list_and_every_detail_opens(staff: Client) -> None:
    for row in one_of_each():
        assert staff.get(page_of(type(row), "changelist")).status_code == 200
        assert staff.get(page_of(type(row), "change", row.pk)).status_code == 200
        assert staff.get(page_of(type(row), "history", row.pk)).status_code == 200
    assert staff.get(reverse("admin:app_list", args=["kohort_sync"])).status_code == 200


@pytest.mark.parametrize("state", list(State))
def test_a_link_in_any_state_opens_and_says_why(staff: Client, state: State) -> None:
    link = people.place(User.objects.create_user("ada", "ada@example.org"), state)

    shown = staff.get(page_of(CustomerLink, "change", link.pk))

    assertContains(shown, state.label)
    assertContains(shown, escape(link.reason))


@pytest.mark.parametrize(
    "query",
    [
        "ada", "ADA@example.org", "cus_", "site-", "state__exact=linked", "account__exact=default/test",
        "o=1", "o=2.4",
    ],
)  # fmt: skip
def test_searches_filters_and_orders_of_the_list_open(staff: Client, query: str) -> None:
    one_of_each()

    shown = staff.get(f"{page_of(CustomerLink, 'changelist')}?{query if '=' in query else f'q={query}'}")

    assert shown.status_code == 200
    assert "e=1" not in shown.request["QUERY_STRING"]


@pytest.mark.parametrize("what", ["name", "address", "kohort_id", "reference", "key"])
def test_a_link_is_found_by_what_staff_know_of_the_user(staff: Client, what: str) -> None:
    user = User.objects.create_user("ada", "Ada@example.org")
    link = people.place(user, State.LINKED)
    assert link.customer is not None
    known = {
        "name": "ada",
        "address": "ada@EXAMPLE.org",
        "kohort_id": link.customer.kohort_id,
        "reference": link.client_reference_id,
        "key": str(link.user_pk),
    }

    found = staff.get(page_of(CustomerLink, "changelist"), {"q": known[what]})

    assert list(found.context["cl"].queryset) == [link]


def test_customers_and_attempts_have_filters_that_open(staff: Client) -> None:
    one_of_each()

    for model, query in (
        (Customer, "is_blocked__exact=0"),
        (Customer, "account__exact=default%2Ftest"),
        (Customer, "q=cus_1"),
        (SyncAttempt, "operation__exact=create"),
        (SyncAttempt, "outcome__exact=ok"),
    ):
        assert staff.get(f"{page_of(model, 'changelist')}?{query}").status_code == 200


def test_the_list_shows_the_reason_in_words_and_the_kohortpay_id(staff: Client) -> None:
    linked = people.place(User.objects.create_user("ada", "ada@example.org"), State.LINKED)
    people.place(User.objects.create_user("bea"), State.SKIPPED, last_error_code="no_email")
    assert linked.customer is not None

    shown = staff.get(page_of(CustomerLink, "changelist"))

    assertContains(shown, linked.customer.kohort_id)
    assertContains(shown, "Linked to one KohortPay customer; nothing to do.")
    assertContains(shown, "The user has no e-mail address. Add one; the user is then sent.")


def test_a_conflict_leads_to_the_customer_that_is_in_the_way(staff: Client) -> None:
    link = people.place(User.objects.create_user("ada"), State.CONFLICT, conflict_ids=["cus_other"])

    shown = staff.get(page_of(CustomerLink, "change", link.pk))

    assertContains(shown, f'<a href="{page_of(Customer, "changelist")}?q=cus_other">cus_other</a>', html=True)


def test_a_link_leads_to_its_user_and_to_its_customer(staff: Client) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    link = people.place(user, State.LINKED)

    shown = staff.get(page_of(CustomerLink, "change", link.pk))

    assertContains(shown, reverse("admin:accounts_user_change", args=[user.pk]))
    assertContains(shown, page_of(Customer, "change", link.customer_id))


def test_a_user_who_was_deleted_is_said_to_be(staff: Client) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    link = people.place(user, State.LINKED)
    user.delete()

    assertContains(staff.get(page_of(CustomerLink, "changelist")), "(deleted)")
    assertContains(staff.get(page_of(CustomerLink, "change", link.pk)), "(deleted)")


def test_a_user_who_was_deleted_past_django_is_said_to_be(staff: Client) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    link = people.place(user, State.LINKED)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])

    assertContains(staff.get(page_of(CustomerLink, "changelist")), "(deleted)")
    assertContains(staff.get(page_of(CustomerLink, "change", link.pk)), "(deleted)")


def test_an_account_says_in_words_why_it_waits_and_what_is_left_to_do(staff: Client) -> None:
    Account.objects.create(key="default/test", gate="closed", gate_reason="unavailable")

    shown = staff.get(page_of(Account, "changelist"))

    assertContains(shown, "paused")
    assertContains(shown, "KohortPay failed several times in a row, or asked us to wait.")
    assertContains(shown, "manage.py kohort_sync backfill")


def test_an_account_shows_how_it_has_fared_lately(staff: Client) -> None:
    Account.objects.create(key="default/test", failures=3, last_success_at=people.LINKED_AT)

    in_the_list = staff.get(page_of(Account, "changelist"))
    on_its_page = staff.get(page_of(Account, "change", quote("default/test")))

    assertContains(in_the_list, '<td class="field-failures">3</td>', html=True)
    assertContains(on_its_page, "Failures in a row:")
    assertContains(on_its_page, "Last accepted request:")
    for shown in (in_the_list, on_its_page):
        assertContains(shown, "May 4, 2031, 9:30 a.m.")


def test_the_page_of_an_account_writes_every_moment_for_people(staff: Client) -> None:
    moments = dict.fromkeys(("gate_until", "covered_at", "last_success_at"), people.LINKED_AT)
    Account.objects.create(key="default/test", last_sweep_at=timezone.now(), **moments)
    page = page_of(Account, "change", quote("default/test"))

    assertContains(staff.get(page), "May 4, 2031, 9:30 a.m.", count=3)
    assertNotContains(staff.get(page), "+00:00")
    Account.objects.update(gate_until=None)
    assertNotContains(staff.get(page), "None")


# Nobody sweeps

LATE = timedelta(days=1)
TODO = "An engineer has to start Celery beat"


def swept(*, ago: timedelta, key: str = "default/test") -> None:
    Account.objects.create(key=key, last_sweep_at=timezone.now() - ago)


@pytest.mark.failure(27)
def test_a_sweep_that_is_long_overdue_is_said_in_words_with_what_to_do(staff: Client) -> None:
    swept(ago=LATE)

    for page in (
        page_of(Account, "changelist"),
        page_of(Account, "change", quote("default/test")),
        page_of(CustomerLink, "changelist"),
    ):
        shown = staff.get(page)

        assertContains(shown, "nothing has swept. An engineer")
        assertContains(shown, TODO)


def test_a_warning_on_top_of_the_links_names_the_account(staff: Client) -> None:
    swept(ago=LATE)

    shown = staff.get(page_of(CustomerLink, "changelist"))

    (warning,) = shown.context["messages"]
    assert warning.level == WARNING
    assert str(warning).startswith("Account default/test: Since ")


@pytest.mark.failure(27)
def test_an_account_that_was_never_swept_says_so_once_it_should_have_been(staff: Client) -> None:
    Account.objects.create(key="default/test")
    assertNotContains(staff.get(page_of(CustomerLink, "changelist")), TODO)
    Account.objects.update(created_at=timezone.now() - LATE)

    shown = staff.get(page_of(CustomerLink, "changelist"))

    assertContains(shown, "Account default/test: Nothing has ever swept.")


@pytest.mark.parametrize("model", [Account, CustomerLink])
def test_a_sweep_in_time_is_not_worth_a_word(staff: Client, model: Any) -> None:
    swept(ago=timedelta(minutes=1))

    assertNotContains(staff.get(page_of(model, "changelist")), TODO)


@pytest.mark.parametrize("model", [Account, CustomerLink])
def test_an_account_that_is_no_longer_configured_needs_no_sweep(staff: Client, model: Any) -> None:
    swept(ago=LATE, key="default/live")

    assertNotContains(staff.get(page_of(model, "changelist")), TODO)


def test_an_overdue_sweep_is_said_in_french_too(staff: Client) -> None:
    swept(ago=LATE)

    shown = staff.get(page_of(CustomerLink, "changelist"), headers={"accept-language": "fr"})

    assertContains(shown, "Un développeur doit démarrer Celery beat")


# What is wanted of a link


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"wants_block": True}, "to be blocked"),
        ({"wants_block": False}, "to be unblocked"),
        ({"wants_restore": True}, "to be brought back at KohortPay"),
        ({"wants_customer": "cus_chosen"}, "to be linked to cus_chosen"),
        ({"erase_asked_at": people.LINKED_AT}, "to be erased (asked for: May 4, 2031, 9:30 a.m.)"),
        ({"wants_block": True, "wants_restore": True}, "to be blocked; to be brought back at KohortPay"),
    ],
)
def test_a_link_says_what_is_wanted_of_it(staff: Client, fields: dict[str, Any], words: str) -> None:
    link = people.place(User.objects.create_user("ada", "ada@example.org"), State.LINKED, **fields)

    shown = staff.get(page_of(CustomerLink, "change", link.pk))

    assertContains(shown, "Wanted:")
    assertContains(shown, words)


@pytest.mark.parametrize(
    ("label", "fields"),
    [
        ("Failing since:", {"failing_since": people.LINKED_AT}),
        ("User deleted at:", {"user_gone_at": people.LINKED_AT}),
        ("Erased at:", {"erased_at": people.LINKED_AT}),
        ("Last error text:", {"last_error": "emailAddress is odd"}),
    ],
)
def test_a_link_has_a_line_only_for_what_has_happened(
    staff: Client, label: str, fields: dict[str, Any]
) -> None:
    link = people.place(User.objects.create_user("ada", "ada@example.org"), State.PENDING)
    page = page_of(CustomerLink, "change", link.pk)
    assertNotContains(staff.get(page), label)
    CustomerLink.objects.update(**fields)

    assertContains(staff.get(page), label)


def test_nothing_is_wanted_any_more_of_what_is_erased(staff: Client) -> None:
    link = people.place(User.objects.create_user("ada"), State.ERASED, last_error_code="erased_anonymised")

    shown = staff.get(page_of(CustomerLink, "change", link.pk))

    assertNotContains(shown, "Wanted:")
    assertContains(shown, "the record remains at KohortPay, anonymised")


def test_a_deletion_that_kohortpay_refuses_is_no_cause_for_alarm(staff: Client) -> None:
    _, _, link, _, _run = one_of_each()
    SyncAttempt.objects.create(
        link=link, operation="delete", outcome="definitive", status=400, error_code="rejected"
    )

    shown = staff.get(page_of(CustomerLink, "change", link.pk))

    assertContains(shown, "KohortPay keeps the record, whose data was overwritten before; nothing to do.")
    assertNotContains(shown, reasons.CODES["rejected"])


def test_the_history_tells_a_decision_from_an_exchange_of_the_same_name(staff: Client) -> None:
    _, _, link, _, _run = one_of_each()
    SyncAttempt.objects.create(link=link, operation="create", outcome="asked", trigger="person")

    shown = staff.get(page_of(CustomerLink, "change", link.pk))

    assertContains(shown, "create the customer")
    assertContains(shown, "create a new customer")


# Read-only


def test_a_run_is_told_in_words(staff: Client) -> None:
    run = one_of_each()[-1]

    listed, page = staff.get(page_of(SyncRun, "changelist")), staff.get(page_of(SyncRun, "change", run.pk))

    assertContains(listed, "899 linked and equal; nothing to do.")
    assertContains(page, "1 with other data than the user has here; the user&#x27;s is sent again.")
    assertContains(page, "drifted: &lt;script&gt;alert(1)&lt;/script&gt; 7 firstName")
    assertContains(page, "everything")


@pytest.mark.security(19)
@pytest.mark.parametrize("model", MODELS)
def test_nobody_can_add_a_row(staff: Client, model: Any) -> None:
    before = model.objects.count()

    assert staff.get(page_of(model, "add")).status_code == 403
    assert staff.post(page_of(model, "add"), {"key": "x/test"}).status_code == 403
    assert model.objects.count() == before


@pytest.mark.security(19)
@pytest.mark.parametrize("index", range(len(MODELS)))
def test_nobody_can_change_a_row(staff: Client, index: int) -> None:
    row = one_of_each()[index]
    page = page_of(type(row), "change", row.pk)

    assertNotContains(staff.get(page), 'name="_save"')
    refused = staff.post(page, {"email_address": "eve@example.org", "state": "linked", "gate": "open"})

    assert refused.status_code == 403
    before = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    row.refresh_from_db()
    assert before == {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.security(19)
@pytest.mark.parametrize("index", range(len(MODELS)))
def test_nobody_can_delete_a_row(staff: Client, index: int) -> None:
    row = one_of_each()[index]
    page = page_of(type(row), "delete", row.pk)

    assert staff.get(page).status_code == 403
    assert staff.post(page, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    staff.post(page_of(type(row), "changelist"), chosen)
    assert type(row).objects.filter(pk=row.pk).exists()


def test_attempts_cannot_be_slipped_in_through_the_page_of_a_link(staff: Client) -> None:
    _, _, link, _, _run = one_of_each()
    forged = {
        "history-TOTAL_FORMS": "1", "history-INITIAL_FORMS": "0", "history-0-link": str(link.pk),
        "history-0-operation": "create", "history-0-outcome": "ok",
    }  # fmt: skip

    assert staff.post(page_of(CustomerLink, "change", link.pk), forged).status_code == 403
    assert SyncAttempt.objects.count() == 1


@pytest.mark.security(19)
def test_a_member_of_the_staff_without_permissions_sees_nothing(client: Client) -> None:
    rows = one_of_each()
    colleague(client)

    for row in rows:
        assert client.get(page_of(type(row), "changelist")).status_code == 403
        assert client.get(page_of(type(row), "change", row.pk)).status_code == 403


# The button


@pytest.mark.failure(75)
@pytest.mark.security(22)
def test_a_resync_marks_the_link_and_is_noted_with_its_actor(client: Client, service: Service) -> None:
    _, _, link, _, _run = one_of_each()
    actor = colleague(client, "view_customerlink", "resync_customerlink")

    answer = resync(client, link)

    assertContains(answer, "1 user is being compared with KohortPay.")
    link.refresh_from_db()
    assert (link.verify, link.is_dirty, link.next_attempt_at is not None) == (True, True, True)
    asked = SyncAttempt.objects.get(operation="resync")
    assert (asked.link, asked.outcome, asked.trigger, asked.actor) == (link, "asked", "person", str(actor.pk))
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.get_change_message()) == (
        actor,
        str(link.pk),
        "Asked for a resync.",
    )
    assert len(service.log) == 0


@pytest.mark.failure(75)
@pytest.mark.security(19)
def test_a_viewer_neither_sees_the_button_nor_can_press_it(client: Client) -> None:
    _, _, link, _, _run = one_of_each()
    colleague(client, "view_customerlink")

    shown = client.get(page_of(CustomerLink, "changelist"))
    resync(client, link)

    assertNotContains(shown, "Resync selected users")
    link.refresh_from_db()
    assert not link.is_dirty
    assert not LogEntry.objects.exists()
    assert not SyncAttempt.objects.filter(operation="resync").exists()


@pytest.mark.security(19)
def test_the_permission_to_resync_alone_does_not_open_the_list(client: Client) -> None:
    _, _, link, _, _run = one_of_each()
    colleague(client, "resync_customerlink")

    assert resync(client, link).status_code == 403


@pytest.mark.failure(75)
@pytest.mark.security(20)
def test_a_get_presses_no_button(staff: Client) -> None:
    _, _, link, _, _run = one_of_each()

    staff.get(page_of(CustomerLink, "changelist"), {"action": "resync", "_selected_action": link.pk})

    link.refresh_from_db()
    assert not link.is_dirty


@pytest.mark.failure(75)
@pytest.mark.security(20)
def test_a_post_from_elsewhere_presses_no_button() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("boss", "boss@example.org"))
    _, _, link, _, _run = one_of_each()

    assert resync(strict, link).status_code == 403
    link.refresh_from_db()
    assert not link.is_dirty


def test_a_resync_says_whom_it_leaves_as_they_are(staff: Client) -> None:
    erased = people.place(User.objects.create_user("ada"), State.ERASED)
    skipped = people.place(User.objects.create_user("bea"), State.SKIPPED)

    answer = resync(staff, erased, skipped)

    assertContains(answer, "1 user is being compared with KohortPay.")
    assertContains(answer, "1 user stays as is")
    erased.refresh_from_db()
    assert erased.desired_version == 1


def test_all_links_of_a_filter_can_be_resynced_at_once(staff: Client) -> None:
    links = [people.place(User.objects.create_user(f"user{n}"), State.SKIPPED) for n in range(3)]

    resync(staff, links[0], select_across="1")

    assert all(link.is_dirty for link in CustomerLink.objects.filter(state=State.SKIPPED))


@pytest.mark.security(22)
def test_a_retry_takes_up_what_was_given_up_and_is_noted_with_its_actor(
    client: Client, service: Service
) -> None:
    link = people.place(
        User.objects.create_user("ada", "ada@example.org"),
        State.PARKED, last_error_code="server_error", attempts=12, parkings=15,
    )  # fmt: skip
    actor = colleague(client, "view_customerlink", "resync_customerlink")

    answer = press("retry", client, link)

    assertContains(answer, "1 user is being tried again.")
    link.refresh_from_db()
    assert (link.state, link.attempts, link.parkings, link.last_error_code) == (State.PENDING, 0, 0, "")
    assert link.next_attempt_at is not None
    asked = SyncAttempt.objects.get(operation="retry")
    assert (asked.link, asked.outcome, asked.trigger, asked.actor) == (link, "asked", "person", str(actor.pk))
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.get_change_message()) == (
        actor,
        str(link.pk),
        "Asked to try again.",
    )
    assert len(service.log) == 0


def test_a_retry_says_whom_it_leaves_as_they_are(staff: Client) -> None:
    erased = people.place(User.objects.create_user("ada"), State.ERASED)
    refused = people.place(User.objects.create_user("bea"), State.REJECTED, refused="something")

    answer = press("retry", staff, erased, refused)

    assertContains(answer, "1 user is being tried again.")
    assertContains(answer, "1 user stays as is")
    refused.refresh_from_db()
    assert (refused.state, refused.refused) == (State.PENDING, "")
    erased.refresh_from_db()
    assert erased.desired_version == 1


def test_a_viewer_can_press_no_button_to_try_again(client: Client) -> None:
    link = people.place(User.objects.create_user("ada"), State.REJECTED)
    colleague(client, "view_customerlink")

    shown = client.get(page_of(CustomerLink, "changelist"))
    press("retry", client, link)

    assertNotContains(shown, "Try selected users again")
    link.refresh_from_db()
    assert link.state == State.REJECTED
    assert not LogEntry.objects.exists()


# What comes from outside


@pytest.mark.security(23)
def test_strings_from_outside_are_escaped(staff: Client) -> None:
    user = User.objects.create_user(SCRIPT, "ada@example.org", first_name=SCRIPT)
    link = people.place(
        user,
        State.CONFLICT,
        conflict_kind="email_in_use",
        conflict_ids=[SCRIPT],
        last_error=SCRIPT,
        last_error_code=SCRIPT,
        client_reference_id=SCRIPT,
        customer=Customer.objects.create(
            account="default/test", kohort_id=SCRIPT, email_address=SCRIPT, first_name=SCRIPT,
            last_name=SCRIPT, phone_number=SCRIPT, metadata={SCRIPT: SCRIPT}, livemode=False,
            mirrored_at=people.LINKED_AT,
        ),
    )  # fmt: skip
    attempt = SyncAttempt.objects.create(
        link=link, operation=SCRIPT[:16], outcome=SCRIPT[:16], error_code=SCRIPT, actor=SCRIPT, reason=SCRIPT
    )
    account = Account.objects.create(key=SCRIPT, organization_id=SCRIPT, gate_reason=SCRIPT)

    rows: list[Any] = [link, link.customer, attempt, account]
    for row in rows:
        for page in (
            page_of(type(row), "changelist"),
            page_of(type(row), "change", quote(row.pk)),
        ):
            assertNotContains(staff.get(page), "<script>alert")


def cost_of(client: Client, page: str) -> int:
    client.get(page)  # the first look fills caches of Django's
    with CaptureQueriesContext(connection) as queries:
        client.get(page)
    return len(queries)


def test_the_list_costs_the_same_whatever_its_length(staff: Client) -> None:
    people.place(User.objects.create_user("first", "first@example.org"), State.LINKED)
    few = cost_of(staff, page_of(CustomerLink, "changelist"))
    for number in range(10):
        people.place(User.objects.create_user(f"u{number}", f"u{number}@example.org"), State.LINKED)

    assert cost_of(staff, page_of(CustomerLink, "changelist")) == few


def test_the_page_of_a_link_costs_the_same_whatever_its_history(staff: Client) -> None:
    _, _, link, _, _run = one_of_each()
    few = cost_of(staff, page_of(CustomerLink, "change", link.pk))
    SyncAttempt.objects.bulk_create(SyncAttempt(link=link, operation="get", outcome="ok") for _ in range(10))

    assert cost_of(staff, page_of(CustomerLink, "change", link.pk)) == few


def test_staff_can_read_it_in_french(staff: Client) -> None:
    people.place(User.objects.create_user("bea"), State.SKIPPED, last_error_code="no_email")

    shown = staff.get(page_of(CustomerLink, "changelist"), headers={"accept-language": "fr"})

    assertContains(shown, "pas d’adresse e-mail. Ajoutez-en une")  # noqa: RUF001
    assertContains(shown, "Resynchroniser les utilisateurs sélectionnés avec KohortPay")


# Registering


def test_the_pages_can_be_shown_on_a_site_of_the_hosts_own() -> None:
    own = admin.AdminSite(name="own")

    for name in kohort_admin.__all__:
        model = next(model for model in MODELS if name == f"{model.__name__}Admin")
        own.register(model, getattr(pages, name))

    assert set(own._registry) == set(MODELS)


def test_nothing_is_registered_where_the_host_says_so() -> None:
    program = (
        "import django\n"
        "from django.conf import settings\n"
        "settings.KOHORT_SYNC['REGISTER_ADMIN'] = False\n"
        "django.setup()\n"
        "from django.contrib import admin\n"
        "from kohort_sync.admin import pages\n"
        "print(sorted(model._meta.label for model in admin.site._registry))\n"
        "admin.AdminSite('own').register(pages.CustomerLink, pages.CustomerLinkAdmin)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )

    assert "accounts.User" in done.stdout
    assert "kohort_sync" not in done.stdout
