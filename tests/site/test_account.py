"""Log-in, log-out and the profile."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertContains, assertRedirects

from project.accounts.customers import customer_data
from project.accounts.models import User
from tests.site.people import PASSWORD, neighbour

pytestmark = pytest.mark.django_db


def test_logging_in_leads_to_the_status_page(client: Client) -> None:
    neighbour(client)
    client.logout()

    page = client.post(reverse("log-in"), {"username": "ada", "password": PASSWORD})

    assertRedirects(page, reverse("status"))


def test_logging_in_leads_back_to_the_page_that_was_asked_for(client: Client) -> None:
    neighbour(client)
    client.logout()

    page = client.post(
        reverse("log-in"), {"username": "ada", "password": PASSWORD, "next": reverse("profile")}
    )

    assertRedirects(page, reverse("profile"))


def test_a_wrong_password_is_refused_in_the_summary(client: Client) -> None:
    neighbour(client)
    client.logout()

    page = client.post(reverse("log-in"), {"username": "ada", "password": "wrong"})

    assertContains(page, 'id="error-summary"')
    assertContains(page, "correct username and password")


def test_logging_out_ends_the_session_and_leads_home(client: Client) -> None:
    neighbour(client)

    page = client.post(reverse("log-out"))

    assertRedirects(page, reverse("home"))
    assert "_auth_user_id" not in client.session


def test_a_link_elsewhere_cannot_log_a_neighbour_out(client: Client) -> None:
    neighbour(client)

    page = client.get(reverse("log-out"))

    assert page.status_code == 405
    assert "_auth_user_id" in client.session


def test_the_profile_is_saved(client: Client) -> None:
    user = neighbour(client)

    page = client.post(
        reverse("profile"),
        {
            "first_name": "Adaeze",
            "last_name": "Okafor",
            "email": "new@example.org",
            "phone_number": "+33711111111",
        },
        follow=True,
    )

    assertRedirects(page, reverse("status"))
    assertContains(page, "Your details are saved.")
    user.refresh_from_db()
    assert (user.first_name, user.email, user.phone_number) == ("Adaeze", "new@example.org", "+33711111111")


def test_the_profile_may_lose_its_email_address(client: Client) -> None:
    user = neighbour(client)

    client.post(reverse("profile"), {"first_name": "Ada", "last_name": "Okafor", "email": ""})

    user.refresh_from_db()
    assert user.email == ""


def test_a_refused_profile_changes_nothing(client: Client) -> None:
    user = neighbour(client)

    page = client.post(reverse("profile"), {"first_name": "", "last_name": "Okafor", "email": "nobody"})

    assertContains(page, "Please check 2 things")
    user.refresh_from_db()
    assert (user.first_name, user.email) == ("Ada", "ada@example.org")


def test_the_profile_does_not_rename_the_login(client: Client) -> None:
    user = neighbour(client)

    client.post(
        reverse("profile"), {"first_name": "Ada", "last_name": "Okafor", "username": "root", "is_staff": "on"}
    )

    user.refresh_from_db()
    assert (user.username, user.is_staff) == ("ada", False)


def test_kohortpay_is_told_the_phone_number_and_the_day_of_the_sign_up(client: Client) -> None:
    user = neighbour(client)
    user.phone_number = "+33612345678"

    data = customer_data(user)

    assert data == {
        "phone_number": "+33612345678",
        "locale": "en_US",
        "metadata": {"signed_up_on": user.date_joined.date().isoformat()},
    }


def test_an_empty_phone_number_is_told_as_none() -> None:
    assert customer_data(User(username="ada"))["phone_number"] is None
