"""The site as a visitor meets it: which pages are open, and what every page brings."""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertContains, assertRedirects

from project.baskets import THIS_WEEK
from tests.site.people import neighbour

pytestmark = pytest.mark.django_db


def test_the_front_page_shows_this_weeks_baskets_and_invites_a_visitor(client: Client) -> None:
    page = client.get("/")

    for basket in THIS_WEEK:
        assertContains(page, basket.title)
    assertContains(page, f'href="{reverse("sign-up")}"')


def test_the_front_page_leads_a_neighbour_to_their_status(client: Client) -> None:
    neighbour(client)

    page = client.get("/")

    assertContains(page, f'href="{reverse("status")}"')


@pytest.mark.parametrize("name", ["profile", "status"])
def test_a_personal_page_asks_a_visitor_to_log_in_first(client: Client, name: str) -> None:
    page = client.get(reverse(name))

    assertRedirects(page, f"{reverse('log-in')}?next={reverse(name)}")


@pytest.mark.parametrize("name", ["home", "sign-up", "log-in", "profile", "status"])
def test_every_page_forbids_what_is_not_the_sites_own(client: Client, name: str) -> None:
    if name in {"profile", "status"}:
        neighbour(client)

    page = client.get(reverse(name))

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "template",
    sorted((settings.BASE_DIR / "project" / "templates").rglob("*.html")),
    ids=lambda path: path.name,
)
def test_no_template_has_a_style_or_a_script_that_the_policy_would_refuse(template: Path) -> None:
    text = template.read_text(encoding="utf-8")

    assert " style=" not in text
    assert "<style" not in text
    assert "<script>" not in text
    assert " onclick=" not in text


def test_a_page_offers_to_skip_to_its_content(client: Client) -> None:
    page = client.get("/")

    assertContains(page, 'href="#content"')
    assertContains(page, '<main id="content"')


def test_the_admin_is_mounted_for_the_staff_alone(client: Client) -> None:
    neighbour(client)

    page = client.get("/admin/")

    assertRedirects(page, "/admin/login/?next=/admin/", fetch_redirect_response=False)


def test_a_page_without_a_head_of_ours_finds_its_icon(client: Client) -> None:
    page = client.get("/favicon.ico")

    assertRedirects(page, "/static/logo.svg", fetch_redirect_response=False)
