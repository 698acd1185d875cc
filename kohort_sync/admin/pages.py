"""The admin's pages. Importable, for a site with an AdminSite of its own."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise, cached_property
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from kohort_sync import reasons, services
from kohort_sync.admin import words
from kohort_sync.models import Account, Customer, CustomerLink, SyncAttempt, SyncRun

if TYPE_CHECKING:  # Django's own classes take no parameters while the program runs
    ModelAdmin = admin.ModelAdmin[Any]
    HistoryInline = admin.TabularInline[SyncAttempt, CustomerLink]
    AnyPaginator = Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    HistoryInline = admin.TabularInline
    AnyPaginator = Paginator


# Choices of filters, and the lists themselves, are made for tables of a million rows.
_MOST_PAGES = 100
_FOUND = "pk__in"
_NOTHING = "0"
# An address has to stay short enough for every server.
_MOST_FOUND = 100


class FirstPages(AnyPaginator):
    """Lead to the first pages alone: the database would read all rows that come before a later one."""

    @cached_property
    def num_pages(self) -> int:
        """Return how many pages there are to lead to."""
        return min(super().num_pages, _MOST_PAGES)


class ReadOnlyAdmin(ModelAdmin):
    """Show rows that only the engine writes."""

    # A second count of a million rows would say nothing that anybody asked for.
    show_full_result_count = False
    # The newest first: by anything else a million rows would be sorted for one page.
    ordering = ("-pk",)
    sortable_by = ()
    paginator = FirstPages

    class Media:
        css = {"all": ["kohort_sync/admin.css"]}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Search for what was posted: in an address it would get into logs, histories and referrers."""
        if request.method == "POST" and SEARCH_VAR in request.POST:
            return self._found(request)
        return super().changelist_view(request, extra_context)

    def _found(self, request: HttpRequest) -> HttpResponse:
        """Lead to the rows that were found, by their keys; other filters of the list stay."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        query = request.GET.copy()
        for name in (SEARCH_VAR, PAGE_VAR, _FOUND):
            query.pop(name, None)
        term = request.POST[SEARCH_VAR].strip()
        if term:
            rows, _may_repeat = self.get_search_results(request, self.get_queryset(request), term)
            keys = rows.order_by("-pk").values_list("pk", flat=True)[:_MOST_FOUND]
            query[_FOUND] = ",".join(map(str, keys)) or _NOTHING
        return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")

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


class KnownValues(admin.SimpleListFilter):
    """Filter by the values that a column may have; Django's own filters read all rows to find them."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows with the chosen value."""
        del request
        value = self.value()
        return queryset.filter(**{str(self.parameter_name): value}) if value else queryset


class AccountFilter(KnownValues):
    """Filter by account."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        """Return the accounts."""
        del request, model_admin
        return [(key, key) for key in services.account_keys()]


class OperationFilter(KnownValues):
    """Filter by what was done."""

    title = _("operation")
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        """Return what may have been done."""
        del request, model_admin
        return list({**words.DECISIONS, **words.OPERATIONS}.items())


class OutcomeFilter(KnownValues):
    """Filter by how it ended."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, Any]]:
        """Return how it may have ended."""
        del request, model_admin
        return list(words.OUTCOMES.items())


class AccountAdmin(ReadOnlyAdmin):
    """Show the accounts: whether anything is sent just now, and if not, why."""

    ordering = ("key",)
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
    list_filter = (AccountFilter, "is_blocked")
    search_fields = ("kohort_id", "email_address", "client_reference_id")
    search_help_text = _("A whole KohortPay id, e-mail address or reference.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Customer], search_term: str
    ) -> tuple[QuerySet[Customer], bool]:
        """Find whole values by the indexes."""
        del request
        return queryset.filter(_of_customer(search_term)) if search_term else queryset, False


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
    list_filter = ("state", AccountFilter)
    search_help_text = _("A whole user name, e-mail address, KohortPay id, reference or user key.")
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

    search_fields = ("user_pk", "client_reference_id", "customer", "user")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CustomerLink], search_term: str
    ) -> tuple[QuerySet[CustomerLink], bool]:
        """Find whole values, also by what staff know of a user: the name for logging in, and the address.

        Table by table: a condition over three of them would be tried on each of a million rows.
        """
        del request
        if not search_term:
            return queryset, False
        customers = Customer.objects.filter(_of_customer(search_term)).values_list("pk", flat=True)
        users = get_user_model()._base_manager.filter(_of_user(search_term)).values_list("pk", flat=True)
        found = (
            Q(account__in=services.account_keys())
            & (Q(user_pk=search_term) | Q(client_reference_id=search_term))
            | Q(customer__in=list(customers[:_MOST_FOUND]))
            | Q(user__in=list(users)[:_MOST_FOUND])  # with a limit, PostgreSQL would use one process
        )
        return queryset.filter(found), False

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
    list_filter = (OperationFilter, OutcomeFilter)
    list_select_related = ("link",)
    fields = (
        "created_at", "link", "what", "how_it_went", "status", "error", "milliseconds", "asked_by", "actor",
        "reason",
    )  # fmt: skip


class SyncRunAdmin(ReadOnlyAdmin):
    """Show the reconciliations: what was read, and how it differed."""

    list_display = ("created_at", "account", "what_was_read", "standing", "differences", "started_by")
    list_filter = (AccountFilter,)
    list_select_related = ("started_by",)
    fields = ("account", "what_was_read", "standing", "differences", "findings", "started_by", "created_at")

    @admin.display(description=_("read"))
    def what_was_read(self, run: SyncRun) -> str | Promise:
        """Say how much was read."""
        return _("everything") if run.progress.get("complete") else _("what had changed")

    @admin.display(description=_("standing"))
    def standing(self, run: SyncRun) -> str | Promise:
        """Say how far it has got, or how it ended."""
        if run.finished_at is None:
            read = run.counters.get("customers", 0)
            return ngettext("%(read)s customer read", "%(read)s customers read", read) % {"read": read}
        return words.ENDINGS.get(run.report.get("ended", ""), "")

    @admin.display(description=_("differences"))
    def differences(self, run: SyncRun) -> SafeString:
        """Say how many there are of each kind, and what that means."""
        counts = [(run.counters.get(kind), said) for kind, said in reasons.DIFFERENCES.items()]
        return format_html_join("", "<div>{} {}</div>", [(count, said) for count, said in counts if count])

    @admin.display(description=_("found"))
    def findings(self, run: SyncRun) -> SafeString:
        """List whom it concerns."""
        lines = [
            (finding["kind"], finding["kohort_id"], finding["user"], ", ".join(finding["fields"]))
            for finding in run.report.get("findings", ())
        ]
        return format_html_join("", "<div>{}: {} {} {}</div>", lines)


def _of_customer(term: str) -> Q:
    """Ask for customers by a whole value."""
    values = Q(kohort_id=term) | Q(client_reference_id=term) | Q(email_address__in=_spellings(term))
    return Q(account__in=services.account_keys()) & values


def _of_user(term: str) -> Q:
    """Ask for users by their name for logging in, or by their address, whatever the case of its letters."""
    user_model = get_user_model()
    asked = Q(**{f"{user_model.USERNAME_FIELD}__in": _spellings(term)})
    address = user_model.get_email_field_name()
    return asked | Q(**{f"{address}__iexact": term}) if _has_column(user_model, address) else asked


def _spellings(term: str) -> set[str]:
    """Return what was typed, and the same in small letters: without regard to case no index helps."""
    return {term, term.lower()}


def _person(request: HttpRequest) -> AbstractBaseUser:
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 — the admin lets nobody else in
    return request.user


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).concrete)
    except FieldDoesNotExist:
        return False
