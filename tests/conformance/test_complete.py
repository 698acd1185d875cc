from collections.abc import Iterator

from tests.conformance import (
    test_answers,
    test_calls,
    test_connection,
    test_errors,
    test_fields,
    test_keys,
    test_listing,
    test_search,
)
from tests.conformance.lines import LINES

MODULES = (
    test_answers,
    test_calls,
    test_connection,
    test_errors,
    test_fields,
    test_keys,
    test_listing,
    test_search,
)
# What one key of a real service cannot show: a second key, another mode, a soft-deleted row, a fault at will.
SIMULATOR_ONLY = {
    "abandoned",
    "deleted-answers",
    "deleted-at",
    "disposable",
    "idle",
    "key-organization",
    "own-changes",
    "reference-race",
    "ties",
}


def pinned(*, anywhere: bool) -> Iterator[str]:
    for module in MODULES:
        for name, test in vars(module).items():
            if not name.startswith("test_"):
                continue
            lines = test.__dict__.get("pinned_lines")
            assert lines, f"{name} pins no line"
            if not anywhere or "target" in test.__annotations__:
                yield from lines


def test_every_line_is_pinned() -> None:
    assert set(LINES) - set(pinned(anywhere=False)) == set()


def test_what_only_the_simulator_can_show_is_listed() -> None:
    assert set(LINES) - set(pinned(anywhere=True)) == SIMULATOR_ONLY
