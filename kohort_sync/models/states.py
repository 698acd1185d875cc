"""States: where a link can stand, and from where it may get to where."""

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """Say where a link stands. "In progress" is not among them: that is a lease."""

    PENDING = "pending", _("waiting to be sent")
    UNCERTAIN = "uncertain", _("sent, answer unknown")
    LINKED = "linked", _("linked")
    SKIPPED = "skipped", _("not sent")
    REJECTED = "rejected", _("refused by KohortPay")
    CONFLICT = "conflict", _("needs a decision")
    PARKED = "parked", _("given up for now")
    ERASING = "erasing", _("being erased")
    ERASED = "erased", _("erased")
    IGNORED = "ignored", _("left out on purpose")


# Nothing more is sent for these by itself.
FINAL = (State.ERASED, State.IGNORED)

_BY_A_PERSON = {State.ERASING, State.IGNORED}
_ANYWHERE = set(State) - {State.ERASED}

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset(_ANYWHERE - {State.PENDING}),
    # Nobody is left out while an answer is awaited.
    State.UNCERTAIN: frozenset(_ANYWHERE - {State.UNCERTAIN, State.IGNORED}),
    # With its customer a link never goes back to those that have none, unless a person decides so.
    State.LINKED: frozenset({State.CONFLICT, State.PARKED, *_BY_A_PERSON}),
    State.SKIPPED: frozenset(_ANYWHERE - {State.SKIPPED}),
    State.REJECTED: frozenset(_ANYWHERE - {State.REJECTED}),
    State.CONFLICT: frozenset(_ANYWHERE - {State.CONFLICT}),
    # An erasure that was given up may be done at once when it is taken up again.
    State.PARKED: frozenset(_ANYWHERE - {State.PARKED} | {State.ERASED}),
    State.ERASING: frozenset({State.ERASED, State.CONFLICT, State.PARKED}),
    # A worker that lost its lease reports that something may have arrived since.
    State.ERASED: frozenset({State.ERASING}),
    State.IGNORED: frozenset({State.PENDING, State.UNCERTAIN, State.LINKED, State.ERASING}),
}
"""Where a link may get to from each state, in one turn or by one decision. To stay is always allowed."""


def may_become(before: str, after: str) -> bool:
    """Say whether a link may get from one state to the other."""
    return before == after or after in TRANSITIONS[State(before)]


class WorkClass(models.IntegerChoices):
    """Rank what is due: a lower number goes first."""

    SIGNUP = 1, _("sign-up")
    CHANGE = 2, _("change")
    BULK = 3, _("bulk")
    LOOK_UP = 4, _("look-up")
    VERIFY = 5, _("verification")
