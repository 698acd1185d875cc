"""What may happen between the commit and our callback: another app's fault, or the end of the process."""

from pathlib import Path

import pytest

from tests.broker.site import everybody_is_linked_once, site
from tests.broker.throwaway import RedisServer

pytestmark = pytest.mark.services


@pytest.mark.failure(2, 5)
@pytest.mark.parametrize(
    ("before", "answer"), [("raise", {"raised": "OthersFault"}), ("kill", {})], ids=["raises", "is killed"]
)
def test_whoever_signs_up_where_our_callback_never_runs_is_found_by_the_sweep(
    tmp_path: Path, migrated: Path, own_redis: RedisServer, before: str, answer: dict[str, str]
) -> None:
    with site(tmp_path, broker=own_redis.url, migrated=migrated) as running:
        other = running.door()
        door = running.door()

        told = door.sign_up("ada", before=before)

        assert {name: value for name, value in told.items() if name != "seconds"} == answer
        assert own_redis.waiting() == 0
        assert other.links() == {"ada": "pending"}
        running.worker()
        running.beat()
        running.wait_until_linked(other)
        everybody_is_linked_once(running, other)
