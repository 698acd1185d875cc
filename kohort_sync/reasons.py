"""Reasons: what a state or an error code means, in one sentence that ends with what to do."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# By the state alone, where nothing more is known.
STATES: Mapping[str, str | Promise] = {
    "pending": _("Waiting to be sent to KohortPay; nothing to do."),
    "uncertain": _(
        "Sent, but the answer was lost. It is looked up before anything is sent again; nothing to do."
    ),
    "linked": _("Linked to one KohortPay customer."),
    "skipped": _("Not sent to KohortPay."),
    "rejected": _("KohortPay refuses this data. Correct the user's data; it is then tried again."),
    "conflict": _("A person has to decide; see the conflict."),
    "parked": _("Given up for now. It is tried again every day; a person may try it at once."),
    "erasing": _("Being erased at KohortPay."),
    "erased": _("Erased at KohortPay."),
    "ignored": _("Left out on purpose by a person."),
}

# A worker has the row just now, whatever its state.
SENDING = _("Being sent to KohortPay at this moment; nothing to do.")

# Linked, and the user has changed since.
CHANGED = _(
    "Linked to one KohortPay customer; the data is about to be compared, and changes sent. Nothing to do."
)

# By the code of the last error or conflict: more exact, so it wins.
CODES: Mapping[str, str | Promise] = {
    # why a user is not sent
    "no_email": _("The user has no e-mail address. Add one; the user is then sent."),
    "not_wanted": _("The site's rule says not to send this user. Sent as soon as the rule allows it."),
    "user_deleted": _("The user was deleted here. Nothing more is sent."),
    # data that is refused before it is sent
    "email_invalid": _("KohortPay does not accept this e-mail address. Correct it; the user is then sent."),
    "text_unsendable": _(
        "A text holds a character that cannot be sent (NUL or half of a surrogate pair). Remove it; the user"
        " is then sent."
    ),
    "locale_unknown": _(
        "The language is none of en_US, en_GB, fr_FR. Correct CUSTOMER_DATA or DEFAULT_LOCALE."
    ),
    "metadata_unsendable": _("The metadata cannot be sent. Correct what CUSTOMER_DATA returns."),
    "too_large": _("The data is larger than KohortPay accepts (100 kB). Shorten it; the user is then sent."),
    "customer_data_invalid": _("CUSTOMER_DATA returned something unknown. Correct the function."),
    "host_function_failed": _(
        "The site's function SHOULD_SYNC or CUSTOMER_DATA failed for this user. It is tried again; see the"
        " log."
    ),
    # what the service answered
    "invalid": _("KohortPay refused a field. Correct the user's data; it is then tried again."),
    "rejected": _("KohortPay refused the request. See the text of the last error."),
    "reference_taken": _("KohortPay knows the reference already; it is being looked up. Nothing to do."),
    "email_taken": _(
        "Another KohortPay customer has this e-mail address, and may be about to give it up. It is tried"
        " again; nothing to do."
    ),
    "not_found": _("KohortPay no longer shows this customer; it is checked once more. Nothing to do yet."),
    "unreachable": _("KohortPay could not be reached. It is tried again; nothing to do."),
    "tls_failed": _("The secure connection to KohortPay failed. An engineer has to look at the certificate."),
    "out_of_time": _("There was no time left to send it safely. It is tried again; nothing to do."),
    "key_refused": _("KohortPay refuses the key. An engineer has to check KOHORT_SYNC['API_KEY']."),
    "rate_limited": _("KohortPay asked us to slow down. It is tried again; nothing to do."),
    "no_answer": _("No answer came. It is looked up before anything is sent again; nothing to do."),
    "server_error": _("KohortPay had an error of its own. It is tried again; nothing to do."),
    "unreadable": _("KohortPay's answer could not be read. It is looked up again; nothing to do."),
    "redirected": _("The address answers with a redirect. An engineer has to check KOHORT_SYNC['BASE_URL']."),
    "mismatch": _(
        "KohortPay's answer speaks of somebody else, so it was not believed. An engineer has to look."
    ),
    "crash_loop": _(
        "The process that sends this user was killed several times in a row, so it is left out for now. An"
        " engineer has to look at CUSTOMER_DATA and SHOULD_SYNC for this user."
    ),
    "block_not_shown": _("KohortPay does not show that the customer was blocked or unblocked. Tried again."),
    # what an erasure has left behind
    "erased_nothing": _("Erased: KohortPay had no customer for this user."),
    "erased_gone": _("Erased: the customer was anonymised, and KohortPay no longer shows it."),
    "erased_anonymised": _("Erased: the record remains at KohortPay, anonymised."),
    "erased_not_found": _("Erased: KohortPay does not know the customer any more, at a second look either."),
    # conflicts
    "email_in_use": _(
        "Another KohortPay customer already has this e-mail address. Change the address here or there; the"
        " user is then sent."
    ),
    "duplicate_remote": _("KohortPay has several customers with this reference. A person has to choose one."),
    "claimed_twice": _("The KohortPay customer is linked to another user already. A person has to decide."),
    "deleted_remotely": _("The customer was deleted at KohortPay. A person has to decide."),
    "remote_missing": _("KohortPay no longer knows this customer. A person has to decide."),
    "adoption_failed": _("KohortPay does not show the customer that was chosen. Choose another one."),
    "erasure_refused": _(
        "KohortPay did not let the customer be erased. Delete it there, then try again here."
    ),
    "reference_not_shown": _("KohortPay does not show references, so the customer could not be recognised."),
}

# Why nothing is sent for a whole account just now, where no code above says it.
GATES: Mapping[str, str | Promise] = {
    "other_organization": _(
        "The key belongs to another organization than the customers that are linked here. An engineer has to"
        " set the right key."
    ),
    "unavailable": _("KohortPay failed several times in a row. It is asked again by itself; nothing to do."),
}


def sentence(state: str, code: str) -> str | Promise:
    """Return the sentence for a code, or for the state where the code says nothing more."""
    return CODES.get(code) or STATES[state]


def of_gate(code: str) -> str | Promise:
    """Return the sentence for why a gate is closed; empty for an open one."""
    return GATES.get(code) or CODES.get(code) or code
