"""Settling: write down how links stand after their turn, and give the leases back."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Value, When

from kohort_sync import bulk, clock, conf
from kohort_sync.bulk import AnyOf
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.links.claiming import Batch
from kohort_sync.links.rows import Asked, hold, write
from kohort_sync.models import CustomerLink, State, SyncAttempt, WorkClass
from kohort_sync.models.states import may_become
from kohort_sync.transactions import writing


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """Say how a link stands after its turn. What is not named here stays as it was."""

    link: CustomerLink
    state: State
    changes: dict[str, Any] = field(default_factory=dict, repr=False)
    due_in: float | None = None
    """Seconds until the next turn; None where nothing is due until the data changes or a person acts."""
    remote: RemoteCustomer | None = None
    """What the service showed: it goes into the mirror, and a linked row points there."""
    attempts: tuple[SyncAttempt, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what the state machine does not know: a fault in a decision must not be written down."""
        if not may_become(self.link.state, self.state):
            raise ValueError(f"A link does not get from {self.link.state} to {self.state}.")


_SETTLED_COLUMNS = (
    "state",
    "intent",
    "intent_email",
    "intent_version",
    "posts",
    "settle_until",
    "customer",
    "work_class",
    "next_attempt_at",
    "synced_version",
    "fingerprint",
    "refused",
    "verify",
    "look_again_at",
    "wants_block",
    "wants_restore",
    "wants_customer",
    "erased_at",
    "lease_token",
    "lease_until",
    "attempts",
    "crashes",
    "failing_since",
    "parkings",
    "last_error_code",
    "last_error",
    "conflict_kind",
    "conflict_ids",
    "linked_at",
    "synced_at",
)


def settle(
    batch: Batch,
    settlements: Sequence[Settlement],
    *,
    mirror: Callable[[list[RemoteCustomer]], Mapping[str, int]],
    now: datetime,
    using: str,
) -> set[int]:
    """Write outcomes down, give the leases back, and return the keys of the links that were settled.

    `mirror` writes what the service showed and maps KohortPay ids to mirror rows; it gets only what belongs
    to rows that are still ours. A link that changed while its request was under way stays due. Rows that
    somebody else has locked are missing: settle them again. Needs a transaction.
    """
    ours = CustomerLink.objects.using(using).filter(lease_token=batch.token)
    held = hold(ours, [settlement.link.pk for settlement in settlements], using=using)
    mirrored = mirror([s.remote for s in settlements if s.remote is not None and s.link.pk in held])
    rows: list[CustomerLink] = []
    attempts: list[SyncAttempt] = []
    taken = _taken_customers(settlements, mirrored, using=using)
    for settlement in settlements:
        link = settlement.link
        if link.pk not in held:
            continue
        # Nothing but an outcome counts as progress: the process has survived this row.
        link.lease_token, link.lease_until, link.crashes = "", None, 0
        for name, value in settlement.changes.items():
            setattr(link, name, value)
        link.state = settlement.state
        if settlement.state in (State.LINKED, State.ERASING) and settlement.remote is not None:
            _point_to_customer(link, settlement.remote.kohort_id, mirrored, taken=taken, now=now)
        due_in = _due_in(link, settlement.due_in, now=now)
        if held[link.pk].desired_version != link.desired_version:
            due_in = 0.0
            _heed(link, held[link.pk], now=now)
        link.next_attempt_at = None if due_in is None else now + timedelta(seconds=due_in)
        rows.append(link)
        attempts.extend(settlement.attempts)
    write(rows, _SETTLED_COLUMNS, token=batch.token, using=using)
    bulk.insert(attempts, using=using)
    _forget_reasons([link.pk for link in rows if link.state == State.ERASED], using=using)
    return set(held)


def _forget_reasons(keys: Collection[int], *, using: str) -> None:
    """Remove what people wrote about somebody who is erased; that they decided, and when, stays."""
    if keys:
        SyncAttempt.objects.using(using).filter(link__in=keys).exclude(operation="erase").update(reason="")


def _due_in(link: CustomerLink, due_in: float | None, *, now: datetime) -> float | None:
    if link.state == State.CONFLICT:
        return None
    if due_in is None and link.state == State.LINKED and link.look_again_at is not None:
        return max(0.0, (link.look_again_at - now).total_seconds())
    return due_in


def _heed(link: CustomerLink, asked: Asked, *, now: datetime) -> None:
    """Keep what was asked for while the row was being sent: the outcome knows nothing of it."""
    link.work_class = WorkClass.CHANGE
    link.refused = ""
    link.verify = link.verify or asked.verify
    if asked.look_again_at is not None and asked.look_again_at > now:
        link.look_again_at = max(asked.look_again_at, link.look_again_at or asked.look_again_at)
    link.wants_block, link.wants_restore = asked.wants_block, asked.wants_restore
    link.wants_customer = asked.wants_customer
    is_asked_anew = asked.erase_asked_at is not None and link.erase_asked_at is None
    if is_asked_anew or (link.state == State.ERASED and asked.verify):
        link.state = State.ERASING
        link.conflict_kind = ""


def _taken_customers(
    settlements: Sequence[Settlement], mirrored: Mapping[str, int], *, using: str
) -> dict[int, int]:
    """Map mirror rows to the links that have them already."""
    wanted = [
        mirrored[settlement.remote.kohort_id]
        for settlement in settlements
        if settlement.remote is not None
        and settlement.remote.kohort_id in mirrored
        and settlement.state in (State.LINKED, State.ERASING)
    ]
    rows = (
        CustomerLink.objects.using(using)
        .filter(AnyOf(F("customer"), wanted))
        .values_list("customer_id", "pk")
    )
    return dict(rows)


def _point_to_customer(
    link: CustomerLink, kohort_id: str, mirrored: Mapping[str, int], *, taken: dict[int, int], now: datetime
) -> None:
    """Link to a mirror row, unless another user has it: then a person decides."""
    customer = mirrored[kohort_id]
    if taken.setdefault(customer, link.pk) != link.pk:
        link.state = State.CONFLICT
        link.conflict_kind = link.last_error_code = "claimed_twice"
        link.conflict_ids = [kohort_id]
        return
    link.customer_id = customer
    if link.state == State.LINKED:
        link.linked_at = link.linked_at or now
        link.synced_at = now


def still_ours(batch: Batch, keys: Collection[int], *, using: str) -> set[int]:
    """Return those of `keys` that this batch holds still."""
    if not keys:
        return set()
    rows = CustomerLink.objects.using(using).filter(pk__in=keys, lease_token=batch.token)
    return set(rows.values_list("pk", flat=True))


def report_late(batch: Batch, keys: Collection[int], *, using: str) -> int:
    """Ask for a look at linked rows whose lease was lost while something was sent for them; and a second one.

    What was sent may arrive after the first look.
    """
    if not keys:
        return 0
    settled = clock.now(using=using) + timedelta(seconds=conf.settle_window())
    reported = 0
    for key in keys:  # one by one: whoever holds one of them is not waited for while another is held
        with writing(using=using):
            reported += _report(key, batch, again_at=settled, using=using)
    return reported


def _report(key: int, batch: Batch, *, again_at: datetime, using: str) -> int:
    return (
        CustomerLink.objects.using(using)
        .filter(pk=key)
        .exclude(lease_token=batch.token)
        .exclude(customer=None)
        # Whoever is left out is compared when somebody decides otherwise.
        .exclude(state=State.IGNORED)
        # With a new version, or the outcome of whoever holds the row now would wipe the report away. What is
        # erased may have been filled again.
        .update(
            verify=True,
            look_again_at=again_at,
            state=Case(When(state=State.ERASED, then=Value(State.ERASING)), default=F("state")),
            desired_version=F("desired_version") + 1,
            next_attempt_at=clock.DatabaseNow(),
        )
    )
