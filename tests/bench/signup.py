"""Signing up: what it adds to a request, and how soon the customer is there."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.stage import Stage, load, simulator

_LATENCY = 0.1
_STEADY = ((1.0, 60), (50.0, 1000))


def measure(stage: Stage) -> dict[str, Any]:
    """Sign people up in the three ways by turns, then at a steady rate beside a worker."""
    told: dict[str, Any] = {"each": stage.act("signup", 1500, BENCH_NUDGE="1")}
    print(f"  medians: {told['each']['median']}", flush=True)
    stage.empty()
    told["bulk"] = stage.act("bulk", 10_000, named={"rounds": 7})
    print(f"  bulk: {told['bulk']}", flush=True)
    told["steady"] = {f"{rate:.0f}": _steady(stage, rate, number) for rate, number in _STEADY}
    return told


def _steady(stage: Stage, rate: float, number: int) -> dict[str, float]:
    stage.empty()
    with simulator("100ms") as service:
        where = {"BENCH_SERVICE": service.url, "BENCH_NUDGE": "1"}
        with stage.worker(pool=2, queue="celery", **where):
            # Until the pace is known, which a drain writes down when it ends.
            stage.act("sign_ups", round(20 * rate), named={"rate": rate}, **where)
            before = service.stats()
            committed = stage.act("sign_ups", number, named={"rate": rate}, **where)["committed"]
            linked = stage.act("linked", named={"keys": list(committed), "seconds": 60.0}, **where)["linked"]
            load(before, service.stats())
    waited = sorted(linked.get(key, float("inf")) - at for key, at in committed.items())
    told = {"p50": waited[len(waited) // 2], "p95": waited[int(0.95 * len(waited))], "longest": waited[-1]}
    print(f"  {rate:.0f} a second: {told}", flush=True)
    return told


def beside_a_backfill(stage: Stage, *, service: str, users: int) -> dict[str, float]:
    """Let a worker send a backfill, and sign people up meanwhile; tell how long they wait."""
    stage.empty()
    with simulator(service) as running:
        where = {"BENCH_SERVICE": running.url, "BENCH_NUDGE": "1"}
        stage.act("unknown", users, **where)
        with stage.worker(pool=2, queue="celery", **where), ThreadPoolExecutor(1) as pool:
            backfill = pool.submit(stage.act, "backfill", named={"kind": "app"}, **where)
            backfill.result()
            told = stage.act("sign_ups", 20, named={"rate": 0.5}, **where)["committed"]
            linked = stage.act("linked", named={"keys": list(told), "seconds": 90.0}, **where)["linked"]
    waited = sorted(linked.get(key, float("inf")) - at for key, at in told.items())
    return {"p50": waited[len(waited) // 2], "longest": waited[-1]}
