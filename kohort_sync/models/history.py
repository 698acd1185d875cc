"""History: each exchange and each decision, and each bulk operation. No personal data."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from kohort_sync.models.links import CustomerLink


class SyncAttempt(models.Model):
    """Record one exchange with the service, or one decision of a person with its reason."""

    link = models.ForeignKey(
        CustomerLink,
        on_delete=models.CASCADE,
        # InnoDB would lock the link's row under each new line of its history.
        db_constraint=False,
        related_name="history",
        verbose_name=_("link"),
    )
    operation = models.CharField(_("operation"), max_length=16)
    outcome = models.CharField(_("outcome"), max_length=16)
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    milliseconds = models.PositiveIntegerField(_("milliseconds"), null=True, blank=True)
    error_code = models.CharField(_("error"), max_length=64, blank=True)
    trigger = models.CharField(_("trigger"), max_length=32, blank=True)
    actor = models.CharField(_("actor"), max_length=255, blank=True, help_text=_("The key of the person."))
    reason = models.TextField(_("reason"), blank=True)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("KohortPay attempt")
        verbose_name_plural = _("KohortPay attempts")
        indexes = [
            models.Index(fields=["created_at"], name="kohort_sync_attempt_age"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.outcome}"


class SyncRun(models.Model):
    """Describe one bulk operation that a person or a command started."""

    kind = models.CharField(_("kind"), max_length=16)
    account = models.CharField(_("account"), max_length=64)
    scope = models.JSONField(_("scope"), default=dict, blank=True)
    counters = models.JSONField(_("counters"), default=dict, blank=True)
    progress = models.JSONField(_("progress"), default=dict, blank=True)
    report = models.JSONField(_("report"), default=dict, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("started by"),
    )
    cancel_requested = models.BooleanField(_("cancel requested"), default=False)
    created_at = models.DateTimeField(_("started"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        indexes = [
            models.Index(fields=["account", "kind", "created_at"], name="kohort_sync_run_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
