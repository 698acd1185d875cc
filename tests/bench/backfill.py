"""Backfill: a million older users, beside one statement for all; and who signs up meanwhile."""

from typing import Any

from tests.bench.signup import beside_a_backfill
from tests.bench.stage import Stage

_MILLION = 1_000_000
_ROUNDS = 1


def measure(stage: Stage) -> dict[str, Any]:
    """Backfill the same million by the app and by one statement, in turns."""
    stage.act("unknown", _MILLION)
    runs: dict[str, list[dict[str, Any]]] = {"app": [], "one statement": []}
    for _ in range(_ROUNDS):
        for kind, told in runs.items():
            stage.sql("TRUNCATE kohort_sync_customerlink, kohort_sync_account CASCADE", database="first")
            stage.sql("CHECKPOINT")
            told.append(stage.act("backfill", named={"kind": kind}))
            print(f"  {kind}: {told[-1]['seconds']:.0f} s, {told[-1]['found']}", flush=True)
    stage.sql("VACUUM ANALYZE", database="first")
    covered = stage.act("backfill", named={"kind": "app"})
    sums = {kind: min(told, key=lambda one: one["seconds"]) for kind, told in runs.items()}
    transactions = sorted(seconds for one in runs["app"] for seconds in one["transactions"])
    result = {
        "seconds": {kind: one["seconds"] for kind, one in sums.items()},
        "rows": sums["app"]["rows"],
        "grown_mib": max(one["grown_mib"] for one in runs["app"]),
        "p99": transactions[int(0.99 * len(transactions))],
        "longest": transactions[-1],
        "found": covered["found"],
    }
    result["meanwhile"] = {
        service: beside_a_backfill(stage, service=service, users=users)
        for service, users in (("100ms", 100_000), ("serial", 100_000))
    }
    print(f"  {result}", flush=True)
    return result
