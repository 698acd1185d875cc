"""The failure table is covered: each row has a test that bears its number, and a mutant that it notices."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.failures import FAILURES
from tests.mutants.catalogue import mutants

_ROOT = Path(__file__).resolve().parent.parent
_TESTS = _ROOT / "tests"

WITHOUT_A_MUTANT: dict[int, str] = {}
"""Rows whose guard cannot be taken out of our code, and why."""


@cache
def marked() -> dict[int, set[str]]:
    """Return the tests of each row, as pytest names them, from their sources: that costs no collection."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted(_TESTS.rglob("test_*.py")):
        for name, rows in _marks(ast.parse(path.read_text()).body):
            for row in rows:
                found[row].add(f"{path.relative_to(_ROOT).as_posix()}::{name}")
    return found


def _marks(body: list[ast.stmt], *, within: str = "") -> Iterator[tuple[str, list[int]]]:
    """Yield each test that bears a mark of its own, and the rows that it names."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _marks(node.body, within=f"{within}{node.name}::")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.failure":
                    yield f"{within}{node.name}", [ast.literal_eval(row) for row in decorator.args]


def seen_by_a_mutant() -> set[int]:
    """Return the rows one of whose tests notices a mutant."""
    noticing = {node.partition("[")[0] for mutant in mutants() for node in mutant.caught_by}
    return {row for row, tests in marked().items() if tests & noticing}


def test_the_table_has_78_rows() -> None:
    assert list(FAILURES) == list(range(1, 79))


@pytest.mark.parametrize("row", FAILURES)
def test_a_row_is_tested(row: int) -> None:
    assert marked().get(row), FAILURES[row].fault


def test_no_test_bears_the_number_of_an_unknown_row() -> None:
    assert {row: tests for row, tests in marked().items() if row not in FAILURES} == {}


@pytest.mark.parametrize("row", sorted(FAILURES.keys() - WITHOUT_A_MUTANT.keys()))
def test_the_guard_of_a_row_is_missed_when_it_is_taken_out(row: int) -> None:
    assert row in seen_by_a_mutant(), FAILURES[row].guarantee


def test_only_rows_without_a_mutant_are_excused_and_each_says_why() -> None:
    assert WITHOUT_A_MUTANT.keys() & seen_by_a_mutant() == set()
    assert all(WITHOUT_A_MUTANT.values())
