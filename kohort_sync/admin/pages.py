"""The admin's pages. Importable, for a site with an AdminSite of its own."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from kohort_sync import reasons, services
from kohort_sync.admin import words
from kohort_sync.models import Account, CustomerLink, SyncAttempt

if TYPE_CHECKING:  # Django's own classes take no parameters while the program runs
    ModelAdmin = admin.ModelAdmin[Any]
    HistoryInline = admin.TabularInline[SyncAttempt, CustomerLink]
else:
    ModelAdmin = admin.ModelAdmin
    HistoryInline = admin.TabularInline


class ReadOnlyAdmin(ModelAdmin):
    """Show rows that only the engine writes."""

    # A second count of a million rows would say nothing that anybody asked for.
    show_full_result_count = False

    class Media:
        css = {"all": ["kohort_sync/admin.css"]}

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
    """Show the accounts: whether anything is sent just now, and if not, why."""

    list_display = (
        "key",
        "sending",
        "why",
        "paused_until",
        "last_sweep",
        "last_success_at",
        "failures",
        "older_users",
    )
    fields = (
        "key", "organization_id", "key_fingerprint", "sending", "why", "paused_until", "last_success_at",
        "failures", "older_users", "last_sweep", "created_at",
    )  # fmt: skip

    @admin.display(description=_("sending"), ordering="gate")
    def sending(self, account: Account) -> str | Promise:
        """Say whether anything is sent just now."""
        return _("on") if account.gate == Account.Gate.OPEN else _("paused")

    @admin.display(description=_("why"))
    def why(self, account: Account) -> str | Promise:
        """Say in a sentence why sending is paused."""
        return reasons.of_gate(account.gate_reason)

    @admin.display(description=_("paused until"), ordering="gate_until")
    def paused_until(self, account: Account) -> str:
        """Say when sending is tried again."""
        return words.moment(account.gate_until)

    @admin.display(
        description=_("older users included since"),
        ordering="covered_at",
    )
    def older_users(self, account: Account) -> str | Promise:
        """Say since when the users who are older than the app are sent too."""
        return words.moment(account.covered_at) or _(
            "not yet: an engineer runs 'manage.py kohort_sync backfill'"
        )

    @admin.display(description=_("last sweep"), ordering="last_sweep_at")
    def last_sweep(self, account: Account) -> str:
        """Say when somebody last looked for work that nothing announced; and that it is too long ago."""
        if account in services.swept_late():
            return words.of_late_sweep(account)
        return words.moment(account.last_sweep_at)


class CustomerAdmin(ReadOnlyAdmin):
    """Show the mirror of KohortPay's customers."""

    list_display = (
        "kohort_id", "email_address", "account", "livemode", "is_blocked", "deleted_at", "mirrored_at",
    )  # fmt: skip
    list_filter = ("account", "is_blocked")
    search_fields = ("=kohort_id", "=email_address", "=client_reference_id")
    search_help_text = _("A whole KohortPay id, e-mail address or reference.")
    ordering = ("-pk",)


class AttemptWords:
    """Put an attempt's codes into words."""

    @admin.display(description=_("operation"), ordering="operation")
    def what(self, attempt: SyncAttempt) -> str | Promise:
        """Name what was done."""
        return words.of_operation(attempt)

    @admin.display(description=_("outcome"), ordering="outcome")
    def how_it_went(self, attempt: SyncAttempt) -> str | Promise:
        """Name how it ended."""
        return words.OUTCOMES.get(attempt.outcome, attempt.outcome)

    @admin.display(description=_("error"), ordering="error_code")
    def error(self, attempt: SyncAttempt) -> str | Promise:
        """Say what went wrong."""
        return words.of_error(attempt)

    @admin.display(description=_("trigger"), ordering="trigger")
    def asked_by(self, attempt: SyncAttempt) -> str | Promise:
        """Name what set it off."""
        return words.TRIGGERS.get(attempt.trigger, attempt.trigger)


class AttemptInline(AttemptWords, HistoryInline):
    """Show what was tried for a link."""

    model = SyncAttempt
    fields = readonly_fields = (
        "created_at", "what", "how_it_went", "status", "error", "milliseconds", "asked_by", "actor", "reason",
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

    list_display = (
        "user_label",
        "state_label",
        "why",
        "kohort_id",
        "synced_at",
        "next_attempt_at",
        "account",
    )
    list_filter = ("state", "account")
    search_help_text = _("A whole user name, e-mail address, KohortPay id, reference or user key.")
    ordering = ("-pk",)
    actions = ("resync", "retry")
    inlines = (AttemptInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CustomerLink]:
        """Join the users: a user whom raw SQL deleted is then none, and not an error."""
        rows: QuerySet[CustomerLink] = super().get_queryset(request)
        return rows.select_related("user", "customer")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Warn on top of the list while nothing looks for work that was missed."""
        if request.method == "GET":
            for account in services.swept_late():
                text = _("Account %(account)s: %(late)s Work whose message was lost waits until then.")
                named = {"account": account.key, "late": words.of_late_sweep(account)}
                self.message_user(request, text % named, messages.WARNING)
        return super().changelist_view(request, extra_context)

    @admin.display(description=_("user"), ordering="user_pk")
    def user_label(self, link: CustomerLink) -> str | Promise:
        """Name the user, or say that there is none any more."""
        user: AbstractBaseUser | None = link.user
        return str(user) if user is not None else _("(deleted)")

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, link: CustomerLink) -> SafeString:
        """Name the state, with a mark that says whose move it is."""
        tone = words.TONES.get(link.state, "quiet")
        text = link.get_state_display()
        return format_html('<span class="kohort-state kohort-state--{}">{}</span>', tone, text)

    @admin.display(description=_("user"))
    def user_page(self, link: CustomerLink) -> str | Promise:
        """Name the user, and lead to the user's own page where this admin has one."""
        if link.user is None:
            return self.user_label(link)
        options = get_user_model()._meta
        try:
            name = f"{self.admin_site.name}:{options.app_label}_{options.model_name}_change"
            page = reverse(name, args=[link.user_id])
        except NoReverseMatch:
            return self.user_label(link)
        return format_html('<a href="{}">{}</a>', page, self.user_label(link))

    @admin.display(description=_("why"))
    def why(self, link: CustomerLink) -> str | Promise:
        """Say in a sentence why the link stands where it stands."""
        return link.reason

    @admin.display(description=_("KohortPay id"), ordering="customer__kohort_id")
    def kohort_id(self, link: CustomerLink) -> str:
        """Show the remote id."""
        return link.customer.kohort_id if link.customer else ""

    @admin.display(description=_("KohortPay customers in the way"))
    def conflict_with(self, link: CustomerLink) -> SafeString:
        """Show the ids of the KohortPay customers that stand in the way; each leads to what we know of it."""
        found = reverse(f"{self.admin_site.name}:kohort_sync_customer_changelist")
        ids = ((found, urlencode({"q": kohort_id}), kohort_id) for kohort_id in link.conflict_ids)
        return format_html_join(", ", '<a href="{}?{}">{}</a>', ids)

    @admin.display(description=_("wanted"))
    def wanted(self, link: CustomerLink) -> SafeString:
        """Say what people have asked for and the worker has not done yet."""
        return format_html_join("; ", "{}", ((text,) for text in words.of_wishes(link)))

    def get_fieldsets(self, request: HttpRequest, obj: CustomerLink | None = None) -> list[Any]:
        """Put what staff ask first on top, without lines that would be empty."""
        del request
        if obj is None:
            return []
        lines = {
            "user_page": True,
            "user_gone_at": obj.user_gone_at,
            "state_label": True,
            "why": True,
            "wanted": words.of_wishes(obj),
            "last_error": obj.last_error,
            "failing_since": obj.failing_since,
            "conflict_with": obj.conflict_ids,
            "customer": True,
            "erased_at": obj.erased_at,
            "next_attempt_at": True,
        }
        return [
            (None, {"fields": [name for name, has_something in lines.items() if has_something]}),
            (
                _("Details"),
                {
                    "classes": ["collapse"],
                    "fields": [
                        "account", "client_reference_id", "linked_at", "synced_at", "attempts", "parkings",
                        "created_at",
                    ],
                },
            ),
        ]  # fmt: skip

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search by what staff know of a user too: the name for logging in, and the e-mail address."""
        del request
        user_model = get_user_model()
        names = {user_model.USERNAME_FIELD, user_model.get_email_field_name()}
        of_user = [f"=user__{name}" for name in sorted(names) if _has_column(user_model, name)]
        return (
            "=user_pk",
            "=client_reference_id",
            "=customer__kohort_id",
            "=customer__email_address",
            *of_user,
        )

    @admin.action(description=_("Resync selected users with KohortPay"), permissions=["resync"])
    def resync(self, request: HttpRequest, queryset: QuerySet[CustomerLink]) -> None:
        """Mark the selection; a worker does the rest."""
        selected = list(queryset)
        marked = services.resync(queryset, actor=_person(request))
        self._note(request, selected, gettext("Asked for a resync."))
        text = ngettext(
            "%d user is being compared with KohortPay.", "%d users are being compared with KohortPay.", marked
        )
        self.message_user(request, text % marked, messages.SUCCESS)
        left_out = len(selected) - marked
        if left_out:
            text = ngettext(
                "%d user stays as is: erased, being erased or left out on purpose.",
                "%d users stay as they are: erased, being erased or left out on purpose.",
                left_out,
            )
            self.message_user(request, text % left_out, messages.WARNING)

    @admin.action(description=_("Try selected users again"), permissions=["resync"])
    def retry(self, request: HttpRequest, queryset: QuerySet[CustomerLink]) -> None:
        """Take the selection up again as it is now, whatever failed before."""
        selected = list(queryset)
        tried = services.retry(queryset, actor=_person(request))
        self._note(request, selected, gettext("Asked to try again."))
        text = ngettext("%d user is being tried again.", "%d users are being tried again.", tried)
        self.message_user(request, text % tried, messages.SUCCESS if tried else messages.WARNING)
        left_out = len(selected) - tried
        if left_out:
            text = ngettext(
                "%d user stays as is: being sent, being looked up, erased, or waiting for another decision.",
                "%d users stay as they are: being sent, being looked up, erased, or waiting for another"
                " decision.",
                left_out,
            )
            self.message_user(request, text % left_out, messages.WARNING)

    def _note(self, request: HttpRequest, selected: list[CustomerLink], text: str) -> None:
        LogEntry.objects.log_actions(_person(request).pk, selected, CHANGE, change_message=text)

    def has_resync_permission(self, request: HttpRequest) -> bool:
        """Allow the actions to people with `resync_customerlink`."""
        return request.user.has_perm("kohort_sync.resync_customerlink")


class SyncAttemptAdmin(AttemptWords, ReadOnlyAdmin):
    """Show the history over all links."""

    list_display = (
        "created_at",
        "link",
        "what",
        "how_it_went",
        "status",
        "error",
        "milliseconds",
        "asked_by",
    )
    list_filter = ("operation", "outcome")
    list_select_related = ("link",)
    fields = (
        "created_at", "link", "what", "how_it_went", "status", "error", "milliseconds", "asked_by", "actor",
        "reason",
    )  # fmt: skip
    ordering = ("-pk",)


def _person(request: HttpRequest) -> AbstractBaseUser:
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 — the admin lets nobody else in
    return request.user


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).concrete)
    except FieldDoesNotExist:
        return False
