"""Tell KohortPay about a user: one task for each user who was saved."""

import logging
from functools import cache
from typing import Any

import requests
from celery import Task, shared_task
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import OperationalError
from requests.adapters import HTTPAdapter

from tests.chaos.usual.models import RemoteCustomer

logger = logging.getLogger(__name__)
# API_KEY, BASE_URL, TIMEOUT (seconds), RETRY_BACKOFF_MAX (seconds).
USUAL: dict[str, Any] = settings.USUAL  # type: ignore[misc]  # mypy knows the demo site's settings alone

# No later try changes these: the data is not valid, or the reference or the e-mail address is taken.
REFUSALS = frozenset({400, 409})


@shared_task(
    bind=True,
    # The broker keeps the message until the task has ended, so that a worker may be killed on the way,
    acks_late=True,
    # and so may one process of its pool, which Celery would otherwise take for a task that has failed.
    reject_on_worker_lost=True,
    # What passes by itself: no answer, half an answer, 429, 5xx, a database that is being restarted.
    autoretry_for=(requests.RequestException, OperationalError),
    # After 1, 2, 4 ... seconds, at most a minute: for three minutes at the longest.
    retry_backoff=True,
    retry_backoff_max=USUAL.get("RETRY_BACKOFF_MAX", 60),
    max_retries=8,
    # Each time for a random part of it, so that what failed together does not come back together.
    retry_jitter=True,
)
def sync_user(self: "Task[Any, Any]", pk: Any) -> None:
    """Create or change the customer of one user, as the user is now."""
    user = get_user_model().objects.filter(pk=pk).first()
    if user is None or not user.email:
        return  # deleted since, or nobody whom KohortPay could know
    remote, _ = RemoteCustomer.objects.get_or_create(
        user=user, defaults={"client_reference_id": f"user-{pk}"}
    )
    response = _send(user, remote)
    remote.attempts = self.request.retries + 1
    if response.status_code in REFUSALS:
        logger.error("KohortPay refused user %s with status %s.", pk, response.status_code)
        remote.refused_with = response.status_code
        remote.save(update_fields=["attempts", "refused_with", "updated_at"])
        return
    response.raise_for_status()
    remote.data, remote.refused_with = response.json(), None
    remote.kohort_id = remote.data["id"]
    remote.save(update_fields=["attempts", "data", "kohort_id", "refused_with", "updated_at"])


def _send(user: Any, remote: RemoteCustomer) -> requests.Response:
    values = {"emailAddress": user.email, "firstName": user.first_name, "lastName": user.last_name}
    url = f"{USUAL['BASE_URL']}/customers"
    if remote.kohort_id is None:
        # The reference is unique at KohortPay, so a message that comes twice makes no second customer.
        values |= {"clientReferenceId": remote.client_reference_id}
        return _session().post(url, json=values, timeout=USUAL["TIMEOUT"])
    return _session().patch(f"{url}/{remote.kohort_id}", json=values, timeout=USUAL["TIMEOUT"])


@cache
def _session() -> requests.Session:
    """Return the session of this process, which keeps its connections open from one task to the next.

    Made by the first task and not on import: a pool's processes must not inherit one connection.
    """
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {USUAL['API_KEY']}"
    # Tries again nothing by itself: Celery does, and lets the process do other work meanwhile.
    adapter = HTTPAdapter(pool_maxsize=10, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
