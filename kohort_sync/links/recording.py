"""Recording: what the site and the sweep note down, each in one statement and without a host's function."""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections, transaction
from django.db.models import Case, F, Field, QuerySet, Value, When
from django.db.models.functions import Coalesce

from kohort_sync import clock, conf, mapping, references
from kohort_sync.links.rows import hold, in_turns, insert_or_ignore, new_row, update_each
from kohort_sync.models import FINAL, CustomerLink, State, WorkClass
from kohort_sync.transactions import writing


def record(
    users: Collection[AbstractBaseUser], *, accounts: Iterable[str], using: str, work_class: WorkClass
) -> None:
    """Promise users to each account. Those who have a row keep it.

    In SQL of our own: a sign-up waits for it, and Django's way to the same statement costs more.
    """
    prefix = conf.reference_prefix()
    rows = [
        (account, user.pk, mapping.key_of(user), references.new(prefix=prefix), work_class.value)
        for account in accounts
        for user in users
    ]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        _insert(rows[start : start + _ROWS_AT_ONCE], using=using)


_GIVEN = ("account", "user", "user_pk", "client_reference_id", "work_class")
_ROWS_AT_ONCE = 30

_Term = tuple[str, Sequence[Any]]


def _insert(rows: Sequence[tuple[Any, ...]], *, using: str) -> None:
    connection = connections[using]
    given, _ = _fields(using)
    sql, defaults = _statement(clock.written(connection), number=len(rows), using=using)
    values: list[Any] = []
    for row in rows:
        values += [field.get_db_prep_save(value, connection) for field, value in zip(given, row, strict=True)]
        values += defaults
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


@cache
def _statement(now: clock.Sql, *, number: int, using: str) -> tuple[str, list[Any]]:
    """Write the statement for so many rows, each given some values that are followed by the others."""
    given, others = _fields(using)
    written = [now if each is None else each for each in others.values()]
    row = ", ".join(["%s"] * len(given) + [term for term, _ in written])
    # A raw deletion may have left a row behind whose key the database gives out again.
    source = f"VALUES {', '.join([f'({row})'] * number)}"
    return insert_or_ignore([*given, *others], source, using=using), [v for _, each in written for v in each]


@cache
def _fields(using: str) -> tuple[list["Field[Any, Any]"], dict["Field[Any, Any]", _Term | None]]:
    """Return the fields that a row is given, and how the others are written; None is the present moment."""
    given = [cast("Field[Any, Any]", CustomerLink._meta.get_field(name)) for name in _GIVEN]
    due = cast("Field[Any, Any]", CustomerLink._meta.get_field("next_attempt_at"))
    others = {field: value for field, value in new_row().items() if field not in given}
    others[due] = clock.DatabaseNow()
    return given, {
        field: None if isinstance(value, clock.DatabaseNow) else _term(field, value, connections[using])
        for field, value in others.items()
    }


def _term(field: "Field[Any, Any]", value: Any, connection: Any) -> _Term:
    """Write a value that is the same in every row; on PostgreSQL into the statement, once for all of them."""
    value = field.get_db_prep_save(value, connection)
    if connection.vendor != "postgresql":
        return "%s", (value,)
    connection.ensure_connection()
    return connection.ops.compose_sql("%s", [value]).replace("%", "%%"), ()


def mark_changed(links: QuerySet[CustomerLink], *, work_class: WorkClass) -> int:
    """Note that the users of these links may have changed; the drainer finds out. Returns how many."""
    return links.exclude(state__in=[*FINAL, State.ERASING]).update(**changed(work_class))


def ask_to_compare(keys: Collection[int], *, using: str) -> int:
    """Mark links for a comparison with what KohortPay has; what was refused is tried anew. Returns how many.

    What somebody else has locked is marked row by row afterwards: this never waits while it holds a lock,
    unless it is called inside a transaction of the host's.
    """
    return sum(_ask_at_once(turn, using=using) for turn in in_turns(keys, using=using))


def _ask_at_once(keys: Collection[int], *, using: str) -> int:
    rows = CustomerLink.objects.using(using).exclude(state__in=[*FINAL, State.ERASING])
    begin = transaction.atomic if connections[using].in_atomic_block else writing
    with begin(using=using):
        held = hold(rows, keys, using=using)
        marked = update_each(held, using=using, **_to_be_compared())
    for key in sorted({*keys} - held.keys()):
        with begin(using=using):
            found = rows.filter(pk=key).select_for_update().values_list("pk", flat=True)
            marked += update_each(list(found), using=using, **_to_be_compared())
    return marked


def _to_be_compared() -> dict[str, Any]:
    return {"verify": True, "refused": "", **changed(WorkClass.BULK)}


def changed(work_class: WorkClass) -> dict[str, Any]:
    """Return the columns that an UPDATE writes where something has to be done anew."""
    return {
        "desired_version": F("desired_version") + 1,
        "next_attempt_at": clock.DatabaseNow(),
        "work_class": work_class,
    }


def mark_found(keys: Collection[int], *, using: str) -> int:
    """Note that the users of these links have changed unheard; what somebody holds is passed over.

    Returns how many.
    """
    resting = CustomerLink.objects.using(using).filter(next_attempt_at=None, lease_token="")
    return _mark(resting, keys, using=using, **changed(WorkClass.BULK))


def _mark(rows: QuerySet[CustomerLink], keys: Collection[int], *, using: str, **columns: Any) -> int:
    """Lock what is free of these rows and write the columns, a few at a time; return how many."""
    marked = 0
    for turn in in_turns(keys, using=using):
        with writing(using=using):
            marked += update_each(hold(rows, turn, using=using), using=using, **columns)
    return marked


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
    return _mark(waiting, freed, using=using, **_to_be_compared())


def verify_in_turn(keys: Collection[int], *, using: str) -> int:
    """Mark linked rows that rest for a comparison when nothing else is due. Returns how many.

    Nobody has asked for it, so what is refused stays refused; what is being sent is left alone.
    """
    resting = CustomerLink.objects.using(using).filter(
        state=State.LINKED, next_attempt_at=None, lease_token=""
    )
    wanted = {"verify": True, "next_attempt_at": clock.DatabaseNow(), "work_class": WorkClass.VERIFY}
    return _mark(resting, keys, using=using, **wanted)


def forget_users(links: QuerySet[CustomerLink], *, erase: bool) -> int:
    """Note that the users of these links are gone, and whether they are to be erased there too.

    Returns how many.
    """
    return links.update(**_gone(erase=erase))


def forget_users_of(keys: Collection[int], *, erase: bool, using: str) -> int:
    """Do the same for the engine: in its own transactions, and only where nobody holds the row."""
    return _mark(CustomerLink.objects.using(using), keys, using=using, **_gone(erase=erase))


def forget_what_was_sent(keys: Collection[int], *, using: str) -> int:
    """Remove the hashes of what was sent for links whose users are long gone. Returns how many."""
    return _mark(CustomerLink.objects.using(using), keys, using=using, fingerprint={})


def _gone(*, erase: bool) -> dict[str, Any]:
    return {
        "user_pk": None,
        "user": None,
        "user_gone_at": Coalesce(F("user_gone_at"), clock.DatabaseNow()),
        **changed(WorkClass.CHANGE),
        **(erasure_asked_for() if erase else {}),
    }


def erasure_asked_for() -> dict[str, Any]:
    """Return the columns that an UPDATE writes to ask for an erasure; what is erased already stays so."""
    return {
        "state": Case(When(state=State.ERASED, then=Value(State.ERASED)), default=Value(State.ERASING)),
        "erase_asked_at": Coalesce(F("erase_asked_at"), clock.DatabaseNow()),
        "conflict_kind": "",
        "last_error_code": Case(When(state=State.ERASED, then=F("last_error_code")), default=Value("")),
    }
