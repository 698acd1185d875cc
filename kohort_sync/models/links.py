"""Links: ours, one local user in one account. The row is the promise."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from kohort_sync import reasons
from kohort_sync.models.customers import Customer
from kohort_sync.models.states import State, WorkClass


class CustomerLink(models.Model):
    """Promise that one user ends up linked to one customer of one account, or listed with the reason."""

    account = models.CharField(_("account"), max_length=64)
    # No database constraint: a raw deletion by the host must never be refused because of us.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_constraint=False,
        # The one with the account, below, begins with it too.
        db_index=False,
        related_name="kohort_links",
        verbose_name=_("user"),
    )
    user_pk = models.CharField(_("user key"), max_length=255, null=True, blank=True)
    user_gone_at = models.DateTimeField(_("user deleted at"), null=True, blank=True)
    client_reference_id = models.CharField(_("reference"), max_length=50)
    customer = models.OneToOneField(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="link",
        verbose_name=_("KohortPay customer"),
    )
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.PENDING)
    work_class = models.PositiveSmallIntegerField(
        _("class"), choices=WorkClass.choices, default=WorkClass.SIGNUP
    )
    next_attempt_at = models.DateTimeField(
        _("next attempt"), null=True, blank=True, help_text=_("Empty when nothing is due.")
    )

    desired_version = models.PositiveIntegerField(_("wanted version"), default=1)
    synced_version = models.PositiveIntegerField(_("confirmed version"), default=0)
    fingerprint = models.JSONField(_("fingerprint of what was confirmed"), default=dict, blank=True)
    refused = models.CharField(
        _("fingerprint of what was refused"), max_length=16, blank=True, default="", db_default=""
    )
    verify = models.BooleanField(_("to be verified"), default=False)
    look_again_at = models.DateTimeField(_("to be verified again at"), null=True, blank=True)

    # What a person wants; the engine takes it away when it is done.
    wants_block = models.BooleanField(_("wanted block state"), null=True, blank=True)
    wants_restore = models.BooleanField(_("wanted back"), default=False, db_default=False)
    wants_customer = models.CharField(
        _("wanted KohortPay customer"), max_length=64, blank=True, default="", db_default=""
    )
    erase_asked_at = models.DateTimeField(_("erasure asked for at"), null=True, blank=True)
    erased_at = models.DateTimeField(_("erased at"), null=True, blank=True)

    intent = models.CharField(_("intended operation"), max_length=16, blank=True)
    intent_email = models.TextField(_("e-mail address of the intended create"), null=True, blank=True)
    intent_version = models.PositiveIntegerField(_("intended version"), null=True, blank=True)
    posts = models.PositiveIntegerField(_("unresolved creates"), default=0)
    settle_until = models.DateTimeField(_("no second create before"), null=True, blank=True)

    lease_token = models.CharField(_("lease token"), max_length=32, blank=True)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("charged attempts"), default=0)
    crashes = models.PositiveIntegerField(_("leases lost in a row"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    parkings = models.PositiveSmallIntegerField(_("times given up"), default=0, db_default=0)

    last_error_code = models.CharField(_("last error"), max_length=64, blank=True)
    last_error = models.TextField(_("last error text"), blank=True)
    conflict_kind = models.CharField(_("conflict"), max_length=64, blank=True)
    conflict_ids = models.JSONField(_("conflicting ids"), default=list, blank=True)

    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    linked_at = models.DateTimeField(_("linked since"), null=True, blank=True)
    synced_at = models.DateTimeField(_("last synced"), null=True, blank=True)

    class Meta:
        verbose_name = _("user at KohortPay")
        verbose_name_plural = _("users at KohortPay")
        permissions = [
            ("resync_customerlink", _("Can ask for a resync")),
            ("resolve_customerlink", _("Can decide about a user who needs a decision")),
            ("block_customerlink", _("Can block and unblock a customer")),
            ("erase_customerlink", _("Can erase a customer")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account", "user_pk"], name="kohort_sync_link_user_once"),
            models.UniqueConstraint(
                fields=["account", "client_reference_id"], name="kohort_sync_link_reference_once"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.LINKED) | Q(customer__isnull=False),
                name="kohort_sync_link_linked_has_customer",
            ),
            models.CheckConstraint(
                condition=~Q(state=State.UNCERTAIN)
                | Q(intent_email__isnull=False, posts__gt=0, settle_until__isnull=False),
                name="kohort_sync_link_uncertain_has_intent",
            ),
            models.CheckConstraint(
                condition=~Q(state=State.CONFLICT) | ~Q(conflict_kind=""),
                name="kohort_sync_link_conflict_has_kind",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[State.ERASING, State.ERASED]) | Q(erase_asked_at__isnull=False),
                name="kohort_sync_link_erasure_was_asked_for",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "work_class", "next_attempt_at"], name="kohort_sync_link_due"),
            # With both, a million users are compared with a million links without a look at their rows.
            models.Index(fields=["user", "account"], name="kohort_sync_link_user"),
            models.Index(fields=["account", "state"], name="kohort_sync_link_state"),
            models.Index(fields=["user_gone_at"], name="kohort_sync_link_user_gone"),
        ]

    def __str__(self) -> str:
        return self.client_reference_id

    @property
    def is_dirty(self) -> bool:
        """Say whether the user changed since the service last confirmed what we sent."""
        return self.desired_version != self.synced_version

    @property
    def is_being_sent(self) -> bool:
        """Say whether a worker has the row just now, by this machine's clock."""
        return bool(self.lease_token) and self.lease_until is not None and self.lease_until > timezone.now()

    @property
    def reason(self) -> str | Promise:
        """Say in one sentence why the link stands where it stands, and what to do."""
        code = self.conflict_kind or self.last_error_code
        if self.is_being_sent:
            return reasons.SENDING
        if self.state == State.LINKED and self.is_dirty and not code:
            return reasons.CHANGED
        return reasons.sentence(self.state, code)
