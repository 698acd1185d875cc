"""The search: every state that can be reached, and from which of them what was promised cannot be reached."""

import time
from collections import deque
from dataclasses import dataclass, field

from tests.model import spec
from tests.model.spec import Budget, Design, State, World
from tests.model.steps import steps


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Say what a design is worth."""

    states: int
    transitions: int
    duplicates: int
    """States with two customers. They are not followed further."""
    stuck: int
    """States from which nothing but another fault leads to the goal."""
    seconds: float
    duplicate_trace: tuple[str, ...] = ()
    """The shortest way to a duplicate, and below to where no way leads on."""
    stuck_trace: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Say whether neither happens."""
        return not self.duplicates and not self.stuck


class TooManyStates(Exception):
    """The search was stopped: choose smaller budgets."""


def explore(design: Design, world: World, budget: Budget, *, limit: int = 6_000_000) -> Verdict:
    """Search breadth-first; then go backwards from the goal along what is no fault. Raises TooManyStates."""
    started = time.perf_counter()
    graph = _reach(design, world, budget, limit=limit)
    stuck = graph.find_stuck()
    return Verdict(
        states=len(graph.origins),
        transitions=graph.transitions,
        duplicates=len(graph.duplicates),
        stuck=len(stuck),
        seconds=time.perf_counter() - started,
        duplicate_trace=graph.trace(next(iter(graph.duplicates))) if graph.duplicates else (),
        stuck_trace=graph.trace(stuck[0]) if stuck else (),
    )


def _reach(design: Design, world: World, budget: Budget, *, limit: int) -> "_Graph":
    start = State(left=budget)
    graph = _Graph(world)
    numbers = {start: graph.add(start, origin=-1, words="")}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        number = numbers[state]
        if spec.has_duplicate(state):
            continue
        for words, after, is_chance in steps(state, design, world):
            known = numbers.get(after)
            if known is None:
                known = numbers[after] = graph.add(after, origin=number, words=words)
                queue.append(after)
            graph.note_step(number, known, is_chance=is_chance)
        if len(numbers) > limit:
            raise TooManyStates(limit)
    return graph


@dataclass(slots=True)
class _Graph:
    """States by number, in the order in which they were found; so the first is the nearest."""

    world: World
    transitions: int = 0
    origins: list[tuple[int, str]] = field(default_factory=list)
    goals: list[int] = field(default_factory=list)
    duplicates: dict[int, None] = field(default_factory=dict)
    before: list[list[int]] = field(default_factory=list)
    """Of each state, those from which a step that is no fault leads to it."""
    failed: set[int] = field(default_factory=set)
    """Duplicates, and the states one step from there: they are not called stuck as well."""

    def add(self, state: State, *, origin: int, words: str) -> int:
        number = len(self.origins)
        self.origins.append((origin, words))
        self.before.append([])
        if spec.has_duplicate(state):
            self.duplicates[number] = None
            self.failed.add(number)
        elif spec.is_goal(state, self.world):
            self.goals.append(number)
        return number

    def note_step(self, number: int, after: int, *, is_chance: bool) -> None:
        self.transitions += 1
        if after in self.duplicates:
            self.failed.add(number)
        if not is_chance:
            self.before[after].append(number)

    def find_stuck(self) -> list[int]:
        """Return the states without a way to the goal."""
        good = set(self.goals)
        queue = deque(self.goals)
        while queue:
            new = [number for number in self.before[queue.popleft()] if number not in good]
            good.update(new)
            queue.extend(new)
        good |= self.failed
        return [number for number in range(len(self.origins)) if number not in good]

    def trace(self, number: int) -> tuple[str, ...]:
        words = []
        while number:
            number, step = self.origins[number]
            words.append(step)
        return tuple(reversed(words))
