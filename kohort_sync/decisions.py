"""Decisions: what a person may decide about a link that waits for one, and what it leads to."""

from collections.abc import Mapping, Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

RETRY, ADOPT, RESTORE, CREATE, IGNORE = "retry", "adopt", "restore", "create", "ignore"

CONSEQUENCES: Mapping[str, str | Promise] = {
    RETRY: _("Everything is tried again as it is now; what failed before no longer counts."),
    ADOPT: _(
        "The user is linked to the KohortPay customer that you name, once KohortPay has shown it and if no"
        " other user has it. It then gets the user's data and this site's reference."
    ),
    RESTORE: _("The deleted customer is brought back at KohortPay, and gets the user's present data."),
    CREATE: _(
        "This site parts with the customer that it had for the user, and a new one is created. If the old one"
        " still has the e-mail address there, that is a conflict again."
    ),
    IGNORE: _(
        "The user is left out: nothing is sent, however the user changes, until somebody decides to try again"
        " or to erase the customer."
    ),
}

CUSTOMER_IS_GONE = ("deleted_remotely", "remote_missing")
"""The conflicts of a linked user whose customer no longer lives."""

# By the kind of a conflict, else by the state.
_ALLOWED: Mapping[str, Sequence[str]] = {
    "email_in_use": (RETRY, ADOPT, IGNORE),
    "duplicate_remote": (ADOPT, RETRY, IGNORE),
    "claimed_twice": (RETRY, ADOPT, IGNORE),
    "deleted_remotely": (RESTORE, CREATE, ADOPT, IGNORE),
    "remote_missing": (RETRY, CREATE, ADOPT, IGNORE),
    "reference_not_shown": (ADOPT, CREATE, IGNORE),
    "adoption_failed": (RETRY, ADOPT, CREATE, IGNORE),
    "erasure_refused": (RETRY,),
    "pending": (RETRY, ADOPT, IGNORE),
    "linked": (RETRY, IGNORE),
    "skipped": (RETRY, IGNORE),
    "rejected": (RETRY, ADOPT, IGNORE),
    "parked": (RETRY, ADOPT, IGNORE),
    "ignored": (RETRY,),
}


def allowed(*, state: str, conflict_kind: str) -> Sequence[str]:
    """Return what may be decided about a link; nothing while an answer is awaited, or once it is erased."""
    return _ALLOWED.get(conflict_kind or state, ())
