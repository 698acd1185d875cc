"""What the tests of a reconciliation share."""

from typing import Any

from kohort_sync import services
from kohort_sync.models import CustomerLink, State, SyncRun
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain


def reconciled(**how: Any) -> SyncRun:
    """Reconcile, and return the run when it has ended."""
    run = services.reconcile("default", **how)
    for _ in range(5):
        drain()
        run.refresh_from_db()
        if run.finished_at is not None:
            return run
    raise AssertionError(run.progress)


def told(run: SyncRun) -> dict[str, list[str]]:
    """Return the customers that a run tells of, by kind."""
    found: dict[str, list[str]] = {}
    for finding in run.report["findings"]:
        found.setdefault(finding["kind"], []).append(finding["kohort_id"])
    return {kind: sorted(ids) for kind, ids in found.items()}


def linked_users(number: int) -> list[CustomerLink]:
    """Sign people up at once and link them; return their links."""
    users = User.objects.bulk_create(
        [
            User(username=f"user{n}", email=f"user{n}@example.com", first_name="Ada", last_name="Lovelace")
            for n in range(number)
        ]
    )
    services.request_sync(users)
    while CustomerLink.objects.exclude(state=State.LINKED).exists():
        drain()
    return list(CustomerLink.objects.select_related("customer", "user").order_by("pk"))


def id_of(link: CustomerLink) -> str:
    assert link.customer is not None
    return link.customer.kohort_id


def pages_asked_of(service: Service, *, since: int = 0) -> int:
    """Count the requests for a list, after so many exchanges."""
    return sum(one.method == "GET" and one.path == "/customers" for one in list(service.log)[since:])
