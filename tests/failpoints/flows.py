"""The flows: what a user is taken through, which places of the engine that passes, and where it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kohort_sync import conf, mapping, services
from kohort_sync.models import CustomerLink, State
from kohort_sync.testing.faults import Fault
from tests.engine.people import User
from tests.machine.simulation import CANARY, IN_THE_SERVICE, Simulation, traces

ADDRESS = f"{CANARY}1@example.com"
MOVED = f"{CANARY}2@example.com"


@dataclass(frozen=True)
class Flow:
    """Describe one flow: what comes before, what begins it, and where the row of the user then stands."""

    begin: Callable[[Simulation], None]
    places: tuple[str, ...]
    """Where the engine passes by while it works this off; a place that it does not pass fails its test."""
    prepare: Callable[[Simulation], None] = lambda _: None
    sweeps: bool = False
    most_posts: int = 0
    """Creates at most: one, one more after an unknown outcome, and one more after a refusal."""
    settings: dict[str, Any] = field(default_factory=dict)
    state: State = State.LINKED
    is_blocked: bool = False


def _join(_: Simulation) -> None:
    User(username="ada", email=ADDRESS, first_name=f"Ada{CANARY}").save()


def _linked(world: Simulation) -> None:
    _join(world)
    world.drain()


def _written_about(world: Simulation) -> None:
    _linked(world)
    services.resync(CustomerLink.objects.all(), reason=f"Ada{CANARY} has called")
    world.drain()


def _gone_there(world: Simulation) -> None:
    _linked(world)
    (row,) = world.service.snapshot()
    world.service.soft_delete(row["id"])


def _change(_: Simulation) -> None:
    user = User.objects.get()
    user.first_name, user.email = f"Augusta{CANARY}", f"{CANARY}3@example.com"
    user.save()


def _shop(world: Simulation) -> None:
    world.service.checkout(email=ADDRESS)


def _lost(world: Simulation) -> None:
    """Lose a create on its way, and let its window end: it has to be looked up and sent once more."""
    _join(world)
    world.service.faults.add(Fault("reset", method="POST"))
    world.drain()
    world.clock.let_pass(1000)


def _stalling(world: Simulation) -> None:
    _join(world)
    world.service.faults.add(Fault("stall", method="POST", seconds=40))


def _erase(_: Simulation) -> None:
    services.erase(CustomerLink.objects.get(), reason=f"asked by {ADDRESS}")


def _erase_created(world: Simulation) -> None:
    """Ask for the erasure of somebody whose create was answered by nobody."""
    _join(world)
    world.service.faults.add(Fault("reset", method="POST", after_commit=True))
    world.drain()
    world.clock.let_pass(20)
    _erase(world)


def _block(_: Simulation) -> None:
    services.block(CustomerLink.objects.get(), reason="asked")


def _blocked(world: Simulation) -> None:
    _linked(world)
    _block(world)
    world.drain()


def _unblock(_: Simulation) -> None:
    services.unblock(CustomerLink.objects.get(), reason="asked")


def _unheard(world: Simulation) -> None:
    """Let one user go and another come without a signal, and the last one change."""
    del world
    User.objects.filter(username="bea")._raw_delete("default")
    User.objects.filter(username="ada").update(first_name=f"Augusta{CANARY}")
    User.objects.bulk_create([User(username="cleo", email=f"{CANARY}4@example.com")])


def _three_linked(world: Simulation) -> None:
    _join(world)
    for name in ("bea", "dora"):
        User(username=name, email=f"{CANARY}{name}@example.com").save()
    world.drain()
    # So long that the history is pruned, and what was not seen since is compared.
    world.clock.let_pass(100 * 24 * 3600.0)


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{when} {name}" for name in names for when in ("before", "after"))


_TURN = _both("claim", "reading", "settling", "writing", "reporting", "freeing", "leaving")
_SENT = (*_TURN, *_both("intend", "noting", "conclude", "mirroring"))
# Where the other flows are like these, a few places stand for all.
_SOME = (
    "after claim",
    "after intend",
    "before conclude",
    "before settling",
    "after writing",
    "after settling",
)

FLOWS: dict[str, Flow] = {
    "create": Flow(_join, (*_SENT, *_both("create")), most_posts=2),
    "create at rest": Flow(_stalling, (IN_THE_SERVICE,), most_posts=2),
    "create again": Flow(lambda _: None, (*_SOME, *_both("find", "create")), prepare=_lost, most_posts=2),
    "update": Flow(_change, (*_SENT, *_both("update")), prepare=_linked),
    "erase": Flow(
        _erase, (*_SENT, *_both("update", "delete", "get")), prepare=_written_about, state=State.ERASED
    ),
    "erase what is gone there": Flow(
        _erase, ("after claim", *_both("get"), "before settling"), prepare=_gone_there, state=State.ERASED
    ),
    "erase what was created": Flow(
        lambda _: None,
        (*_SOME, *_both("find", "update", "delete", "get")),
        prepare=_erase_created,
        state=State.ERASED,
    ),
    "adopt": Flow(
        _join,
        (*_SOME, *_both("create", "find", "find_by_email", "update")),
        prepare=_shop,
        most_posts=3,
        settings={"ADOPT_BY_EMAIL": True, "EMAIL_VERIFIED": lambda _user: True},
    ),
    "block": Flow(_block, (*_SOME, *_both("get", "block")), prepare=_linked, is_blocked=True),
    "unblock": Flow(_unblock, (*_SOME, *_both("get", "unblock")), prepare=_blocked),
    "sweep": Flow(
        _unheard,
        _both("forgetting", "recording", "comparing", "choosing", "pruning", "create", "update", "get"),
        prepare=_three_linked,
        sweeps=True,
        most_posts=2,
    ),
}


def what_is_wrong(flow: Flow, world: Simulation) -> list[str]:
    """Compare where everybody has got to with what the flow promises."""
    remote = {row["id"]: row for row in world.service.snapshot()}
    wrong = [*world.doubled(), *world.ledger.wrongs, *world.faults_of_the_engine]
    for link in CustomerLink.objects.select_related("customer", "user"):
        if link.next_attempt_at is not None or link.lease_token or link.posts:
            wrong.append(f"{link.state} is not at rest: {link.last_error_code}")
        if link.user is None:
            continue
        if link.state != flow.state or link.customer is None:
            wrong.append(f"{link.state} {link.last_error_code}, and not {flow.state}")
            continue
        theirs = remote[link.customer.kohort_id]
        wrong += _erased(link, theirs) if flow.state == State.ERASED else _unequal(link, theirs)
        if theirs["is_blocked"] != flow.is_blocked:
            wrong.append("the block is another")
    if {link.user_id for link in CustomerLink.objects.all()} < set(User.objects.values_list("pk", flat=True)):
        wrong.append("a user without a link")
    return wrong


def _unequal(link: CustomerLink, theirs: dict[str, Any]) -> list[str]:
    assert link.user is not None
    data = mapping.customer_data(link.user)
    shown = (
        theirs["email_address"],
        theirs["first_name"],
        theirs["client_reference_id"],
        theirs["deleted_at"],
    )
    promised = (data.email_address, data.first_name, link.client_reference_id, None)
    return [] if shown == promised else [f"{shown} is not {promised}"]


def _erased(link: CustomerLink, theirs: dict[str, Any]) -> list[str]:
    assert link.customer is not None
    left = traces([link, link.customer, *link.history.all()])
    return left + [name for name, value in theirs.items() if CANARY in str(value)]


ROW_LEASE_AND_MORE = conf.DEFAULTS["DEADLINE"] * 4 + 20
