"""Steps: what one link needs next, and what came of it."""

from dataclasses import dataclass, field
from typing import ClassVar

from kohort_sync.client import errors
from kohort_sync.client.records import CustomerData, RemoteCustomer
from kohort_sync.links import Settlement
from kohort_sync.models import CustomerLink, SyncAttempt


@dataclass(frozen=True, kw_only=True)
class Step:
    """Say what one link needs next."""

    operation: ClassVar[str] = ""
    """What is written down before it is sent; empty for what only reads."""

    link: CustomerLink
    data: CustomerData | None = field(default=None, repr=False)
    """The user's present data; None where the user is gone, not wanted or cannot be sent."""


@dataclass(frozen=True, kw_only=True)
class Done(Step):
    settlement: Settlement


@dataclass(frozen=True, kw_only=True)
class LookUp(Step):
    otherwise: Settlement | None = None
    """How the link stands if nothing is found and the user is not to be sent any more."""


@dataclass(frozen=True, kw_only=True)
class Verify(Step):
    pass


@dataclass(frozen=True, kw_only=True)
class Adopt(Step):
    """Take over a customer that exists: the one of this id, else the one with the user's address."""

    kohort_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Create(Step):
    operation: ClassVar[str] = "create"

    sent: CustomerData = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Update(Step):
    operation: ClassVar[str] = "update"

    changes: dict[str, object] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Block(Step):
    operation: ClassVar[str] = "block"

    block: bool


@dataclass(frozen=True, kw_only=True)
class Erase(Step):
    operation: ClassVar[str] = "erase"

    changes: dict[str, object] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold what came of sending one step; and each exchange.

    `refusal` is the service's definitive no to a create, after which was looked: `found` and `error` then
    speak of the look-up. `carried_out` says whether the change was accepted before `error` came.
    """

    step: Step
    remote: RemoteCustomer | None = None
    found: tuple[RemoteCustomer, ...] | None = None
    error: errors.KohortError | None = None
    refusal: errors.Definitive | None = None
    carried_out: bool = False
    attempts: tuple[SyncAttempt, ...] = ()
