"""Push one user in one task, as a site does that has no time for more."""

import os
import time
from typing import Any

import requests
from celery import shared_task
from django.contrib.auth import get_user_model
from django.utils import timezone

from kohort_sync import conf, mapping
from kohort_sync.models import Customer, CustomerLink, State, SyncAttempt

IS_TUNED = "BENCH_TUNED" in os.environ
"""Whether the connections to KohortPay and to the database are kept from one task to the next."""

_session = requests.Session()
_MIRRORED = (
    "client_reference_id",
    "created_at",
    "email_address",
    "first_name",
    "is_blocked",
    "last_name",
    "livemode",
    "locale",
    "metadata",
    "organization_id",
    "phone_number",
    "updated_at",
)


@shared_task(acks_late=True)
def push_user(pk: Any) -> None:
    """Create the customer of one user, and write down what came of it."""
    account = conf.accounts()["default"]
    user = get_user_model().objects.get(pk=pk)
    link = CustomerLink.objects.get(account=account.key, user_pk=str(pk))
    data = mapping.customer_data(user)
    began = time.monotonic()
    response = (_session if IS_TUNED else requests).post(
        f"{account.base_url}/customers",
        json=data.payload() | {"clientReferenceId": link.client_reference_id},
        headers={"Authorization": f"Bearer {account.api_key.reveal()}"},
        timeout=35,
    )
    response.raise_for_status()
    told = response.json()
    customer, _ = Customer.objects.update_or_create(
        account=account.key,
        kohort_id=told["id"],
        defaults={name: told[name] for name in _MIRRORED} | {"mirrored_at": timezone.now()},
    )
    SyncAttempt.objects.create(
        link=link,
        operation="create",
        outcome="ok",
        status=response.status_code,
        milliseconds=int((time.monotonic() - began) * 1000),
    )
    link.customer, link.state, link.next_attempt_at = customer, State.LINKED, None
    link.synced_version, link.linked_at, link.synced_at = 1, timezone.now(), timezone.now()
    link.save()
