"""Recording: what the site and the sweep note down, each in one statement and without a host's function."""

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Coalesce

from kohort_sync import clock, conf, mapping, references
from kohort_sync.links.rows import hold
from kohort_sync.models import FINAL, CustomerLink, State, WorkClass
from kohort_sync.transactions import writing


def record(
    users: Collection[AbstractBaseUser], *, accounts: Iterable[str], using: str, work_class: WorkClass
) -> None:
    """Promise users to each account, in one statement. Those who have a row keep it."""
    prefix = conf.reference_prefix()
    CustomerLink.objects.using(using).bulk_create(
        [
            CustomerLink(
                account=account,
                user_id=user.pk,
                user_pk=mapping.key_of(user),
                client_reference_id=references.new(prefix=prefix),
                work_class=work_class,
                next_attempt_at=clock.DatabaseNow(),
            )
            for account in accounts
            # In one order everywhere, so that two callers cannot wait for each other in a circle.
            for user in sorted(users, key=_key)
        ],
        # A raw deletion may have left a row behind whose key the database gives out again.
        ignore_conflicts=True,
    )


def _key(user: AbstractBaseUser) -> Any:
    """Return the primary key as the database orders it: a host may have given a number as text."""
    return user.__class__._meta.pk.to_python(user.pk)


def mark_changed(links: QuerySet[CustomerLink], *, work_class: WorkClass) -> int:
    """Note that the users of these links may have changed; the drainer finds out. Returns how many."""
    return links.exclude(state__in=[*FINAL, State.ERASING]).update(
        desired_version=F("desired_version") + 1,
        next_attempt_at=clock.DatabaseNow(),
        work_class=work_class,
    )


def ask_to_compare(keys: Collection[int], *, using: str) -> int:
    """Mark links for a comparison with what KohortPay has; what was refused is tried anew. Returns how many.

    What somebody else has locked is marked row by row afterwards: this never waits while it holds a lock,
    unless it is called inside a transaction of the host's.
    """
    ordered = sorted(keys)
    starts = range(0, len(ordered), _AT_ONCE)
    return sum(_ask_at_once(ordered[start : start + _AT_ONCE], using=using) for start in starts)


# So few that a save of the site's that meets one of them waits for a moment at most.
_AT_ONCE = 500


def _ask_at_once(keys: Collection[int], *, using: str) -> int:
    rows = CustomerLink.objects.using(using).exclude(state__in=[*FINAL, State.ERASING])
    begin = transaction.atomic if connections[using].in_atomic_block else writing
    with begin(using=using):
        held = hold(rows, keys, using=using)
        marked = _mark_for_comparison(held, using=using)
    for key in sorted({*keys} - held.keys()):
        with begin(using=using):
            found = rows.filter(pk=key).select_for_update().values_list("pk", flat=True)
            marked += _mark_for_comparison(list(found), using=using)
    return marked


def _mark_for_comparison(keys: Collection[int], *, using: str) -> int:
    # By their keys alone, which are locked: InnoDB would wait for rows that it passes on the way.
    return (
        CustomerLink.objects.using(using)
        .filter(pk__in=keys)
        .update(
            verify=True,
            refused="",
            desired_version=F("desired_version") + 1,
            next_attempt_at=clock.DatabaseNow(),
            work_class=WorkClass.BULK,
        )
    )


def try_addresses_again(kohort_ids: Collection[str], *, account: str, using: str) -> int:
    """Take up the conflicts over an address that one of these customers has just given up.

    Returns how many.
    """
    if not kohort_ids:
        return 0
    waiting = CustomerLink.objects.using(using).filter(
        account=account, state=State.CONFLICT, conflict_kind="email_in_use"
    )
    # No two databases search a list in JSON alike, and there are few such links.
    freed = [
        pk for pk, ids in waiting.values_list("pk", "conflict_ids") if not set(kohort_ids).isdisjoint(ids)
    ]
    with writing(using=using):
        held = hold(waiting, freed, using=using)
        return _mark_for_comparison(held, using=using)


def verify_in_turn(keys: Collection[int], *, using: str) -> int:
    """Mark linked rows that rest for a comparison when nothing else is due. Returns how many.

    Nobody has asked for it, so what is refused stays refused; what is being sent is left alone.
    """
    with writing(using=using):
        resting = CustomerLink.objects.using(using).filter(
            state=State.LINKED, next_attempt_at=None, lease_token=""
        )
        held = hold(resting, keys, using=using)
        return (
            CustomerLink.objects.using(using)
            .filter(pk__in=held)
            .update(verify=True, next_attempt_at=clock.DatabaseNow(), work_class=WorkClass.VERIFY)
        )


def forget_users(links: QuerySet[CustomerLink], *, erase: bool) -> int:
    """Note that the users of these links are gone, and whether they are to be erased there too.

    Returns how many.
    """
    return links.update(
        user_pk=None,
        user=None,
        user_gone_at=Coalesce(F("user_gone_at"), clock.DatabaseNow()),
        desired_version=F("desired_version") + 1,
        next_attempt_at=clock.DatabaseNow(),
        work_class=WorkClass.CHANGE,
        **(erasure_asked_for() if erase else {}),
    )


def forget_users_of(keys: Collection[int], *, erase: bool, using: str) -> int:
    """Do the same for the engine: in its own transaction, and only where nobody holds the row."""
    with writing(using=using):
        held = hold(CustomerLink.objects.using(using), keys, using=using)
        return forget_users(CustomerLink.objects.using(using).filter(pk__in=held), erase=erase)


def erasure_asked_for() -> dict[str, Any]:
    """Return the columns that an UPDATE writes to ask for an erasure; what is erased already stays so."""
    return {
        "state": Case(When(state=State.ERASED, then=Value(State.ERASED)), default=Value(State.ERASING)),
        "erase_asked_at": Coalesce(F("erase_asked_at"), clock.DatabaseNow()),
        "conflict_kind": "",
        "last_error_code": Case(When(state=State.ERASED, then=F("last_error_code")), default=Value("")),
    }
