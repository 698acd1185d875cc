"""Pace: how near an untuned drain comes to the best fixed setting, against services that it does not know."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.simulator import Stats
from tests.bench.stage import Stage, load, simulator

_LEARNS = 60.0
_MEASURED = 30.0
_FIXED = 10.0
_LEVELS = (1, 2, 4, 8, 12, 16, 32, 64)
_MOST_OF_SERIAL = 8
_RATES = (8.0, 9.0, 10.0, 11.0, 12.0)
# Those that are slow cost little and are measured side by side; a fast one is measured alone.
_SLOW = ("serial", "degrading", "refusing", "refusing-with-retry-after")
_FAST = ("100ms",)
_MAX_CONCURRENCY = 5
_MAX_RATE = 20.0


def measure(stage: Stage) -> dict[str, Any]:
    """Learn each service from nothing, and compare with a sweep over fixed settings."""
    told: dict[str, Any] = {}
    for names, people in ((_SLOW, 8_000), (_FAST, 75_000)):
        with ThreadPoolExecutor(len(names)) as pool:
            found = {name: pool.submit(_one, stage, name, people=people) for name in names}
            told |= {name: one.result() for name, one in found.items()}
    return {"services": told, "capped": _capped(stage)}


def _one(stage: Stage, name: str, *, people: int) -> dict[str, Any]:
    database = "pace_" + name.replace("-", "_")
    where = {"DATABASE_URL": stage.database(database)}
    stage.act("people", people, **where)
    with simulator(name) as service:
        where["BENCH_SERVICE"] = service.url
        before = service.stats()
        learned = stage.act("drain", named={"seconds": _LEARNS + _MEASURED}, **where)
        after = service.stats()
        began, most = learned["began"], after["most_at_once"]
        rate, refused = _between(after, began + _LEARNS, began + _LEARNS + _MEASURED - 1)
        again = stage.act("drain", named={"seconds": 12.0}, **where)
        second = service.stats()
        after_restart, _ = _between(second, again["began"] + 2, again["began"] + 11)
        load(before, second)
    stage.drop(database)
    best, setting = _best(stage, name)
    print(
        f"  {name}: {rate:.1f}/s after a minute, best fixed {best:.1f}/s ({setting}), {refused:.2%} refused",
        flush=True,
    )
    return {
        "rate": rate,
        "refused": refused,
        "best": best,
        "setting": setting,
        "most_at_once": most,
        "after_restart": after_restart,
        "pace": learned["pace"],
        "seconds": _timeline(after, began),
    }


def _between(stats: Stats, start: float, end: float) -> tuple[float, float]:
    """Return what was accepted a second in whole seconds of a stretch, and the share that was refused."""
    seen = [stats["seconds"].get(str(second), [0, 0]) for second in range(math.ceil(start), math.floor(end))]
    accepted, refused = (sum(column) for column in zip(*seen, strict=True))
    return accepted / len(seen), refused / max(1, accepted + refused)


def _timeline(stats: Stats, began: float) -> list[int]:
    seconds = range(math.ceil(began), math.ceil(began) + round(_LEARNS + _MEASURED) - 1)
    return [stats["seconds"].get(str(second), [0, 0])[0] for second in seconds]


def _best(stage: Stage, name: str) -> tuple[float, str]:
    """Try fixed settings; return what the best one brings, and which it is."""
    settings: dict[str, tuple[int, dict[str, object]]]
    if name.startswith("refusing"):
        settings = {f"{rate:.0f} a second": (8, {"rate": rate}) for rate in _RATES}
    else:
        # More at once than one after the other can be answered would only time out.
        levels = [level for level in _LEVELS if name != "serial" or level <= _MOST_OF_SERIAL]
        settings = {f"{level} at once": (level, {}) for level in levels}
    found = {}
    for setting, (threads, named) in settings.items():
        with simulator(name) as service:
            told = stage.act(
                "fixed",
                named={"seconds": _FIXED, **named},
                BENCH_SERVICE=service.url,
                BENCH_THREADS=str(threads),
            )
            rate, _ = _between(service.stats(), told["began"] + 1, told["began"] + _FIXED)
            found[setting] = rate
    best = max(found, key=lambda setting: found[setting])
    return found[best], best


def _capped(stage: Stage) -> dict[str, Any]:
    """Drain under each cap alone; tell the most that the service saw of what is capped."""
    return {
        "max_concurrency": _MAX_CONCURRENCY,
        "most_at_once": _drained(stage, BENCH_THREADS=str(_MAX_CONCURRENCY))["most_at_once"],
        "max_rate": _MAX_RATE,
        "most_a_second": max(
            sum(seen) for seen in _drained(stage, BENCH_MAX_RATE=str(_MAX_RATE))["seconds"].values()
        ),
    }


def _drained(stage: Stage, **cap: str) -> Stats:
    where = {"DATABASE_URL": stage.database("pace_capped"), **cap}
    stage.act("people", 2000, **where)
    with simulator("100ms") as service:
        stage.act("drain", named={"seconds": 15.0}, BENCH_SERVICE=service.url, **where)
        stats = service.stats()
    stage.drop("pace_capped")
    return stats
