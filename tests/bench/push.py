"""Push: customers a second and what each costs, beside bare requests and the usual design."""

import time
from dataclasses import dataclass
from statistics import mean
from typing import Any

from tests.bench.processes import cpu_of
from tests.bench.stage import Simulator, Stage, load, simulator

ROUNDS = 2
_LATENCY = {"0ms": 0.0, "100ms": 0.1}


@dataclass(frozen=True)
class Variant:
    """Describe one way of sending so many users to a service."""

    who: str
    service: str
    threads: int
    number: int

    def __str__(self) -> str:
        return f"{self.who}, {self.threads} at once, {self.service}"


VARIANTS = (
    Variant("ours", "100ms", 32, 4800),
    Variant("bare", "100ms", 32, 4800),
    Variant("ours", "100ms", 64, 6400),
    Variant("bare", "100ms", 64, 6400),
    Variant("usual", "100ms", 4, 400),
    Variant("usual, tuned", "100ms", 4, 400),
    Variant("ours", "0ms", 32, 4000),
    Variant("bare", "0ms", 32, 4000),
)
_TRACED = Variant("ours", "100ms", 64, 5000)


def measure(stage: Stage) -> dict[str, Any]:
    """Take every variant in turns, so that none has the quiet minutes for itself."""
    runs: dict[str, list[dict[str, float]]] = {str(variant): [] for variant in VARIANTS}
    for _ in range(ROUNDS):
        for variant in VARIANTS:
            stage.empty()
            with simulator(variant.service) as service:
                before = service.stats()
                told = _measured(stage, service, variant)
                told["simulator"] = load(before, service.stats())
            runs[str(variant)].append(told)
            print(f"  {variant}: {_line(told)}", flush=True)
    stage.empty()
    with simulator(_TRACED.service) as service:
        traced = _push(stage, service, _TRACED, trace=True)
    print(f"  round trips: {traced['round_trips']}", flush=True)
    return {
        "variants": {
            name: {key: mean(one[key] for one in told) for key in told[0]} for name, told in runs.items()
        },
        "round_trips": traced["round_trips"] / _TRACED.number,
    }


def _measured(stage: Stage, service: Simulator, variant: Variant) -> dict[str, float]:
    if variant.who == "ours":
        told = _push(stage, service, variant)
        return _each(variant.number, told["seconds"], told["cpu"], told["database_cpu"])
    if variant.who == "bare":
        told = stage.act("bare", variant.number, **_where(service, variant))
        return _each(variant.number, told["seconds"], told["cpu"], 0.0)
    return _usual(stage, service, variant)


def _push(stage: Stage, service: Simulator, variant: Variant, *, trace: bool = False) -> Any:
    named = {"latency": _LATENCY[variant.service], "trace": trace}
    told = stage.act("push", variant.number, named=named, **_where(service, variant))
    if told["customers"] != variant.number:
        raise RuntimeError(f"{told['customers']} of {variant.number} users were linked.")
    return told


def _where(service: Simulator, variant: Variant) -> dict[str, str]:
    tuned = {"BENCH_TUNED": "1"} if variant.who == "usual, tuned" else {}
    return {"BENCH_SERVICE": service.url, "BENCH_THREADS": str(variant.threads), **tuned}


def _line(told: dict[str, float]) -> str:
    return (
        f"{told['rate']:.0f}/s, {told['cpu']:.2f} ms CPU and {told['database']:.2f} ms of the database each,"
        f" simulator {told['simulator']:.0%}"
    )


def _each(customers: int, seconds: float, cpu: float, database: float) -> dict[str, float]:
    return {
        "rate": customers / seconds,
        "cpu": 1000 * cpu / customers,
        "database": 1000 * database / customers,
    }


def _usual(stage: Stage, service: Simulator, variant: Variant) -> dict[str, float]:
    """Publish a task for each user, and wait until a worker has done them all."""
    where, number = _where(service, variant), variant.number
    with stage.worker(pool=variant.threads, queue="celery", **where) as worker:
        keys = stage.act("people", number + _WARM, **where)["keys"]
        stage.act("publish", named={"keys": keys[:_WARM]}, **where)
        _wait_for(stage, _WARM)
        cpu, database = cpu_of(worker.popen.pid), cpu_of(stage.database_pid)
        began = stage.act("publish", named={"keys": keys[_WARM:]}, **where)["began"]
        last = _wait_for(stage, number + _WARM)
        cpu, database = cpu_of(worker.popen.pid) - cpu, cpu_of(stage.database_pid) - database
    return _each(number, last - began, cpu, database)


_WARM = 40


def _wait_for(stage: Stage, number: int) -> float:
    """Wait until so many are linked; return when the last one was."""
    asked = "SELECT count(linked_at), extract(epoch from max(linked_at))::float FROM kohort_sync_customerlink"
    ends = time.time() + 300
    while time.time() < ends:
        ((linked, last),) = stage.sql(asked, database="first")
        if linked >= number:
            return float(last)
        time.sleep(0.2)
    raise RuntimeError(f"The usual design linked {linked} of {number} within five minutes.")
