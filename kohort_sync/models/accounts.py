"""Accounts: one KohortPay organization in one mode."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Account(models.Model):
    """Hold what is known about one organization in one mode, for all processes.

    Rows elsewhere carry `key` as a plain column: a foreign key would make InnoDB lock this row under
    every open signup.
    """

    class Gate(models.TextChoices):
        OPEN = "open", _("open")
        CLOSED = "closed", _("closed")

    key = models.CharField(_("account"), max_length=64, primary_key=True, help_text=_("alias/mode"))
    organization_id = models.CharField(_("organization id"), max_length=64, blank=True)
    key_fingerprint = models.CharField(_("key fingerprint"), max_length=8, blank=True)
    database_address = models.CharField(
        _("fingerprint of the database's address"), max_length=16, blank=True, default="", db_default=""
    )
    database_instance = models.CharField(
        _("fingerprint of the database"), max_length=16, blank=True, default="", db_default=""
    )
    covered_at = models.DateTimeField(_("covered since"), null=True, blank=True)
    gate = models.CharField(_("gate"), max_length=8, choices=Gate.choices, default=Gate.OPEN)
    gate_reason = models.CharField(_("gate reason"), max_length=64, blank=True)
    gate_until = models.DateTimeField(_("closed until"), null=True, blank=True)
    gate_closures = models.PositiveIntegerField(_("closed in a row"), default=0)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, db_default=0)
    last_success_at = models.DateTimeField(_("last accepted request"), null=True, blank=True)
    pace = models.JSONField(_("pace"), default=dict, blank=True)
    drainer_token = models.CharField(_("drainer token"), max_length=32, blank=True)
    drainer_until = models.DateTimeField(_("drainer lease until"), null=True, blank=True)
    last_sweep_at = models.DateTimeField(_("last sweep"), null=True, blank=True)
    sweep_position = models.PositiveBigIntegerField(_("links checked up to"), default=0, db_default=0)
    checkpoint = models.JSONField(_("reconcile checkpoint"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("KohortPay account")
        verbose_name_plural = _("KohortPay accounts")

    def __str__(self) -> str:
        return self.key

    @property
    def livemode(self) -> bool:
        """Say whether real customers live here."""
        return self.key.endswith("/live")
