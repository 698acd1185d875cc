"""Parts of the list: whatever the ids and the page size, each customer is read once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohort_sync import reconcile
from kohort_sync.client.records import Page, RemoteCustomer
from kohort_sync.reconcile import parts

IDS = st.sets(st.text("aZ09_-", min_size=1, max_size=3).map("cus_".__add__), max_size=40)
START = datetime(2026, 1, 1, tzinfo=UTC)


def page(customers: Sequence[RemoteCustomer]) -> Page:
    return Page(tuple(customers), len(customers), 1, tuple(one.kohort_id for one in customers))


@given(ids=IDS, boundaries=IDS, size=st.integers(1, 25))
def test_ranges_read_each_customer_once(ids: set[str], boundaries: set[str], size: int) -> None:
    there = sorted(ids)
    read: list[str] = []

    for part in reconcile.ranges(sorted(boundaries)):
        while not part.done:
            assert isinstance(part, reconcile.KeyRange)
            next_ = [one for one in there if one > part.after][:size]
            read += [one.kohort_id for one in part.take(page([RemoteCustomer(kohort_id=i) for i in next_]))]
            part = reconcile.from_json(part.as_json())  # noqa: PLW2901 — as another process finds it

    assert sorted(read) == there
    assert len(read) == len(set(read))


@given(moments=st.lists(st.integers(0, 60), max_size=60), size=st.integers(2, 24))
def test_changes_are_all_read(moments: list[int], size: int) -> None:
    there = sorted(
        (
            RemoteCustomer(kohort_id=f"cus_{n}", updated_at=START + timedelta(milliseconds=at))
            for n, at in enumerate(moments)
        ),
        key=lambda one: (one.updated_at, one.kohort_id),
    )
    part: reconcile.Part = reconcile.Changes(since=reconcile.spelled(START))
    read: set[str] = set()

    try:
        while not part.done:
            assert isinstance(part, reconcile.Changes)
            since = datetime.fromisoformat(part.since)
            next_ = [one for one in there if one.updated_at and one.updated_at >= since][:25]
            read |= {one.kohort_id for one in part.take(page(next_))}
            part = reconcile.from_json(part.as_json())
    except reconcile.Misplaced:
        # More in one moment than a page holds: everything is read instead.
        assert max(map(moments.count, moments)) >= 25 - 1
    else:
        assert read == {one.kohort_id for one in there}


@pytest.mark.parametrize(
    "ids", [["cus_b", "cus_a"], ["cus_a", "cus_a"], ["cus_0"]], ids=["order", "twice", "below"]
)
def test_a_row_out_of_place_is_not_believed(ids: list[str]) -> None:
    part = reconcile.KeyRange(after="cus_1")

    with pytest.raises(reconcile.Misplaced):
        part.take(page([RemoteCustomer(kohort_id=one) for one in ids]))


def test_boundaries_out_of_order_make_one_range() -> None:
    assert reconcile.ranges(["cus_b", "cus_a"]) == [parts.KeyRange()]


def test_a_change_before_what_was_asked_for_is_not_believed() -> None:
    part = reconcile.Changes(since=reconcile.spelled(START))

    with pytest.raises(reconcile.Misplaced):
        part.take(page([RemoteCustomer(kohort_id="cus_1", updated_at=START - timedelta(milliseconds=1))]))
