"""What the tests of the engine do again and again."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import F, Model

from kohort_sync import drainer
from kohort_sync.models import Account, Customer, CustomerLink, SyncAttempt

User = get_user_model()


def sign_up(name: str = "ada", **fields: Any) -> Any:
    """Save a new user with an e-mail address."""
    return User.objects.create_user(
        username=name, **({"email": f"{name}@example.com", "first_name": "Ada"} | fields)
    )


def drain() -> drainer.Report:
    """Send what is due, without waiting for more."""
    return drainer.drain("default", linger=0)


def link_of(user: Any) -> CustomerLink:
    """Return the user's link as the database has it."""
    return CustomerLink.objects.select_related("customer").get(user=user)


def let_time_pass(seconds: float) -> None:
    """Move every moment in the rows into the past, as if so many seconds had gone by."""
    ago = timedelta(seconds=seconds)
    _move(CustomerLink, _MOMENTS_OF_A_LINK, ago)
    _move(Account, _MOMENTS_OF_AN_ACCOUNT, ago)
    _move(Customer, ("mirrored_at",), ago)
    _move(SyncAttempt, ("created_at",), ago)


_MOMENTS_OF_A_LINK = (
    "created_at",
    "next_attempt_at",
    "settle_until",
    "look_again_at",
    "lease_until",
    "failing_since",
    "user_gone_at",
)
_MOMENTS_OF_AN_ACCOUNT = ("gate_until", "drainer_until", "last_sweep_at", "last_success_at")


def _move(model: type[Model], moments: Iterable[str], ago: timedelta) -> None:
    model._base_manager.update(**{name: F(name) - ago for name in moments})
