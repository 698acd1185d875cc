"""What the tests of the site share: a complete sign-up form, a neighbour, and where the neighbour stands."""

from datetime import UTC, datetime
from typing import Any

from django.test import Client

from kohort_sync.models import Customer, CustomerLink, State
from project.accounts.models import User

PASSWORD = "plum-crumble-42"
LINKED_AT = datetime(2031, 5, 4, 9, 30, tzinfo=UTC)

# What the constraints of the table ask of a row in these states.
DETAILS: dict[State, dict[str, Any]] = {
    State.UNCERTAIN: {"intent_email": "ada@example.org", "posts": 1, "settle_until": LINKED_AT},
    State.CONFLICT: {"conflict_kind": "email_in_use"},
    State.ERASING: {"erase_asked_at": LINKED_AT},
    State.ERASED: {"erase_asked_at": LINKED_AT, "erased_at": LINKED_AT},
}


def sign_up_form(**changes: str) -> dict[str, str]:
    """Return a form that the site accepts, with some fields changed."""
    form = {
        "first_name": "Ada",
        "last_name": "Okafor",
        "username": "ada",
        "email": "ada@example.org",
        "phone_number": "+33612345678",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    return form | changes


def neighbour(client: Client, *, username: str = "ada", email: str = "ada@example.org") -> User:
    """Make a user and sign them in."""
    user = User.objects.create_user(
        username, email=email, password=PASSWORD, first_name="Ada", last_name="Okafor"
    )
    client.force_login(user)
    return user


def place(user: User, state: State, **fields: Any) -> CustomerLink:
    """Put the user's link into a state, whether or not the sign-up made one."""
    if state is State.LINKED:
        fields = {"linked_at": LINKED_AT, "desired_version": 1, "synced_version": 1} | fields
        fields["customer"] = fields.get("customer") or customer_of(user)
    link = CustomerLink.objects.filter(user=user).first() or CustomerLink(
        account="default/test", user=user, user_pk=str(user.pk), client_reference_id=f"site-{user.pk}"
    )
    for name, value in ({"next_attempt_at": None} | DETAILS.get(state, {}) | fields).items():
        setattr(link, name, value)
    link.state = state
    link.save()
    return link


def customer_of(user: User, *, livemode: bool = False, is_blocked: bool = False) -> Customer:
    """Make the mirror row of the user's customer at KohortPay."""
    return Customer.objects.create(
        account="default/test",
        kohort_id=f"cus_{user.pk:08d}",
        email_address=user.email,
        livemode=livemode,
        is_blocked=is_blocked,
        mirrored_at=LINKED_AT,
    )
