"""Customers: theirs, as they last showed them to us."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Customer(models.Model):
    """Mirror one remote customer, whoever made it.

    Every documented field, and the two that are seen without being documented (`locale`,
    `client_reference_id`). People only read it; the engine writes it from answers of the service.
    """

    account = models.CharField(_("account"), max_length=64)
    kohort_id = models.CharField(_("KohortPay id"), max_length=64)
    email_address = models.CharField(_("e-mail address"), max_length=254, blank=True)
    first_name = models.TextField(_("first name"), null=True, blank=True)
    last_name = models.TextField(_("last name"), null=True, blank=True)
    phone_number = models.TextField(_("phone number"), null=True, blank=True)
    livemode = models.BooleanField(_("live mode"))
    is_blocked = models.BooleanField(_("blocked"), default=False)
    organization_id = models.CharField(_("organization id"), max_length=64, null=True, blank=True)
    address_id = models.CharField(_("address id"), max_length=64, null=True, blank=True)
    shipping_address_id = models.CharField(_("shipping address id"), max_length=64, null=True, blank=True)
    metadata = models.JSONField(_("metadata"), null=True, blank=True)
    locale = models.CharField(_("locale"), max_length=16, null=True, blank=True)
    client_reference_id = models.CharField(_("reference"), max_length=255, null=True, blank=True)
    created_at = models.DateTimeField(_("created"), null=True, blank=True)
    created_by = models.CharField(_("created by"), max_length=64, null=True, blank=True)
    updated_at = models.DateTimeField(_("updated"), null=True, blank=True)
    updated_by = models.CharField(_("updated by"), max_length=64, null=True, blank=True)
    blocked_at = models.DateTimeField(_("blocked at"), null=True, blank=True)
    blocked_by = models.CharField(_("blocked by"), max_length=64, null=True, blank=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)
    mirrored_at = models.DateTimeField(_("last seen at KohortPay"))

    class Meta:
        verbose_name = _("KohortPay customer")
        verbose_name_plural = _("KohortPay customers")
        constraints = [
            models.UniqueConstraint(fields=["account", "kohort_id"], name="kohort_sync_customer_id_once"),
        ]
        indexes = [
            models.Index(fields=["account", "email_address"], name="kohort_sync_customer_email"),
            models.Index(fields=["account", "client_reference_id"], name="kohort_sync_customer_ref"),
            models.Index(fields=["account", "mirrored_at"], name="kohort_sync_customer_seen"),
        ]

    def __str__(self) -> str:
        return self.kohort_id
