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
    "linked": _("Linked to one KohortPay customer; nothing to do."),
    "skipped": _("Not sent to KohortPay; looked at again when the user changes, and once a day."),
    "rejected": _("KohortPay does not accept this data. Correct the user's data; it is then tried again."),
    "conflict": _("A person has to decide: use 'manage.py kohort_sync resolve'."),
    "parked": _(
        "Given up for now, after failing for a day while others were sent. Tried again once a day for two"
        " weeks; a person may try it at once."
    ),
    "erasing": _("Being erased at KohortPay; nothing to do."),
    "erased": _("Erased at KohortPay; nothing to do."),
    "ignored": _("Left out on purpose by a person. To take the user in again, try again."),
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
    "not_wanted": _(
        "The site's rule says not to send this user, so nothing is sent. To change that, change the user or"
        " the rule; it is noticed within a day."
    ),
    "user_deleted": _(
        "The user was deleted here, so nothing more is sent. Nothing to do, unless the customer at KohortPay"
        " is to be erased too."
    ),
    # data that is refused before it is sent
    "email_invalid": _("KohortPay does not accept this e-mail address. Correct it; the user is then sent."),
    "text_unsendable": _(
        "A text holds a character that cannot be sent (NUL or half of a surrogate pair). Remove it; the user"
        " is then sent."
    ),
    "locale_unknown": _(
        "The language is none of en_US, en_GB, fr_FR. Correct CUSTOMER_DATA or DEFAULT_LOCALE; the user is"
        " then sent within a day."
    ),
    "metadata_unsendable": _(
        "The metadata cannot be sent. Correct what CUSTOMER_DATA returns; the user is then sent within a day."
    ),
    "too_large": _("The data is larger than KohortPay accepts (100 kB). Shorten it; the user is then sent."),
    "customer_data_invalid": _(
        "CUSTOMER_DATA returned something unknown. Correct the function; the user is then sent within a day."
    ),
    "host_function_failed": _(
        "The site's function SHOULD_SYNC or CUSTOMER_DATA failed for this user. It is tried again; an"
        " engineer finds the cause in the log."
    ),
    # what the service answered
    "invalid": _("KohortPay refused a field. Correct the user's data; it is then tried again."),
    "rejected": _(
        "KohortPay refused the request, and the same data is not sent again. Read the text of the last error,"
        " and correct the user's data."
    ),
    "reference_taken": _("KohortPay knows the reference already; it is being looked up. Nothing to do."),
    "email_taken": _(
        "Another KohortPay customer has this e-mail address, and may give it up or turn out to be the user's."
        " It is tried again; nothing to do yet."
    ),
    "not_found": _("KohortPay no longer shows this customer; it is checked once more. Nothing to do yet."),
    "unreachable": _("KohortPay could not be reached. It is tried again; nothing to do."),
    "tls_failed": _("The secure connection to KohortPay failed. An engineer has to look at the certificate."),
    "out_of_time": _("There was no time left to send it safely. It is tried again; nothing to do."),
    "key_refused": _("KohortPay refuses the key. An engineer has to check KOHORT_SYNC['API_KEY']."),
    "rate_limited": _("KohortPay asked us to slow down. It is tried again; nothing to do."),
    "no_answer": _("No answer came. It is tried again, and nothing is made twice; nothing to do."),
    "server_error": _("KohortPay had an error of its own. It is tried again; nothing to do."),
    "unreadable": _(
        "KohortPay's answer could not be read. It is tried again, and nothing is made twice; nothing to do."
    ),
    "redirected": _("The address answers with a redirect. An engineer has to check KOHORT_SYNC['BASE_URL']."),
    "mismatch": _(
        "KohortPay's answer speaks of somebody else, so it was not believed. An engineer has to check"
        " KOHORT_SYNC['API_KEY'] and KOHORT_SYNC['BASE_URL']."
    ),
    "crash_loop": _(
        "The process that sends this user was killed, or failed, several times in a row, so the user is left"
        " out, and tried again once a day for two weeks. An engineer has to look at CUSTOMER_DATA and"
        " SHOULD_SYNC for this user."
    ),
    "block_not_shown": _(
        "KohortPay does not show that the customer was blocked or unblocked. It is tried again; nothing to do"
        " yet."
    ),
    # what an erasure has left behind
    "erased_nothing": _("Erased: KohortPay had no customer for this user; nothing to do."),
    "erased_gone": _("Erased: the customer was anonymised, and KohortPay no longer shows it; nothing to do."),
    "erased_anonymised": _("Erased: the record remains at KohortPay, anonymised; nothing to do."),
    "erased_not_found": _(
        "Erased: KohortPay does not show the customer any more, at a second look either; nothing to do."
    ),
    # conflicts
    "email_in_use": _(
        "Another KohortPay customer already has this e-mail address. Correct the user's address and the user"
        " is sent; or decide with 'manage.py kohort_sync resolve' which customer is the user's."
    ),
    "duplicate_remote": _(
        "KohortPay has several customers with this reference. Choose one with 'manage.py kohort_sync"
        " resolve'."
    ),
    "claimed_twice": _(
        "The KohortPay customer is linked to another user already. Find out whose it is, then use 'manage.py"
        " kohort_sync resolve'."
    ),
    "deleted_remotely": _(
        "The customer was deleted at KohortPay. Decide with 'manage.py kohort_sync resolve' whether it comes"
        " back, or a new one is created."
    ),
    "remote_missing": _(
        "KohortPay no longer shows this customer, at a second look either. Decide with 'manage.py kohort_sync"
        " resolve' whether a new one is created."
    ),
    "adoption_failed": _(
        "KohortPay does not show the customer that was chosen. Choose another one with 'manage.py kohort_sync"
        " resolve'."
    ),
    "erasure_refused": _(
        "KohortPay did not let the customer be erased. Delete it there, then try again here."
    ),
    "reference_not_shown": _(
        "KohortPay does not show references, so the customer could not be recognised. Choose one with"
        " 'manage.py kohort_sync resolve', or have a new one created."
    ),
}

# What is given up because of the user alone. Any other code only names the last of many failures.
_PARKED: Mapping[str, str | Promise] = {
    "crash_loop": CODES["crash_loop"],
    "host_function_failed": _(
        "The site's function SHOULD_SYNC or CUSTOMER_DATA failed for this user for a whole day, so the user"
        " is tried only once a day for two weeks. An engineer finds the cause in the log."
    ),
}

# Why nothing is sent for a whole account just now, where no code above says it.
GATES: Mapping[str, str | Promise] = {
    "other_organization": _(
        "The key belongs to another organization than the customers that are linked here. An engineer has to"
        " set the right key."
    ),
    "other_database": _(
        "This database seems to be a copy of the one that the key was used from before, so nothing is sent."
        " An engineer gives a copy a key of its own; where the database itself has moved, 'manage.py"
        " kohort_sync doctor --accept' says so."
    ),
    "unavailable": _(
        "KohortPay failed several times in a row, or asked us to wait. It is asked again by itself; nothing"
        " to do."
    ),
}


def sentence(state: str, code: str) -> str | Promise:
    """Return the sentence for a code, or for the state where the code says nothing more."""
    if state == "parked":
        return _PARKED.get(code) or STATES[state]
    return CODES.get(code) or STATES[state]


def of_gate(code: str) -> str | Promise:
    """Return the sentence for why a gate is closed; empty for an open one."""
    return GATES.get(code) or CODES.get(code) or code


# What a reconciliation tells: each kind of difference, and what follows from it.
DIFFERENCES: Mapping[str, str | Promise] = {
    "equal": _("linked and equal; nothing to do."),
    "drifted": _("with other data than the user has here; the user's is sent again. Nothing to do."),
    "blocked": _("blocked at KohortPay; unblock them here if that is wrong."),
    "deleted": _("deleted at KohortPay; decide about each with 'manage.py kohort_sync resolve'."),
    "missing": _(
        "not shown by KohortPay; each is looked for once more, and then waits for a decision with"
        " 'manage.py kohort_sync resolve'."
    ),
    "claimed_twice": _(
        "with the reference of a user who is linked to another customer; remove one of the two at KohortPay."
    ),
    "unknown_ours": _(
        "made by this site for nobody who is here now, as after a restored backup; link or erase them by"
        " hand."
    ),
    "unknown_other": _("made by others, such as orders; nothing to do."),
    "stranger": _("of another mode or organization; tell KohortPay's support."),
}
