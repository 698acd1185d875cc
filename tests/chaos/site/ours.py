"""kohort_sync on this site: what is asked of it beyond saving users, and how its tables stand at the end."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kohort_sync import services
from kohort_sync.models import Customer, CustomerLink
from project.accounts.models import User

announce = services.request_sync

_LINK = (
    "id", "user_pk", "user_id", "account", "client_reference_id", "state", "work_class", "next_attempt_at",
    "attempts", "crashes", "last_error_code", "conflict_kind", "created_at",
)  # fmt: skip
_CUSTOMER = (
    "kohort_id", "email_address", "first_name", "last_name", "client_reference_id", "livemode",
    "organization_id", "deleted_at",
)  # fmt: skip


def resync(users: Iterable[User]) -> int:
    """Ask for these users to be compared with KohortPay again."""
    return services.resync(CustomerLink.objects.filter(user__in=users))


def links() -> Iterator[Mapping[str, Any]]:
    """Yield each link as the checker reads it."""
    for link in CustomerLink.objects.select_related("customer").iterator():
        yield {
            **{name: getattr(link, name) for name in _LINK},
            # A lease that was given back has no end any more; an abandoned one still has its token.
            "lease_until": link.lease_until if link.lease_token else None,
            "kohort_id": link.customer.kohort_id if link.customer else None,
            "reason": str(link.reason),
        }


def customers() -> Iterator[Mapping[str, Any]]:
    """Yield each row of the mirror as the checker reads it."""
    yield from Customer.objects.values(*_CUSTOMER).iterator()
