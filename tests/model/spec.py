"""The specification: the guards, one user's row, two workers, the service, and what must hold.

    rest ──claim──> begin ─┬─> look up ─┬─> intend ──> post ──> await ──> (created | refused) ──> link
                           │            └─> link
                           ├─> compare ──> compared
                           └─> update ─┬─────────────────┬─> updated
                                       └─> await update ─┘      └─> (user erased) delete ──> deleted

A worker stops between any two steps for as long as it likes: its next step may come after its lease is lost.
The service checks a reference in one step and inserts in another. Times are left out: "the settle window is
over" reads "no POST is under way", or no PATCH of a former holder; an expiry may come at any moment while a
budget lasts.

Not in the model: other writers in the organization, KohortPay deleting customers, more than one user.

`steps.py` says what can happen, `explorer.py` searches, `designs.py` names designs and what they are worth.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

# What may be chosen: guards are ours, the world is not.


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """Name the guards that are on. Without any it is the naive one: POST, and POST again."""

    look_up: bool = False
    """Before a POST is repeated, and when one is refused, look for a customer with our reference."""
    look_up_first: bool = False
    """Look before the first POST too."""
    lease: bool = False
    """One worker at a time; who lost the lease writes nothing any more."""
    fenced_intent: bool = False
    """Each call has a fenced write of its own before it, so a worker without the lease decides nothing."""
    freeze: bool = False
    """A repeated POST has the address of the first."""
    settle_before_post: bool = False
    """No second POST before the first has settled."""
    settle_before_change: bool = False
    """After several POSTs no change of the address before all have settled."""
    settle_after_reclaim: bool = False
    """The same after one POST, if another worker took over before it was resolved."""
    settle_before_erased: bool = False
    """Nobody counts as erased while an update of unknown outcome may have been under way."""
    margin_before_post: bool = False
    """Who lost the lease sends no POST. (The process asks its clock; it is never stopped just after it.)"""
    margin_before_update: bool = False
    """The same for a PATCH."""
    flag: bool = False
    """Whatever a lost lease or a lost answer may have changed asks for a comparison."""
    flag_waits: bool = False
    """A comparison that was asked for waits until no late worker is in the middle of an update."""
    flag_lasts: bool = False
    """A worker that writes the outcome of its update leaves a flag alone that was set meanwhile."""
    flag_outlasts_comparison: bool = False
    """So does one that writes the outcome of its comparison."""
    flag_reopens: bool = False
    """A late report opens the row of an erased user again."""
    second_look: bool = False
    """What was flagged is compared once more when no update of a former holder is under way."""
    erase_repeats: bool = False
    """A customer who still shows an address after an erasure is erased once more, not left to a person."""
    rolling: bool = False
    """Every customer is compared again from time to time, whatever happened."""
    rolling_erased: bool = False
    """Those who were erased are too, and erased once more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Say what the service and the users may do."""

    unique_email: bool = True
    """The service refuses a second customer with the same address."""
    updates_travel: bool = False
    """A PATCH arrives some time after it is sent, also when its sender is gone."""
    changes_back: bool = False
    """A user may return to the address before."""
    erases: bool = False
    """The site wants its deleted users erased, not kept."""
    deletes: bool = False
    """A DELETE works. Otherwise it is refused, and an anonymised customer remains."""


class Budget(NamedTuple):
    """Count the faults that may still happen."""

    kills: int
    losses: int
    changes: int
    expiries: int
    deletions: int = 0


# What there is


class At(StrEnum):
    """Name where a worker stands: what it does next."""

    REST = "rest"
    BEGIN = "begin"
    LOOK_UP = "look up"
    LOOK_UP_LAST = "look up for a user who is gone"
    INTEND = "intend"
    POST = "post"
    AWAIT = "await"
    CREATED = "created"
    REFERENCE_TAKEN = "reference taken"
    EMAIL_TAKEN = "e-mail taken"
    LINK = "link"
    COMPARED = "compared"
    UPDATE = "update"
    AWAIT_UPDATE = "await update"
    UPDATED = "updated"
    DELETE = "delete"
    DELETED = "deleted"


ANONYMOUS = -1
"""The address of a customer who was anonymised."""


class Row(NamedTuple):
    """What the database has. Addresses are numbers: 0 is the first that the user had."""

    customer: int | None = None
    """The number of the customer it is linked to."""
    intent_email: int | None = None
    """The address of the first POST, or of the last where it is not frozen."""
    posts: int = 0
    """POSTs that were written down before they were sent: none, one, or two for several."""
    leased: bool = False
    synced: int | None = None
    """The address that the service is thought to have."""
    reclaimed: bool = False
    """Claimed again while a create was unresolved."""
    verify: bool = False
    reported: bool = False
    """Flagged again while it was compared."""
    unsettled: bool = False
    """An update of unknown outcome may be under way."""
    closed: bool = False
    """The user is gone, and nobody looks at the row again: skipped without a customer, or erased."""


class Worker(NamedTuple):
    """One process, and what it has in mind.

    `owns`: nobody has claimed the row since, though the lease may have ended. Without leases all own it.
    """

    owns: bool = False
    at: At = At.REST
    email: int | None = None
    customer: int | None = None


NOBODY = -1
"""The sender of a request for which nobody waits any more."""


class Post(NamedTuple):
    """A create under way. `checked`: the service has found the reference free, and inserts next."""

    sender: int
    email: int
    checked: bool = False


class Update(NamedTuple):
    """A PATCH under way."""

    sender: int
    email: int


class Customer(NamedTuple):
    """A customer at the service."""

    number: int
    email: int


class State(NamedTuple):
    """Everything, at one moment."""

    left: Budget
    row: Row = Row()
    workers: tuple[Worker, ...] = (Worker(), Worker())
    posts: tuple[Post, ...] = ()
    updates: tuple[Update, ...] = ()
    customers: tuple[Customer, ...] = ()
    user: int = 0
    gone: bool = False


# What must hold: never two customers, and from everywhere a way to what was promised.


def has_duplicate(state: State) -> bool:
    """Say whether the user has two customers."""
    return len(state.customers) > 1


def is_goal(state: State, world: World) -> bool:
    """Say whether everything is as promised.

    The one customer is known and has the user's address; of a deleted user it is known, or there is none; of
    an erased one nobody has the address.
    """
    row = state.row
    if state.gone and (world.erases or not state.customers):
        return row.closed and all(customer.email == ANONYMOUS for customer in state.customers)
    if len(state.customers) != 1 or row.customer != state.customers[0].number:
        return False
    return state.gone or row.synced == state.user == state.customers[0].email
