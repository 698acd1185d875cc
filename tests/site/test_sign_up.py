"""Sign-up: who may become a neighbour, and how the form says no."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertContains, assertRedirects

from kohort_sync.models import CustomerLink
from project.accounts.models import User
from tests.site.people import neighbour, sign_up_form

pytestmark = pytest.mark.django_db


def test_a_complete_form_makes_a_neighbour_and_signs_them_in(client: Client) -> None:
    page = client.post(reverse("sign-up"), sign_up_form(), follow=True)

    assertRedirects(page, reverse("status"))
    assertContains(page, "Welcome to Common Basket, Ada.")
    user = User.objects.get()
    assert (user.first_name, user.last_name, user.email, user.phone_number) == (
        "Ada",
        "Okafor",
        "ada@example.org",
        "+33612345678",
    )
    assert client.session["_auth_user_id"] == str(user.pk)


def test_a_new_neighbour_is_promised_to_kohortpay_at_once(client: Client) -> None:
    client.post(reverse("sign-up"), sign_up_form())

    link = CustomerLink.objects.get()
    assert link.user_pk == str(User.objects.get().pk)
    assert link.state == "pending"


def test_an_email_address_is_not_needed(client: Client) -> None:
    page = client.post(reverse("sign-up"), sign_up_form(email="", phone_number=""))

    assertRedirects(page, reverse("status"))
    assert User.objects.get().email == ""


def test_two_neighbours_may_share_one_email_address(client: Client) -> None:
    client.post(reverse("sign-up"), sign_up_form())
    client.logout()

    page = client.post(reverse("sign-up"), sign_up_form(username="grace", first_name="Grace"))

    assertRedirects(page, reverse("status"))
    assert User.objects.filter(email="ada@example.org").count() == 2


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"first_name": ""}, "first_name", "required"),
        ({"last_name": " "}, "last_name", "required"),
        ({"username": "ada lovelace"}, "username", "valid username"),
        ({"email": "nobody"}, "email", "valid email address"),
        ({"phone_number": "1" * 33}, "phone_number", "at most 32 characters"),
        ({"password1": "short", "password2": "short"}, "password2", "too short"),
        ({"password2": "another-password"}, "password2", "match"),
    ],
)
def test_a_wrong_field_is_named_in_a_summary_and_tied_to_its_message(
    client: Client, changes: dict[str, str], field: str, words: str
) -> None:
    page = client.post(reverse("sign-up"), sign_up_form(**changes))

    text = page.content.decode()
    assert page.status_code == 200
    assert re.search(rf'id="error-summary"[^>]*role="alert".*href="#id_{field}"[^<]*{words}', text, re.DOTALL)
    widget = re.search(rf'<input[^>]*id="id_{field}"[^>]*>', text)
    assert widget
    assert 'aria-invalid="true"' in widget[0]
    assert f"id_{field}_error" in widget[0]
    assert re.search(rf'id="id_{field}_error"[^<]*<li>[^<]*{words}', text)
    assert not User.objects.exists()


def test_a_taken_username_is_refused_whatever_its_case(client: Client) -> None:
    client.post(reverse("sign-up"), sign_up_form())
    client.logout()

    page = client.post(reverse("sign-up"), sign_up_form(username="ADA"))

    assertContains(page, "already exists")
    assert User.objects.count() == 1


def test_what_was_typed_is_kept_except_for_the_passwords(client: Client) -> None:
    page = client.post(reverse("sign-up"), sign_up_form(email="nobody"))

    assertContains(page, 'value="Okafor"')
    assert sign_up_form()["password1"] not in page.content.decode()


def test_every_input_has_a_label(client: Client) -> None:
    text = client.get(reverse("sign-up")).content.decode()

    ids = re.findall(r'<input(?![^>]*type="hidden")[^>]*id="([^"]+)"', text)
    assert len(ids) == 7
    for name in ids:
        assert f'<label for="{name}">' in text


def test_a_form_without_the_csrf_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)

    page = client.post(reverse("sign-up"), sign_up_form())

    assert page.status_code == 403
    assert not User.objects.exists()


def test_a_script_with_the_cookie_and_the_token_may_sign_up() -> None:
    client = Client(enforce_csrf_checks=True)
    text = client.get(reverse("sign-up")).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', text)
    assert token

    page = client.post(reverse("sign-up"), sign_up_form(csrfmiddlewaretoken=token[1]))

    assert page.status_code == 302
    assert User.objects.filter(username="ada").exists()


def test_who_is_signed_in_already_goes_to_the_status_page(client: Client) -> None:
    neighbour(client)

    page = client.get(reverse("sign-up"))

    assertRedirects(page, reverse("status"))
