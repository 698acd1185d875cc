"""The admin's pages. Importable, for a site with an AdminSite of its own."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from kohort_sync import services
from kohort_sync.models import CustomerLink, SyncAttempt


if TYPE_CHECKING:  # Django's own classes take no parameters while the program runs
    ModelAdmin = admin.ModelAdmin[Any]
    HistoryInline = admin.TabularInline[SyncAttempt, CustomerLink]
else:
    ModelAdmin = admin.ModelAdmin
    HistoryInline = admin.TabularInline


class ReadOnlyAdmin(ModelAdmin):
    """Show rows that only the engine writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: rows come from the engine."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: an edited mirror would say what KohortPay never said."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: the row is the promise."""
        del request, obj
        return False


class AccountAdmin(ReadOnlyAdmin):
    """Show the accounts."""

    list_display = ("key", "organization_id", "gate", "gate_reason", "covered_at", "last_sweep_at")
    exclude = ("drainer_token", "checkpoint")


class CustomerAdmin(ReadOnlyAdmin):
    """Show the mirror of KohortPay's customers."""

    list_display = ("kohort_id", "email_address", "livemode", "is_blocked", "deleted_at", "mirrored_at")
    list_filter = ("livemode", "is_blocked")
    search_fields = ("=kohort_id", "=email_address", "=client_reference_id")
    ordering = ("-pk",)


class AttemptInline(HistoryInline):
    """Show what was tried for a link."""

    model = SyncAttempt
    fields = readonly_fields = (
        "created_at", "operation", "outcome", "status", "error_code", "milliseconds", "trigger", "actor", "reason",
    )  # fmt: skip
    ordering = ("-pk",)
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: history is written by the engine."""
        del request, obj
        return False


class CustomerLinkAdmin(ReadOnlyAdmin):
    """Show every user's link with its reason in words, and the button that repairs it."""

    list_display = ("user_label", "state", "why", "kohort_id", "account", "next_attempt_at", "synced_at")
    list_filter = ("state", "account")
    list_select_related = ("user", "customer")
    search_fields = ("=user_pk", "=client_reference_id", "=customer__kohort_id", "=customer__email_address")
    ordering = ("-pk",)
    actions = ("resync",)
    inlines = (AttemptInline,)
    fields = (
        "user_label", "account", "state", "why", "last_error", "conflict_kind", "conflict_ids",
        "client_reference_id", "customer", "linked_at", "synced_at", "next_attempt_at", "created_at",
    )  # fmt: skip

    @admin.display(description=_("user"), ordering="user_pk")
    def user_label(self, link: CustomerLink) -> str | Promise:
        """Name the user, or say that there is none any more."""
        user: AbstractBaseUser | None = link.user
        return str(user) if user is not None else _("(deleted)")

    @admin.display(description=_("why"))
    def why(self, link: CustomerLink) -> str | Promise:
        """Say in a sentence why the link stands where it stands."""
        return link.reason

    @admin.display(description=_("KohortPay id"), ordering="customer__kohort_id")
    def kohort_id(self, link: CustomerLink) -> str:
        """Show the remote id."""
        return link.customer.kohort_id if link.customer else ""

    @admin.action(description=_("Resync selected users with KohortPay"), permissions=["resync"])
    def resync(self, request: HttpRequest, queryset: QuerySet[CustomerLink]) -> None:
        """Mark the selection; a worker does the rest."""
        assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 — the admin lets nobody else in
        marked = services.resync(queryset, actor=request.user)
        for link in queryset:
            self.log_change(request, link, "resync")
        text = ngettext(
            "%d user is being compared with KohortPay.", "%d users are being compared with KohortPay.", marked
        )
        self.message_user(request, text % marked, messages.SUCCESS)

    def has_resync_permission(self, request: HttpRequest) -> bool:
        """Allow the action to people with `resync_customerlink`."""
        return request.user.has_perm("kohort_sync.resync_customerlink")


class SyncAttemptAdmin(ReadOnlyAdmin):
    """Show the history over all links."""

    list_display = (
        "created_at",
        "link",
        "operation",
        "outcome",
        "status",
        "error_code",
        "milliseconds",
        "trigger",
    )
    list_filter = ("operation", "outcome")
    list_select_related = ("link",)
    ordering = ("-pk",)
