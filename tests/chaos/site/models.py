"""History: what the site itself committed, written in the same transaction as the change."""

from typing import ClassVar

from django.db import models


class History(models.Model):
    """Be one committed change of one user."""

    op = models.CharField(max_length=8)
    user = models.CharField(max_length=40)
    email = models.CharField(max_length=254)
    first_name = models.CharField(max_length=150)
    last_name = models.CharField(max_length=150)
    active = models.BooleanField()
    at = models.FloatField()
    objects: ClassVar["models.Manager[History]"] = models.Manager()

    class Meta:
        app_label = "site"

    def __str__(self) -> str:
        return f"{self.op} {self.user}"
