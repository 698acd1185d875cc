"""Reconcile: how fast the list is read, by ranges side by side and by one, and what memory it takes."""

from typing import Any

from tests.bench.stage import Stage, load, simulator

_WALKERS = 8
_MANY, _FEW = 100_000, 2_500


def measure(stage: Stage) -> dict[str, Any]:
    """Read lists of a service that takes 100 ms for a page of 25; sign people up meanwhile."""
    told = {
        "walkers": _WALKERS,
        "side_by_side": _walk(stage, _MANY, walkers=_WALKERS),
        "one": _walk(stage, _FEW, walkers=1),
        "meanwhile": _meanwhile(stage),
    }
    print(f"  {told}", flush=True)
    return told


def _walk(stage: Stage, customers: int, *, walkers: int) -> dict[str, float]:
    stage.empty()
    with simulator("100ms", customers=customers) as service:
        before = service.stats()
        told: dict[str, float] = stage.act(
            "walk", named={"walkers": walkers}, BENCH_SERVICE=service.url, BENCH_THREADS=str(walkers)
        )
        load(before, service.stats())
    if told["customers"] != customers:
        raise RuntimeError(f"{told['customers']} of {customers} customers were read.")
    return told


def _meanwhile(stage: Stage) -> dict[str, float]:
    """Let a worker read while people sign up; tell how long they wait."""
    stage.empty()
    with simulator("100ms", customers=_MANY) as service:
        where = {"BENCH_SERVICE": service.url, "BENCH_NUDGE": "1"}
        with stage.worker(pool=2, queue="celery", **where):
            stage.act("begin_reconcile", **where)
            told = stage.act("sign_ups", 20, named={"rate": 1.0}, **where)["committed"]
            linked = stage.act("linked", named={"keys": list(told), "seconds": 60.0}, **where)["linked"]
    waited = sorted(linked.get(key, float("inf")) - at for key, at in told.items())
    return {"p50": waited[len(waited) // 2], "longest": waited[-1]}
