"""What is known here about KohortPay's customers."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class RemoteCustomer(models.Model):
    """Be the KohortPay customer of one user."""

    # One to one: the database lets no user have two, whatever two workers do at once.
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="remote_customer")
    client_reference_id = models.CharField(max_length=50, unique=True)
    # Null until KohortPay has told it.
    kohort_id = models.CharField(max_length=64, unique=True, null=True)
    # The last answer as it came, for whoever looks for a difference.
    data = models.JSONField(default=dict)
    # The status with which KohortPay refused the last request for good, for whoever looks for the reason.
    refused_with = models.PositiveSmallIntegerField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    objects: ClassVar["models.Manager[RemoteCustomer]"] = models.Manager()

    def __str__(self) -> str:
        return self.client_reference_id
