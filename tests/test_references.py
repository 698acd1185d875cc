"""References: safe to search for, short enough, and never the same twice."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohort_sync import references


@given(st.text(max_size=80))
def test_any_prefix_makes_a_safe_reference(prefix: str) -> None:
    reference = references.new(prefix=prefix)

    assert references.is_safe(reference)
    assert len(reference) <= references.MAX_LENGTH


@given(st.text(alphabet="abcXYZ019._-", max_size=references.LONGEST_PREFIX))
def test_a_safe_prefix_is_kept_whole(prefix: str) -> None:
    reference = references.new(prefix=prefix)

    assert reference.startswith(prefix)
    assert len(reference) == len(prefix) + 32


@pytest.mark.security(38)
def test_no_two_references_are_the_same() -> None:
    made = {references.new(prefix="x-") for _ in range(1000)}

    assert len(made) == 1000


@pytest.mark.failure(61)
def test_the_random_part_is_of_one_case_so_no_database_takes_two_for_one() -> None:
    made = {references.new(prefix="") for _ in range(100)}

    assert all(re.fullmatch("[0-9a-f]{32}", reference) for reference in made)


@pytest.mark.parametrize(
    ("reference", "safe"),
    [
        ("a", True),
        ("A.b_c-9", True),
        ("a" * 50, True),
        ("a" * 51, False),
        ("", False),
        ("a b", False),
        ("a:b", False),
        ("a,b", False),
        ("a%b", False),
        ("a/b", False),
        ("é", False),
        ("a\n", False),
        ("٣", False),
    ],
)
def test_only_what_the_search_understands_is_safe(reference: str, safe: bool) -> None:  # noqa: FBT001
    assert references.is_safe(reference) is safe
