"""What the admin lets nobody do, and nobody read over a shoulder: scope, permissions, addresses, links."""

import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core import serializers
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import include, path, reverse

from kohort_sync.admin import CustomerLinkAdmin
from kohort_sync.models import Account, Customer, CustomerLink, State, SyncAttempt
from kohort_sync.testing.service import Service
from project.accounts.models import User
from tests.edges.test_admin import colleague, one_of_each, page_of
from tests.security import canaries
from tests.site import people

pytestmark = pytest.mark.django_db

MODELS = (Account, Customer, CustomerLink, SyncAttempt)


@pytest.fixture
def staff(client: Client) -> Client:
    """Sign a superuser in."""
    client.force_login(User.objects.create_superuser("boss"))
    return client


def linked(name: str) -> CustomerLink:
    return people.place(User.objects.create_user(name, **canaries.person(name)), State.LINKED)


# Searching


@pytest.mark.security(26)
@pytest.mark.parametrize("model", [Customer, CustomerLink])
def test_what_is_searched_for_gets_into_no_address(staff: Client, model: Any) -> None:
    wanted, _ = linked("ada"), linked("bea")

    found = staff.post(page_of(model, "changelist"), {"q": f" {canaries.email('ada')} "})
    shown = staff.get(found.headers["Location"])

    assert canaries.seen_in(found.headers["Location"]) == []
    expected = wanted if model is CustomerLink else wanted.customer
    assert list(shown.context["cl"].queryset) == [expected]
    assert found.status_code == 302


@pytest.mark.security(26)
def test_the_form_for_searching_posts(staff: Client) -> None:
    linked("ada")

    shown = staff.get(page_of(CustomerLink, "changelist")).content.decode()

    form = re.search(r"<form[^>]*>(?:(?!</form>).)*?name=\"q\"", shown, re.DOTALL)
    assert form is not None
    assert 'method="post"' in form.group().partition(">")[0]
    assert "csrfmiddlewaretoken" in form.group()


@pytest.mark.security(20)
def test_a_search_from_elsewhere_is_refused() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("boss"))

    assert strict.post(page_of(CustomerLink, "changelist"), {"q": "ada"}).status_code == 403


@pytest.mark.security(19)
def test_whoever_may_not_see_the_list_cannot_search_it(client: Client) -> None:
    colleague(client, "resync_customerlink")

    assert client.post(page_of(CustomerLink, "changelist"), {"q": "ada"}).status_code == 403


def test_a_search_keeps_the_filters_of_the_list_and_forgets_the_search_before(staff: Client) -> None:
    link = linked("ada")
    page = page_of(CustomerLink, "changelist")

    found = staff.post(f"{page}?state__exact=linked&q=cus_1&p=2&pk__in=9", {"q": "ada"})

    assert found.headers["Location"] == f"{page}?state__exact=linked&pk__in={link.pk}"


def test_a_search_for_nothing_shows_all_and_one_for_nobody_none(staff: Client) -> None:
    linked("ada")
    page = page_of(CustomerLink, "changelist")

    all_of_them = staff.post(page, {"q": " "}, follow=True)
    none = staff.post(page, {"q": "nobody"}, follow=True)

    assert all_of_them.context["cl"].queryset.count() == CustomerLink.objects.count()
    assert none.context["cl"].queryset.count() == 0


# Whose rows, and who may


class OwnRowsAdmin(CustomerLinkAdmin):
    """Show one row alone, as a host with several teams may."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[CustomerLink]:
        return super().get_queryset(request).filter(user__username="ada")


teams = admin.AdminSite("teams")
teams.register(CustomerLink, OwnRowsAdmin)
urlpatterns = [path("teams/", teams.urls), path("", include("project.urls"))]


@pytest.mark.security(21)
@pytest.mark.urls(__name__)
@pytest.mark.parametrize("action", ["resync", "retry"])
@pytest.mark.parametrize("across", ["0", "1"])
def test_an_action_and_a_search_reach_only_the_rows_that_the_page_shows(
    staff: Client, service: Service, action: str, across: str
) -> None:
    own, other = (
        people.place(
            User.objects.create_user(name, f"{name}@example.org"), State.PARKED, last_error_code="invalid"
        )
        for name in ("ada", "bea")
    )
    page = reverse("teams:kohort_sync_customerlink_changelist")
    selected = [str(own.pk), str(other.pk)]

    staff.post(page, {"action": action, "_selected_action": selected, "select_across": across})
    found = staff.post(page, {"q": "bea@example.org"})

    assert [attempt.link for attempt in SyncAttempt.objects.filter(operation=action)] == [own]
    assert [entry.object_id for entry in LogEntry.objects.all()] == [str(own.pk)]
    assert found.headers["Location"].endswith("pk__in=0")
    other.refresh_from_db()
    assert (other.state, other.verify, other.next_attempt_at) == (State.PARKED, False, None)


@pytest.mark.security(19, 39)
def test_every_action_of_every_page_demands_a_permission_of_its_own() -> None:
    declared = {permission for model in MODELS for permission, _ in model._meta.permissions}

    for model in MODELS:
        page = admin.site._registry[model]
        for name in page.actions or ():
            allowed = getattr(getattr(page, str(name)), "allowed_permissions", ())
            assert allowed, f"{name} declares no permissions"
            assert {f"{each}_{model._meta.model_name}" for each in allowed} <= declared, name


@pytest.mark.security(19, 39)
def test_no_permission_of_ours_stands_for_another(client: Client) -> None:
    others = ["view_customerlink", "resolve_customerlink", "block_customerlink", "erase_customerlink"]
    request = RequestFactory().get("/")

    request.user = colleague(client, *others)

    assert request.user.has_perms([f"kohort_sync.{each}" for each in others])
    assert not {"resync", "retry"} & {*admin.site._registry[CustomerLink].get_actions(request)}


# What only looks


@pytest.mark.security(20)
def test_looking_at_pages_changes_nothing_and_asks_kohortpay_nothing(staff: Client, service: Service) -> None:
    rows = one_of_each()
    before = everything()

    for row in rows:
        for what in ("change", "history", "delete"):
            staff.get(page_of(type(row), what, row.pk))
        for query in ("", "?q=ada", "?action=resync&_selected_action=1", "?action=retry&_selected_action=1"):
            staff.get(page_of(type(row), "changelist") + query)
    for name in ("home", "status", "profile", "sign-up", "log-out"):
        staff.get(reverse(name))

    assert everything() == before
    assert len(service.log) == 0


def everything() -> str:
    """Dump every row of ours."""
    models = apps.get_app_config("kohort_sync").get_models()
    return "".join(serializers.serialize("json", model._base_manager.order_by("pk")) for model in models)


@pytest.mark.security(23)
def test_no_page_leads_away_from_the_site(staff: Client) -> None:
    for row in one_of_each():
        for address in (page_of(type(row), "changelist"), page_of(type(row), "change", row.pk)):
            shown = staff.get(address).content.decode()

            assert re.findall(r"(?:href|src|action)=\"(?:https?:)?//[^\"]*", shown) == []
