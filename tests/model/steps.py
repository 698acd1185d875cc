"""What can happen next: the moves of the workers, their faults, the service, the user."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.model.spec import ANONYMOUS, NOBODY, At, Customer, Design, Post, Row, State, Update, Worker, World

MOST_POSTS = 3
"""How many creates are under way at most."""


class Step(NamedTuple):
    """One thing that can happen. Faults, and what users do, are `chance`: they may happen but need not."""

    words: str
    after: State
    is_chance: bool = False


def steps(state: State, design: Design, world: World) -> Iterator[Step]:
    """Yield each step that can follow."""
    yield from _rolls(state, design, world)
    for number, worker in enumerate(state.workers):
        turn = Turn(state, design, world, number, worker)
        if worker.at is At.REST:
            if _may_claim(turn):
                yield _claim(turn)
        else:
            yield from _faults(turn)
            yield from _MOVES[worker.at](turn)
    for post in state.posts:
        yield _service_takes_post(state, world, post)
    for update in state.updates:
        yield _service_takes_update(state, update)
    yield from _user_acts(state, world)


def _rolls(state: State, design: Design, world: World) -> Iterator[Step]:
    """Compare a linked user again, or look after an erased one, while nobody works."""
    row = state.row
    is_at_rest = all(worker.at is At.REST for worker in state.workers)
    if row.customer is None or row.leased or not is_at_rest or _is_due(state, design, world):
        return
    if design.rolling and not state.gone:
        yield Step("it is time to compare again", state._replace(row=row._replace(verify=True)))
    if design.rolling_erased and row.closed:
        yield Step("it is time to erase again", state._replace(row=row._replace(closed=False)))


def _is_due(state: State, design: Design, world: World) -> bool:
    row = state.row
    if state.gone:
        return not row.closed and (row.customer is None or world.erases)
    return row.customer is None or row.synced != state.user or row.verify or _is_second_look(state, design)


def _is_second_look(state: State, design: Design) -> bool:
    return design.second_look and state.row.unsettled and not _former_update_is_under_way(state)


def _former_update_is_under_way(state: State) -> bool:
    return any(update.sender == NOBODY or not state.workers[update.sender].owns for update in state.updates)


@dataclass(frozen=True, slots=True)
class Turn:
    """One worker's possibilities in one state."""

    state: State
    design: Design
    world: World
    number: int
    worker: Worker

    def goes(self, words: str, to: At, *, email: int | None, customer: int | None, **changes: Any) -> Step:
        """Move on with an address and a customer in mind; `changes` are the state's."""
        worker = Worker(self.worker.owns, to, email, customer)
        return Step(f"w{self.number} {words}", self._with(worker, **changes))

    def keeps(self, words: str, to: At, **changes: Any) -> Step:
        """Move on with the same in mind."""
        return self.goes(words, to, email=self.worker.email, customer=self.worker.customer, **changes)

    def ends(self, words: str, row: Row | None = None, *, is_chance: bool = False, **changes: Any) -> Step:
        """Stop working: give the lease back, and wait no longer for what is under way."""
        row = row or self.state.row
        if self.design.lease and self.worker.owns:
            row = row._replace(leased=False)
        after = self._with(
            Worker(),
            row=row,
            posts=self._unawaited(self.state.posts),
            updates=self._unawaited(self.state.updates),
            **changes,
        )
        return Step(f"w{self.number} {words}", after, is_chance)

    def _unawaited(self, requests: tuple[Any, ...]) -> tuple[Any, ...]:
        if all(request.sender != self.number for request in requests):
            return requests
        return tuple(
            sorted(
                request._replace(sender=NOBODY) if request.sender == self.number else request
                for request in requests
            )
        )

    def _with(self, worker: Worker, **changes: Any) -> State:
        first, second = self.state.workers
        workers = (worker, second) if self.number == 0 else (first, worker)
        return self.state._replace(workers=workers, **changes)


# Claiming


def _may_claim(turn: Turn) -> bool:
    state, design = turn.state, turn.design
    if turn.number == 1 and state.workers[0].at is At.REST:
        return False  # of two resting workers, which are the same, the first one goes
    if not _is_due(state, design, turn.world):
        return False
    if not design.lease:
        return True
    return not (state.row.leased or _must_settle(state, design) or _flag_must_wait(state, design))


def _must_settle(state: State, design: Design) -> bool:
    """Say whether the row is due only later, because a POST may still be under way."""
    row = state.row
    if not state.posts:
        return False
    if row.customer is None:
        return design.settle_before_post
    several = design.settle_before_change and row.posts > 1
    return several or (design.settle_after_reclaim and row.reclaimed)


def _flag_must_wait(state: State, design: Design) -> bool:
    if not (design.flag_waits and state.row.verify):
        return False
    updating = (At.UPDATE, At.AWAIT_UPDATE, At.UPDATED)
    return any(worker.at in updating and not worker.owns for worker in state.workers)


def _claim(turn: Turn) -> Step:
    """Start working. With leases, all others are fenced out from now on."""
    state, design, row = turn.state, turn.design, turn.state.row
    workers = list(state.workers)
    if design.lease:
        taken_over = any(worker.owns and worker.at is not At.REST for worker in workers)
        unresolved = row.intent_email is not None and row.customer is None
        if _is_second_look(state, design):
            row = row._replace(verify=True, unsettled=False)
        if taken_over and row.customer is not None:
            row = _flagged(turn, row, is_open=True)
        row = row._replace(leased=True, reclaimed=row.reclaimed or unresolved, reported=False)
        workers = [worker._replace(owns=False) for worker in workers]
    workers[turn.number] = Worker(owns=True, at=At.BEGIN)
    return Step(f"w{turn.number} claims", state._replace(workers=tuple(workers), row=row))


def _flagged(turn: Turn, row: Row, *, is_open: bool) -> Row:
    """Ask for a comparison. `is_open`: an update may still be under way, and change what is seen at once."""
    design = turn.design
    if not design.flag:
        return row
    keeps_in_mind = design.second_look or (design.settle_before_erased and turn.world.erases)
    being_compared = any(worker.owns and worker.at is At.COMPARED for worker in turn.state.workers)
    return row._replace(
        verify=True,
        reported=row.reported or (design.flag_outlasts_comparison and being_compared),
        unsettled=row.unsettled or (keeps_in_mind and is_open),
        closed=row.closed and not design.flag_reopens,
    )


# Faults of a worker


def _faults(turn: Turn) -> Iterator[Step]:
    state, left, at = turn.state, turn.state.left, turn.worker.at
    if left.kills:
        spent = left._replace(kills=left.kills - 1)
        yield turn.ends(f"is KILLED before: {at}", _killed(turn), is_chance=True, left=spent)
    if turn.design.lease and turn.worker.owns and state.row.leased and left.expiries:
        row, spent = state.row._replace(leased=False), left._replace(expiries=left.expiries - 1)
        words = f"w{turn.number} loses its LEASE before: {at}"
        yield Step(words, state._replace(row=row, left=spent), is_chance=True)
    if at in (At.AWAIT, At.AWAIT_UPDATE) and left.losses:
        spent = left._replace(losses=left.losses - 1)
        yield turn.ends("gets NO ANSWER", _unanswered(turn), is_chance=True, left=spent)


def _killed(turn: Turn) -> Row:
    """Return the row after a kill. Whoever claims it next sees a lease that was never given back."""
    row = turn.state.row
    sees_it = turn.worker.owns and row.customer is not None
    # Where a PATCH is done the moment it is sent, and no address comes back, there is nothing to see.
    return _flagged(turn, row, is_open=True) if sees_it and turn.world.updates_travel else row


def _unanswered(turn: Turn) -> Row:
    row = turn.state.row
    return _flagged(turn, row, is_open=True) if turn.worker.at is At.AWAIT_UPDATE else row


# Moves of a worker


def _begin(turn: Turn) -> Iterator[Step]:
    """Read the row and the user, and decide."""
    state, row, design = turn.state, turn.state.row, turn.design
    if design.fenced_intent and not turn.worker.owns:
        yield turn.ends("is fenced")
    elif state.gone:
        yield _begin_without_user(turn)
    elif row.customer is None:
        looks = design.look_up and (design.look_up_first or row.posts > 0)
        yield turn.keeps("begins", At.LOOK_UP if looks else At.INTEND)
    elif row.verify:
        email = state.customers[0].email
        yield turn.goes(f"GETs address {email}", At.COMPARED, email=email, customer=None)
    elif row.synced == state.user:
        yield turn.ends("finds nothing to do")
    else:
        yield turn.goes(f"wants address {state.user}", At.UPDATE, email=state.user, customer=None)


def _begin_without_user(turn: Turn) -> Step:
    row = turn.state.row
    if row.customer is not None and turn.world.erases:
        return _begin_erasing(turn)
    if row.customer is not None:
        return turn.ends("sends nothing more")
    if row.posts and turn.design.look_up:
        return turn.keeps("begins for a user who is gone", At.LOOK_UP_LAST)
    return _skip(turn, "skips the user")


def _begin_erasing(turn: Turn) -> Step:
    """Anonymise at once: the data has waited long enough. It is done again until nothing can undo it."""
    unsettled = turn.state.row.unsettled and _former_update_is_under_way(turn.state)
    # From here on a flag tells of something new.
    row = turn.state.row._replace(verify=False, unsettled=unsettled)
    return turn.goes("wants to anonymise", At.UPDATE, email=ANONYMOUS, customer=None, row=row)


def _skip(turn: Turn, words: str) -> Step:
    if not turn.worker.owns:
        return turn.ends("is fenced")
    return turn.ends(words, turn.state.row._replace(closed=True))


def _look_up(turn: Turn) -> Iterator[Step]:
    yield _link_found(turn) or turn.keeps("finds none", At.INTEND)


def _look_up_last(turn: Turn) -> Iterator[Step]:
    if found := _link_found(turn):
        yield found
    elif turn.design.settle_before_post and turn.state.posts:
        yield turn.ends("finds none, which may change")
    else:
        yield _skip(turn, "finds none, and skips the user")


def _link_found(turn: Turn) -> Step | None:
    """Take over the customer with our reference, and the address that it has."""
    if not turn.state.customers:
        return None
    number, email = turn.state.customers[0]
    return turn.goes(f"finds customer {number}", At.LINK, email=email, customer=number)


def _intend(turn: Turn) -> Iterator[Step]:
    """Write down what is about to be sent."""
    row = turn.state.row
    if not turn.worker.owns:
        yield turn.ends("is fenced")
        return
    frozen = turn.design.freeze and row.intent_email is not None
    email = row.intent_email if frozen else turn.state.user
    several = min(2, row.posts + 1)
    row = row._replace(intent_email=email, posts=several)
    yield turn.goes(f"intends address {email}", At.POST, email=email, customer=None, row=row)


def _post(turn: Turn) -> Iterator[Step]:
    posts, email = turn.state.posts, turn.worker.email
    assert email is not None
    if turn.design.margin_before_post and not turn.worker.owns:
        yield turn.ends("has no time left to POST")
    elif len(posts) < MOST_POSTS:
        posts = tuple(sorted((*posts, Post(turn.number, email))))
        yield turn.keeps(f"POSTs address {email}", At.AWAIT, posts=posts)


def _created(turn: Turn) -> Iterator[Step]:
    yield turn.keeps(f"gets 201 for customer {turn.worker.customer}", At.LINK)


def _refused(turn: Turn) -> Iterator[Step]:
    """Look before a refusal is believed: it may be an earlier create of ours that has worked."""
    found = _link_found(turn) if turn.design.look_up else None
    yield found or turn.ends("believes the refusal")


def _link(turn: Turn) -> Iterator[Step]:
    _, _, email, customer = turn.worker
    if not turn.worker.owns:
        yield turn.ends("is fenced")
        return
    yield turn.ends(f"links customer {customer}", turn.state.row._replace(customer=customer, synced=email))


def _compared(turn: Turn) -> Iterator[Step]:
    if not turn.worker.owns:
        yield turn.ends("is fenced")
        return
    row, email = turn.state.row, turn.worker.email
    row = row._replace(synced=email, verify=row.reported, reported=False)
    yield turn.ends(f"records address {email}", row)


def _update(turn: Turn) -> Iterator[Step]:
    state, email = turn.state, turn.worker.email
    assert email is not None
    if turn.design.margin_before_update and not turn.worker.owns:
        yield turn.ends("has no time left to PATCH")
    elif turn.world.updates_travel:
        updates = tuple(sorted((*state.updates, Update(turn.number, email))))
        yield turn.keeps(f"PATCHes address {email}", At.AWAIT_UPDATE, updates=updates)
    else:
        yield turn.keeps(f"PATCHes address {email}", At.UPDATED, customers=_with_email(state, email))


def _updated(turn: Turn) -> Iterator[Step]:
    row, email = turn.state.row, turn.worker.email
    if not turn.worker.owns:
        yield turn.ends("is fenced", _flagged(turn, row, is_open=False))
    elif email == ANONYMOUS:
        yield turn.keeps("has anonymised", At.DELETE)
    else:
        verify = row.verify and turn.design.flag_lasts
        yield turn.ends(f"writes address {email}", row._replace(synced=email, verify=verify))


def _delete(turn: Turn) -> Iterator[Step]:
    """DELETE, and GET what is left."""
    left = () if turn.world.deletes else turn.state.customers
    email = left[0].email if left else ANONYMOUS
    yield turn.goes(
        f"DELETEs, and GETs address {email}", At.DELETED, email=email, customer=None, customers=left
    )


def _deleted(turn: Turn) -> Iterator[Step]:
    row, design = turn.state.row, turn.design
    shows_another = turn.worker.email != ANONYMOUS
    # Decided by what was known before the first request: what is settled now may have arrived after the GET.
    too_early = row.verify or (design.settle_before_erased and row.unsettled)
    if not turn.worker.owns:
        yield turn.ends("is fenced")
    elif shows_another and not design.erase_repeats:
        yield turn.ends("leaves it to a person", row._replace(closed=True))
    elif shows_another or too_early:
        yield turn.ends("has to erase once more")
    else:
        yield turn.ends("has erased", row._replace(closed=True))


def _wait(_: Turn) -> Iterator[Step]:
    """Do nothing: the service answers, or the answer is lost."""
    yield from ()


_MOVES: dict[At, Callable[[Turn], Iterator[Step]]] = {
    At.BEGIN: _begin,
    At.LOOK_UP: _look_up,
    At.LOOK_UP_LAST: _look_up_last,
    At.INTEND: _intend,
    At.POST: _post,
    At.AWAIT: _wait,
    At.CREATED: _created,
    At.REFERENCE_TAKEN: _refused,
    At.EMAIL_TAKEN: _refused,
    At.LINK: _link,
    At.COMPARED: _compared,
    At.UPDATE: _update,
    At.AWAIT_UPDATE: _wait,
    At.UPDATED: _updated,
    At.DELETE: _delete,
    At.DELETED: _deleted,
}


# The service


def _service_takes_post(state: State, world: World, post: Post) -> Step:
    """Check the reference in one step, and insert in another: in between, somebody else may insert."""
    index = state.posts.index(post)
    rest = state.posts[:index] + state.posts[index + 1 :]
    others = {customer.email for customer in state.customers}
    if not post.checked and state.customers:
        return _answer(state, post, "refuses the reference", At.REFERENCE_TAKEN, posts=rest)
    if not post.checked:
        posts = tuple(sorted((*rest, post._replace(checked=True))))
        return Step("service: the reference is free", state._replace(posts=posts))
    if world.unique_email and post.email in others:
        return _answer(state, post, "refuses the address", At.EMAIL_TAKEN, posts=rest)
    new = Customer(len(state.customers), post.email)
    words = f"INSERTS customer {new.number} with address {new.email}"
    return _answer(
        state, post, words, At.CREATED, customer=new.number, posts=rest, customers=(*state.customers, new)
    )


def _answer(
    state: State, post: Post, words: str, to: At, *, customer: int | None = None, **changes: Any
) -> Step:
    workers = list(state.workers)
    if post.sender != NOBODY:
        workers[post.sender] = workers[post.sender]._replace(at=to, customer=customer)
    return Step(f"service: {words}", state._replace(workers=tuple(workers), **changes))


def _service_takes_update(state: State, update: Update) -> Step:
    index = state.updates.index(update)
    rest = state.updates[:index] + state.updates[index + 1 :]
    workers = list(state.workers)
    if update.sender != NOBODY:
        workers[update.sender] = workers[update.sender]._replace(at=At.UPDATED)
    after = state._replace(workers=tuple(workers), updates=rest, customers=_with_email(state, update.email))
    return Step(f"service: CHANGES the address to {update.email}", after)


def _with_email(state: State, email: int) -> tuple[Customer, ...]:
    """Change the one customer, if there is one. Two are a failure already, and are not looked at further."""
    return tuple(customer._replace(email=email) for customer in state.customers)


# The user


def _user_acts(state: State, world: World) -> Iterator[Step]:
    left = state.left
    if state.gone:
        return
    if left.changes:
        spent = left._replace(changes=left.changes - 1)
        for email in _next_emails(state, world):
            after = state._replace(user=email, left=spent)
            yield Step(f"user: changes the address to {email}", after, is_chance=True)
    if left.deletions:
        spent = left._replace(deletions=left.deletions - 1)
        yield Step("user: is deleted", state._replace(gone=True, left=spent), is_chance=True)


def _next_emails(state: State, world: World) -> tuple[int, ...]:
    if world.changes_back and state.user:
        return (state.user + 1, state.user - 1)
    return (state.user + 1,)
