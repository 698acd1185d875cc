"""Histories: the files of a run, read into values."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Line = Mapping[str, Any]
_Value = TypeVar("_Value")


class UnjudgeableError(Exception):
    """Say why a folder holds no run that can be judged: nothing in it is no proof of anything."""


@dataclass(frozen=True, slots=True)
class Change:
    """Be one change of one user that the site committed; `number` is its place in the site's history."""

    number: int
    op: str
    user: str
    email: str
    first_name: str
    last_name: str
    active: bool
    at: float


@dataclass(frozen=True, slots=True)
class Row:
    """Be one customer at one moment, at the service or in the mirror."""

    id: str
    email: str
    first_name: str
    last_name: str
    reference: str | None
    organization: str | None
    livemode: bool | None
    lives: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """Be one exchange as the service wrote it down; `row` is the customer after it, where there is one."""

    at: float
    ended: float
    method: str
    path: str
    reference: str | None
    committed: bool
    row: Row | None
    authorized: bool

    @property
    def creates(self) -> bool:
        """Say whether it asks for a new customer."""
        return self.method == "POST" and self.path.strip("/") == "customers"


@dataclass(frozen=True, slots=True)
class Signup:
    """Be one sign-up by the clock of whoever signed up."""

    at: float
    seconds: float
    ok: bool
    web_killed: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """Be one thing that broke; one without an end was over at once."""

    at: float
    ended: float
    kind: str
    process: bool
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Link:
    """Be one row about a user; `user` is None where it is gone."""

    id: str
    user: str | None
    reference: str
    kohort_id: str | None
    state: str
    due: float | None
    leased_until: float | None
    error: str
    reason: str


@dataclass(frozen=True)
class Histories:
    """Hold what is known about one run. `about` is run.json."""

    folder: Path
    about: Line
    committed: list[Change]
    rolled_back: set[str]
    signups: list[Signup]
    exchanges: list[Exchange]
    faults: list[Fault]
    links: list[Link]
    mirror: dict[str, Row]


def read(folder: Path) -> Histories:
    """Read a run's folder; raise `UnjudgeableError` where a file is missing or torn, or nothing happened."""
    run = Histories(
        folder=folder,
        about=_about(folder),
        # Written inside the transactions, so in the order of their numbers for each user, whoever sorts it.
        committed=sorted(_lines(folder, "committed", _change), key=lambda change: change.number),
        rolled_back={*_lines(folder, "rolled_back", lambda line: str(line["email"]))},
        signups=[*_lines(folder, "signups", _signup)],
        exchanges=[*_lines(folder, "service", _exchange)],
        faults=[*_lines(folder, "faults", _fault)],
        links=[*_lines(folder, "links", _link)],
        mirror={
            row.id: row for row in _lines(folder, "customers", lambda line: _row(line, id_in="kohort_id"))
        },
    )
    hollow = next((why for why, so in _hollow(run) if so), None)
    if hollow is not None:
        raise UnjudgeableError(f"{folder}: {hollow}, so nothing was put to the test.")
    return run


def _hollow(run: Histories) -> Iterator[tuple[str, bool]]:
    """Yield each way in which a run can be free of findings because there was none to be had."""
    yield "no user was committed", not run.committed
    came = len({change.user for change in run.committed})
    yield "fewer than half of the users came", came * 2 < run.about["users"]
    yield "the service was never asked", not run.exchanges
    made = any(exchange.creates and exchange.committed for exchange in run.exchanges)
    yield "the service never made a customer", not made
    yield "nothing broke", not run.faults


def _about(folder: Path) -> Line:
    path = folder / "run.json"
    try:
        about: Line = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UnjudgeableError(f"{path} cannot be read: {error}") from error
    return about


def _lines(folder: Path, name: str, make: Callable[[Line], _Value]) -> Iterator[_Value]:
    path = folder / f"{name}.jsonl"
    number = 0
    try:
        with path.open() as file:
            for number, line in enumerate(file, start=1):  # noqa: B007 - the message names the line
                yield make(json.loads(line))
    except OSError as error:
        raise UnjudgeableError(f"{path} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnjudgeableError(f"{path}, line {number} is not as agreed: {error!r}") from error


def _change(line: Line) -> Change:
    return Change(
        number=line["id"],
        op=line["op"],
        user=line["user"],
        email=line["email"],
        first_name=line["first_name"],
        last_name=line["last_name"],
        active=line["active"],
        at=line["at"],
    )


def _row(line: Line, *, id_in: str = "id") -> Row:
    return Row(
        id=line[id_in],
        email=line["email_address"] or "",
        # No name and an empty one are the same to a person.
        first_name=line["first_name"] or "",
        last_name=line["last_name"] or "",
        reference=line["client_reference_id"],
        organization=line["organization_id"],
        livemode=line["livemode"],
        lives=line["deleted_at"] is None,
    )


def _exchange(line: Line) -> Exchange:
    return Exchange(
        at=line["at"],
        ended=line["ended"],
        method=line["method"],
        path=line["path"],
        reference=line["reference"],
        committed=line["committed"],
        row=None if line["row"] is None else _row(line["row"]),
        authorized=line["authorized"],
    )


def _signup(line: Line) -> Signup:
    return Signup(
        at=line["at"],
        seconds=line["seconds"],
        ok=line["ok"],
        web_killed=line["web_killed"],
    )


def _fault(line: Line) -> Fault:
    return Fault(
        at=line["at"],
        ended=line["at"] if line["ended"] is None else line["ended"],
        kind=line["kind"],
        process=line["process"],
        retry_after=line.get("retry_after"),
    )


def _link(line: Line) -> Link:
    user = line["user_id"] if line["user_pk"] is None else line["user_pk"]
    return Link(
        id=str(line["id"]),
        user=None if user is None else str(user),
        reference=line["client_reference_id"],
        kohort_id=line["kohort_id"],
        state=line["state"],
        due=line["next_attempt_at"],
        leased_until=line["lease_until"],
        error=line["last_error_code"] or "",
        reason=line["reason"] or "",
    )
