"""Words: what the codes of a link and of an attempt mean to staff."""

from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from kohort_sync import reasons
from kohort_sync.models import Account, CustomerLink, State, SyncAttempt

# Whose move it is in a state; the colour of its mark. "quiet" where nobody's.
TONES: Mapping[str, str] = {
    "pending": "waiting",
    "uncertain": "waiting",
    "erasing": "waiting",
    "linked": "good",
    "rejected": "person",
    "conflict": "person",
    "parked": "person",
}

# What was asked of KohortPay.
OPERATIONS: Mapping[str, str | Promise] = {
    "create": _("create the customer"),
    "update": _("send changes"),
    "look_up": _("look for the customer"),
    "get": _("compare with KohortPay"),
    "adopt": _("look at the customer to take over"),
    "block": _("block the customer"),
    "unblock": _("unblock the customer"),
    "anonymise": _("overwrite the customer's data"),
    "delete": _("delete the customer"),
}

# What a person asked of this app: some have the name of an operation and mean something else.
DECISIONS: Mapping[str, str | Promise] = {
    "resync": _("resync"),
    "retry": _("try again"),
    "adopt": _("link to the chosen customer"),
    "restore": _("bring the customer back"),
    "create": _("create a new customer"),
    "ignore": _("leave the user out"),
    "block": _("have the customer blocked"),
    "unblock": _("have the customer unblocked"),
    "erase": _("have the customer erased"),
}

# How a reconciliation has ended.
ENDINGS: Mapping[str, str | Promise] = {
    "done": _("done"),
    "cancelled": _("called off"),
    "failed": _("given up: an answer of KohortPay could not be used; it is tried again within an hour"),
}

OUTCOMES: Mapping[str, str | Promise] = {
    "ok": _("done"),
    "asked": _("asked for"),
    "unsent": _("not sent"),
    "refused": _("turned away"),
    "ambiguous": _("answer unknown"),
    "definitive": _("refused"),
    "contract": _("answer not believed"),
}

TRIGGERS: Mapping[str, str | Promise] = {
    "signup": _("sign-up"),
    "change": _("change"),
    "bulk": _("bulk"),
    "look_up": _("look-up"),
    "verify": _("verification"),
    "person": _("a person"),
    "command": _("a command"),
}


def of_operation(attempt: SyncAttempt) -> str | Promise:
    """Name what was done, or what a person asked for."""
    table = DECISIONS if attempt.outcome == "asked" else OPERATIONS
    return table.get(attempt.operation, attempt.operation)


def of_error(attempt: SyncAttempt) -> str | Promise:
    """Say what went wrong, and what to do."""
    if attempt.operation == "delete" and attempt.outcome == "definitive":
        return _("KohortPay keeps the record, whose data was overwritten before; nothing to do.")
    return reasons.CODES.get(attempt.error_code, attempt.error_code)


def of_wishes(link: CustomerLink) -> list[str | Promise]:
    """Name what people have asked for and the worker has not done yet."""
    wishes: list[str | Promise] = []
    if link.erase_asked_at is not None and link.state != State.ERASED:
        wishes.append(gettext("to be erased (asked for: %(when)s)") % {"when": moment(link.erase_asked_at)})
    if link.wants_block is not None:
        wishes.append(_("to be blocked") if link.wants_block else _("to be unblocked"))
    if link.wants_restore:
        wishes.append(_("to be brought back at KohortPay"))
    if link.wants_customer:
        wishes.append(gettext("to be linked to %(id)s") % {"id": link.wants_customer})
    return wishes


def of_late_sweep(account: Account) -> str:
    """Say since when nothing has looked for missed work, and what to do."""
    todo = gettext(
        "An engineer has to start Celery beat with kohort_sync.beat_schedule(), or cron with 'manage.py"
        " kohort_sync drain --once'."
    )
    if account.last_sweep_at is None:
        since = gettext("Nothing has ever swept.")
    else:
        since = gettext("Since %(when)s nothing has swept.") % {"when": moment(account.last_sweep_at)}
    return f"{since} {todo}"


def moment(value: datetime | None) -> str:
    """Write a moment in the site's time zone and the reader's language; nothing for none.

    Django's admin does so for the fields of a model alone, not for what a function returns.
    """
    if value is None:
        return ""
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return date_format(local, "DATETIME_FORMAT")
