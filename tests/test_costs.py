"""What an operation costs per batch: statements, requests to KohortPay and messages to the broker."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from django.db import connection
from django.utils import timezone

from kohort_sync import links, services, sweep, tasks, transactions
from kohort_sync.models import Account, CustomerLink, State, WorkClass
from kohort_sync.testing.service import Service
from tests.engine.people import User, drain
from tests.signup.conftest import Messages, messages

__all__ = ["messages"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

KEY = "default/test"
VENDOR = connection.vendor

# Django splits what has more than 999 values on SQLite, so a hundred customers are several statements there.
FEW, MANY = 10, 25 if VENDOR == "sqlite" else 100


@dataclass(kw_only=True)
class Cost:
    """Count what was asked of others; BEGIN with its level, COMMIT and savepoints apart."""

    statements: int = 0
    """An `executemany` is one here: SQLite has no way to go."""
    by_key: int = 0
    """Rows that an `executemany` wrote: on MariaDB a round trip each. PostgreSQL gets all of them at once."""
    transactions: int = 0
    """Of the engine's own: two more round trips each, and on MariaDB a third for the level."""
    requests: int = 0
    messages: int = 0

    def fits(self, budget: "Cost") -> bool:
        """Say whether this is no more than was budgeted, and whether just as much goes over the network."""
        is_no_more = (
            self.statements <= budget.statements
            and self.by_key <= budget.by_key
            and self.transactions <= budget.transactions
        )
        return is_no_more and (self.requests, self.messages) == (budget.requests, budget.messages)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Say how something is prepared and done for a number of customers, and what it may cost.

    All of them are one batch. Statements, transactions and messages are for the batch, whatever their number;
    rows by key and requests are for each customer.
    """

    name: str
    prepare: Callable[[int], Any]
    do: Callable[[Any], object]
    statements: int
    transactions: int = 0
    by_key: int = 0
    requests: int = 0
    messages: int = 0
    one_by_one: int = 0
    """Statements for each further customer on MariaDB, which updates rows one by one (decision 0012)."""
    of_a_server: int = 0
    """Statements more where the database is a server, which is asked who it is."""
    sizes: tuple[int, ...] = (FEW, MANY)

    def budget(self, customers: int) -> Cost:
        """Return what so many customers may cost."""
        return Cost(
            statements=self.statements
            + (self.of_a_server if VENDOR != "sqlite" else 0)
            + self.statements_for_each * (customers - 1),
            by_key=self.by_key * customers if VENDOR != "postgresql" else 0,
            transactions=self.transactions,
            requests=self.requests * customers,
            messages=self.messages,
        )

    @property
    def statements_for_each(self) -> int:
        """Return how many statements each further customer of a batch adds on this database."""
        return self.one_by_one if VENDOR == "mysql" else 0


def users(number: int) -> list[Any]:
    """Make users whom no signal announces."""
    first = User.objects.count()
    return User.objects.bulk_create(
        [User(username=f"u{n}", email=f"u{n}@example.com") for n in range(first, first + number)]
    )


def promised(number: int) -> None:
    """Make users who are due, and let all of them be one batch."""
    links.record(users(number), accounts=[KEY], using="default", work_class=WorkClass.BULK)
    one_batch()


def one_batch() -> None:
    """Let the account have learned a pace at which all that is due is one batch."""
    Account.objects.filter(pk=KEY).update(pace={"concurrency": 64, "latency": 0.5})


def linked(number: int) -> list[Any]:
    """Make users who are linked and rest."""
    made = users(number)
    links.record(made, accounts=[KEY], using="default", work_class=WorkClass.BULK)
    drain()
    assert not CustomerLink.objects.exclude(state=State.LINKED, next_attempt_at=None).exists()
    return made


def changed(number: int) -> None:
    """Make linked users who have changed since."""
    keys = [user.pk for user in linked(number)]
    User.objects.filter(pk__in=keys).update(first_name="Changed")
    links.mark_changed(CustomerLink.objects.filter(user__in=keys), work_class=WorkClass.CHANGE)
    one_batch()


def swept(_number: int) -> None:
    """Let the day's comparison of all links be over."""
    sweep.sweep("default")
    Account.objects.filter(pk=KEY).update(covered_at=timezone.now(), sweep_position=0)


def missing(number: int) -> None:
    """Make users whom only a sweep finds."""
    swept(number)
    users(number)


def older(number: int) -> None:
    """Make users who are older than the app."""
    users(number)
    Account.objects.filter(pk=KEY).update(covered_at=None)


def to_compare(number: int) -> None:
    """Make a slice of links whose turn it is to be compared."""
    before = linked(1)[0]
    linked(number)
    swept(number)
    position = CustomerLink.objects.get(user=before).pk
    Account.objects.filter(pk=KEY).update(sweep_position=position)


OPERATIONS = (
    # One statement of these two is the site's own.
    Operation(
        name="sign-up",
        prepare=lambda _: None,
        do=lambda _: User.objects.create_user("new", "new@example.com"),
        statements=2,
        messages=1,
        sizes=(1,),
    ),
    Operation(
        name="a saved change",
        prepare=lambda number: linked(number)[0],
        do=lambda user: user.save(),
        statements=2,
        messages=1,
        sizes=(1,),
    ),
    Operation(
        name="push",
        prepare=promised,
        do=lambda _: drain(),
        statements=31,
        transactions=8,
        by_key=2,
        requests=1,
        one_by_one=1,
        of_a_server=1,
    ),
    Operation(
        name="update",
        prepare=changed,
        do=lambda _: drain(),
        statements=32,
        transactions=8,
        by_key=2,
        requests=1,
        one_by_one=1,
        of_a_server=1,
    ),
    Operation(
        name="drain, nothing due",
        prepare=linked,
        do=lambda _: drain(),
        statements=11,
        transactions=3,
        of_a_server=1,
    ),
    Operation(
        name="sweep, nothing to do",
        prepare=swept,
        do=lambda _: tasks.sweep_accounts(),
        statements=17,
    ),
    Operation(
        name="sweep, a slice compared",
        prepare=to_compare,
        do=lambda _: tasks.sweep_accounts(),
        statements=21,
    ),
    Operation(
        name="sweep, missing users",
        prepare=missing,
        do=lambda _: tasks.sweep_accounts(),
        statements=19,
        transactions=1,
        messages=1,
    ),
    Operation(
        name="backfill, one range",
        prepare=older,
        do=lambda _: services.backfill("default"),
        statements=11,
        transactions=1,
        messages=1,
    ),
)


def test_no_operation_costs_more_than_its_budget(service: Service, messages: Messages) -> None:
    sign_up_first()

    lines = [
        Line(operation, customers, cost_of(operation, customers, service, messages))
        for operation in OPERATIONS
        for customers in operation.sizes
    ]

    assert all(line.cost.fits(line.budget) for line in lines), table(lines)
    for few, many in pairwise(lines):
        if few.operation is many.operation:
            more = few.operation.statements_for_each * (many.customers - few.customers)
            assert many.cost.statements - few.cost.statements == more, table(lines)
            assert many.cost.transactions == few.cost.transactions, table(lines)


def test_a_backfill_costs_the_same_for_each_range(
    service: Service, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up_first()
    monkeypatch.setattr(links, "AT_ONCE", FEW)
    backfill = OPERATIONS[-1]

    costs = {ranges: cost_of(backfill, ranges * FEW, service, messages) for ranges in (1, 2, 5)}

    for ranges, cost in costs.items():
        # The next keys, and the rows for them.
        more = 2 * (ranges - 1)
        assert cost.statements == backfill.statements + more
        assert (cost.transactions, cost.messages) == (ranges, 1)


class Line(NamedTuple):
    """Hold what an operation cost for so many customers."""

    operation: Operation
    customers: int
    cost: Cost

    @property
    def budget(self) -> Cost:
        return self.operation.budget(self.customers)


def cost_of(operation: Operation, customers: int, service: Service, messages: Messages) -> Cost:
    """Do it, as a process does that has woken nobody lately."""
    prepared = operation.prepare(customers)
    messages()
    tasks.forget()
    with counted(service, messages) as cost:
        operation.do(prepared)
    drain()
    return cost


def sign_up_first() -> None:
    """Do what a process does once: prove that our table is there, and learn whose account it is."""
    User.objects.create_user("first", "first@example.com")
    drain()


@contextmanager
def counted(service: Service, messages: Messages) -> Iterator[Cost]:
    """Count what is done inside."""
    cost = Cost()
    before = len(service.log)

    def count(execute: Callable[..., Any], sql: str, params: Any, *how: Any) -> Any:
        is_beginning = sql in transactions._BEGINS.values() or sql.startswith("BEGIN")  # so Django on SQLite
        cost.statements += not is_beginning
        is_many, _context = how
        cost.by_key += len(params) if is_many else 0
        return execute(sql, params, *how)

    begin = transactions._begun_at_its_level

    def count_beginning(*arguments: Any) -> Any:
        cost.transactions += 1
        return begin(*arguments)

    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(count):
        patch.setattr(transactions, "_begun_at_its_level", count_beginning)
        yield cost
    cost.requests = len(service.log) - before
    cost.messages = len(messages())


def table(lines: Sequence[Line]) -> str:
    """Lay out what everything cost, with the budget beside what differs from it."""
    names = [field.name for field in fields(Cost)]
    rows = [["operation", "customers", *names]]
    for line in lines:
        pairs = [(getattr(line.cost, name), getattr(line.budget, name)) for name in names]
        cells = [str(cost) if cost == budget else f"{cost}, budget {budget}" for cost, budget in pairs]
        rows.append([line.operation.name, str(line.customers), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(["", *("  ".join(map(str.ljust, row, widths)) for row in rows)])
