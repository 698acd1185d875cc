"""What KohortPay is told about a neighbour, beyond the name and the e-mail address."""

from typing import Any

from project.accounts.models import User


def customer_data(user: User) -> dict[str, Any]:
    """Return what the site adds to kohort_sync's own view of a user."""
    return {
        "phone_number": user.phone_number or None,
        "locale": "en_US",
        "metadata": {"signed_up_on": user.date_joined.date().isoformat()},
    }
