"""What the tests of the engine do again and again."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import F

from kohort_sync import drainer
from kohort_sync.models import Account, CustomerLink

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
    CustomerLink.objects.update(
        next_attempt_at=F("next_attempt_at") - ago,
        settle_until=F("settle_until") - ago,
        lease_until=F("lease_until") - ago,
    )
    Account.objects.update(gate_until=F("gate_until") - ago, drainer_until=F("drainer_until") - ago)
