"""The catalogue of mutants stays true of the code: each changes one place, and names tests that exist."""

import ast
from pathlib import Path

import pytest

from tests.mutants.catalogue import mutants
from tests.mutants.mutant import Mutant

_ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_and_remains_a_program(mutant: Mutant) -> None:
    text = (_ROOT / mutant.module).read_text()

    assert text.count(mutant.old) == 1
    ast.parse(text.replace(mutant.old, mutant.new))


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_names_tests_that_exist(mutant: Mutant) -> None:
    assert mutant.caught_by
    for node in mutant.caught_by:
        path, _, name = node.partition("::")
        assert (_ROOT / path).exists(), node
        if name:
            assert f"def {name.partition('[')[0].rpartition('::')[2]}(" in (_ROOT / path).read_text(), node


def test_no_two_mutants_have_one_name() -> None:
    names = [mutant.name for mutant in mutants()]

    assert len(names) == len({*names})
