"""Subjects: the links that an engineer speaks of, by the user's key or by the reference.

Messages never repeat what was typed: a key may be an e-mail address.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import QuerySet

from kohort_sync import queries, services
from kohort_sync.management.verbs.console import for_a_person
from kohort_sync.models import CustomerLink

WHO_CARRIES_IT_OUT = "A worker does so by itself; 'manage.py kohort_sync drain' does it now."


def add_person(parser: ArgumentParser) -> None:
    """Declare the two ways to name a person."""
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--user", metavar="PK", help="the user, by primary key")
    whom.add_argument("--reference", metavar="REF", help="the link, by its reference, as for a deleted user")


def add_reason(parser: ArgumentParser, *, required: bool = True) -> None:
    """Declare the reason of a decision."""
    parser.add_argument(
        "--reason",
        metavar="TEXT",
        type=_not_blank,
        required=required,
        help="why; it is kept with the decision",
    )


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("say why: the reason is kept with the decision")
    return text


def rows(account: str) -> QuerySet[CustomerLink]:
    """Return the links of an account, as the engine sees them. Raises UnknownAccount."""
    links = CustomerLink.objects.using(router.db_for_write(CustomerLink)).select_related("customer")
    return links.filter(account=services.account_key(account))


def rows_of_user(account: str, key: str) -> QuerySet[CustomerLink]:
    """Return the link of one user, as rows; none where there is no link."""
    user = user_of(key)
    # A link outlives its user for a moment after a raw deletion.
    return rows(account).filter(user_pk=key if user is None else queries.user_key(user))


def link_of(account: str, *, user: str | None, reference: str | None = None) -> CustomerLink:
    """Return the link that is meant. Raises CommandError where there is none."""
    found = (
        rows(account).filter(client_reference_id=reference) if user is None else rows_of_user(account, user)
    )
    link = found.first()
    if link is None and user is None:
        raise for_a_person(
            "No link has this reference in this account. The list of users at KohortPay in the admin shows"
            " all references; another account is named with --account."
        )
    if link is None:
        raise no_link(str(user))
    return link


def no_link(key: str) -> Exception:
    """Make the error that says why a user has no link, and what to do about it."""
    if user_of(key) is None:
        return for_a_person(
            "There is no user with this key, and no link of one. Check the key; a user who was deleted here"
            " is named with --reference, where the verb takes it."
        )
    return for_a_person("This user has no link. 'manage.py kohort_sync backfill' makes the missing ones.")


def user_of(key: str) -> AbstractBaseUser | None:
    """Return a user by primary key, past any manager of the host's that hides some; None where none is."""
    model: Any = get_user_model()
    users = model._base_manager.using(router.db_for_write(CustomerLink))
    try:
        user: AbstractBaseUser | None = users.filter(pk=key).first()
    except (ValueError, ValidationError):  # text that can be no key of this model
        return None
    return user


def name_of(link: CustomerLink) -> str:
    """Name a link in a sentence without personal data."""
    return f"{link.account}, {link.client_reference_id}"


@contextmanager
def deciding(link: CustomerLink) -> Iterator[None]:
    """End the verb with one sentence where a decision is not possible now."""
    try:
        yield
    except services.NotPossible as error:
        step = f"'manage.py kohort_sync resolve --reference {link.client_reference_id}' says how it stands."
        raise for_a_person(f"{error} {step}") from error
    except services.BeingSent as error:
        raise for_a_person(str(error)) from error
