"""The status page: one thing to say for every place where a link can stand."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from pytest_django import Settings
from pytest_django.asserts import assertContains, assertNotContains

from kohort_sync.models import CustomerLink, State
from project.accounts import standing
from tests.site.people import customer_of, neighbour, place

pytestmark = pytest.mark.django_db


def test_every_state_has_words_of_its_own() -> None:
    assert set(standing.BY_STATE) == set(State)


@pytest.mark.parametrize("state", State)
def test_the_page_says_where_the_neighbour_stands(client: Client, state: State) -> None:
    place(neighbour(client), state)

    page = client.get(reverse("status"))

    assertContains(page, f'data-state="{state.value}"')
    assertContains(page, standing.BY_STATE[state].title)
    assertContains(page, standing.BY_STATE[state].text)


@pytest.mark.parametrize("state", State)
def test_the_page_follows_along_only_while_something_moves(client: Client, state: State) -> None:
    place(neighbour(client), state)

    page = client.get(reverse("status"))

    moving = {State.PENDING, State.UNCERTAIN, State.ERASING}
    assert (b"data-refreshes" in page.content) is (state in moving)


def test_a_request_under_way_is_not_called_lost(client: Client) -> None:
    link = place(neighbour(client), State.UNCERTAIN)
    link.lease_token, link.lease_until = "a" * 32, timezone.now() + timedelta(minutes=1)
    link.save()

    page = client.get(reverse("status"))

    assertContains(page, standing.BY_STATE[State.PENDING].title)
    assertNotContains(page, standing.BY_STATE[State.UNCERTAIN].text)


def test_a_linked_neighbour_sees_the_customer_id_and_the_day(client: Client) -> None:
    link = place(neighbour(client), State.LINKED)
    assert link.customer

    page = client.get(reverse("status"))

    assertContains(page, f'<code id="kohort-id">{link.customer.kohort_id}</code>', html=True)
    assertContains(page, "4 May 2031, 09:30 UTC")
    assertContains(page, "Test mode")


def test_a_customer_of_the_live_mode_is_not_called_a_test(client: Client) -> None:
    user = neighbour(client)
    place(user, State.LINKED, customer=customer_of(user, livemode=True))

    page = client.get(reverse("status"))

    assertNotContains(page, "Test mode")


def test_a_blocked_neighbour_is_not_called_ready(client: Client) -> None:
    user = neighbour(client)
    place(user, State.LINKED, customer=customer_of(user, is_blocked=True))

    page = client.get(reverse("status"))

    assertContains(page, standing.BLOCKED.title)


def test_a_change_on_its_way_is_announced(client: Client) -> None:
    place(neighbour(client), State.LINKED, desired_version=2, next_attempt_at=timezone.now())

    page = client.get(reverse("status"))

    assertContains(page, standing.CHANGED.text)
    assertContains(page, "data-refreshes")


@pytest.mark.parametrize(
    "fields",
    [
        {"desired_version": 1, "next_attempt_at": timezone.now()},
        {"desired_version": 2, "next_attempt_at": None},
    ],
    ids=["a check-up", "a change that is not wanted"],
)
def test_what_changes_nothing_for_the_neighbour_is_not_announced(
    client: Client, fields: dict[str, Any]
) -> None:
    place(neighbour(client), State.LINKED, **fields)

    page = client.get(reverse("status"))

    assertNotContains(page, "data-refreshes")


def test_a_neighbour_without_an_email_address_is_asked_to_add_one(client: Client) -> None:
    place(neighbour(client, email=""), State.SKIPPED, last_error_code="no_email")

    page = client.get(reverse("status"))

    assertContains(page, standing.NO_EMAIL.title)
    assertContains(page, f'<a class="button" href="{reverse("profile")}">Edit your profile</a>', html=True)


def test_the_exact_reason_is_there_for_who_wants_it(client: Client) -> None:
    link = place(neighbour(client), State.CONFLICT)

    page = client.get(reverse("status"))

    assertContains(page, escape(link.reason))


def test_a_neighbour_without_a_link_is_told_that_nothing_was_sent_yet(client: Client) -> None:
    neighbour(client)
    CustomerLink.objects.all().delete()

    page = client.get(reverse("status"))

    assertContains(page, standing.OLDER.title)


def test_a_site_without_a_key_says_that_it_is_not_connected(client: Client, settings: Settings) -> None:
    settings.KOHORT_SYNC = {"API_KEY": None}
    neighbour(client)
    CustomerLink.objects.all().delete()

    page = client.get(reverse("status"))

    assertContains(page, standing.IDLE.title)


def test_nobody_sees_the_standing_of_somebody_else(client: Client) -> None:
    place(neighbour(client, username="grace", email="grace@example.org"), State.LINKED)
    neighbour(client)
    CustomerLink.objects.filter(user__username="ada").delete()

    page = client.get(reverse("status"))

    assertNotContains(page, "cus_")


def test_the_page_is_never_kept_by_a_cache(client: Client) -> None:
    neighbour(client)

    page = client.get(reverse("status"))

    assert "no-store" in page.headers["Cache-Control"]
