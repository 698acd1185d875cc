import time

import pytest

from tests.conformance.lines import pins
from tests.conformance.target import JSON, Sandbox, Target, error, ids, unique


def some(target: Target, count: int) -> tuple[str, list[JSON]]:
    """Create customers whose references begin alike; return that beginning and the customers.

    No two are of one millisecond, so that their times have an order.
    """
    token = unique()
    made = []
    for number in range(count):
        made.append(target.made(clientReferenceId=f"{token}-{number:03}"))
        time.sleep(0.002)
    return token, made


@pins("take")
@pytest.mark.parametrize("take", [0, -1, 26, "x"])
def test_a_page_of_fewer_than_1_or_more_than_25_is_refused(target: Target, take: object) -> None:
    response = target.list(take=take)

    assert response.status_code == 400
    assert error(response)["message"][0].startswith("take ")


@pins("take", "count", "skip")
def test_without_take_a_page_has_25_and_the_count_is_the_total(target: Target) -> None:
    token, made = some(target, 27)

    pages = [target.search(f"clientReferenceId~{token}", skip=skip, orderBy="id:asc") for skip in (0, 25, 50)]

    assert [len(page["data"]) for page in pages] == [25, 2, 0]
    assert [page["count"] for page in pages] == [27, 27, 27]
    assert sorted(ids(pages[0]) + ids(pages[1])) == sorted(row["id"] for row in made)


@pins("skip")
def test_beyond_the_end_is_200_and_empty_and_a_negative_skip_is_500(target: Target) -> None:
    beyond = target.list(skip=10_000_000)

    assert (beyond.status_code, beyond.json()["data"]) == (200, [])
    assert target.list(skip=-1).status_code == 500


@pins("order")
def test_the_order_has_a_direction_or_is_newest_first(target: Target) -> None:
    token, made = some(target, 3)
    oldest_first = [row["id"] for row in made]

    def listed(order: str) -> list[str]:
        return ids(target.search(f"clientReferenceId~{token}", orderBy=order))

    assert listed("createdAt:asc") == oldest_first
    assert listed("clientReferenceId:desc") == oldest_first[::-1]
    assert listed("id") == listed("clientReferenceId") == listed("createdAt:desc")
    assert listed("id:asc") == sorted(oldest_first)


@pins("ties")
def test_rows_that_tie_are_skipped_and_repeated_between_pages(sandbox: Sandbox) -> None:
    token = unique()
    made = {sandbox.made(clientReferenceId=f"{token}-{n}", firstName="Ada")["id"] for n in range(60)}

    walked = [
        found
        for skip in range(0, 60, 20)
        for found in ids(
            sandbox.search(f"clientReferenceId~{token}", orderBy="firstName:asc", take=20, skip=skip)
        )
    ]

    assert len(walked) == 60
    assert set(walked) < made


@pins("walk")
def test_a_walk_by_id_meets_every_row_once_while_others_are_inserted(target: Target) -> None:
    token, made = some(target, 12)
    first, last = min(row["id"] for row in made), max(row["id"] for row in made)

    walked: list[str] = []
    while not walked or walked[-1] < last:
        bound = f'id>"{walked[-1]}"' if walked else f'id>="{first}"'
        walked += ids(target.search(bound, orderBy="id:asc", take=5))
        target.made(clientReferenceId=f"{token}-new-{len(walked)}")

    assert walked == sorted(set(walked))
    assert {row["id"] for row in made} <= set(walked)


@pins("walk")
def test_ranges_of_ids_are_walked_side_by_side(target: Target) -> None:
    _, made = some(target, 5)
    low, _, middle, _, high = sorted(row["id"] for row in made)

    def between(start: str, end: str) -> JSON:
        return target.search(f'id>="{start}" AND id<"{end}"', orderBy="id:asc", take=25)

    parts, whole = [between(low, middle), between(middle, high)], between(low, high)
    assert sum(part["count"] for part in parts) == whole["count"]
    assert ids(parts[0])[0] == low
    assert all(low <= found < middle for found in ids(parts[0]))


@pins("increments")
def test_what_changed_since_a_time_is_found_in_the_order_of_change(target: Target) -> None:
    _, made = some(target, 3)
    first, _, third = made

    changed = target.patch(first["id"], {"firstName": "Ada"}).json()
    listed = target.search(f'updatedAt>="{third["updated_at"]}"', orderBy="updatedAt:asc", take=25)

    assert [found for found in ids(listed) if found in {row["id"] for row in made}] == [
        third["id"],
        first["id"],
    ]
    assert target.search(f'updatedAt>"{changed["updated_at"]}"', take=1)["count"] == 0
