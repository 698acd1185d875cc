"""Show the tables as those who judge a run read them.

    python -m tests.chaos.usual.dump

prints one JSON object with two lists, `links` and `customers`. Times are unix seconds.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import django


def links() -> Iterator[dict[str, Any]]:
    """Yield what is known about each user. A user about whom nothing was written down has no row."""
    for remote in _rows():
        yield {
            "id": remote.pk,
            "user_pk": str(remote.user_id),
            "user_id": remote.user_id,
            "account": "usual",
            "client_reference_id": remote.client_reference_id,
            "kohort_id": remote.kohort_id,
            "state": "linked" if remote.kohort_id else "pending",
            "work_class": "",
            # What is to be done stands in the broker's messages, and not here.
            "next_attempt_at": None,
            "lease_until": None,
            "attempts": remote.attempts,
            "crashes": 0,
            "last_error_code": f"http_{remote.refused_with}" if remote.refused_with else "",
            "reason": "",
            "conflict_kind": "",
            "created_at": remote.created_at.timestamp(),
        }


def customers() -> Iterator[dict[str, Any]]:
    """Yield what is known about each customer: the last answer."""
    for remote in _rows():
        if remote.kohort_id:
            yield {
                "kohort_id": remote.kohort_id,
                "email_address": remote.data.get("email_address"),
                "first_name": remote.data.get("first_name"),
                "last_name": remote.data.get("last_name"),
                "client_reference_id": remote.client_reference_id,
                "livemode": remote.data.get("livemode"),
                "organization_id": remote.data.get("organization_id"),
                "deleted_at": remote.data.get("deleted_at"),
            }


def _rows() -> Iterator[Any]:
    from tests.chaos.usual.models import RemoteCustomer  # noqa: PLC0415 - models exist only after the setup

    yield from RemoteCustomer.objects.order_by("pk").iterator()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.chaos.usual.settings")
    django.setup()
    sys.stdout.write(json.dumps({"links": list(links()), "customers": list(customers())}))
