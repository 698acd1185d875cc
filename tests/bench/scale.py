"""Scale: what a push costs in tables of a thousand to a million links, and how the pages fare there."""

from typing import Any

from tests.bench.stage import Stage, load, simulator

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_ROUNDS = 2
_PUSHED = 3000


def measure(stage: Stage) -> dict[str, Any]:
    """Fill a database of each size, then push into them by turns."""
    for size in _SIZES:
        stage.act("fill", size, DATABASE_URL=stage.database(f"of_{size}"))
        print(f"  {size:,} links are there", flush=True)
    looked = stage.act("look", DATABASE_URL=stage.address(f"of_{_SIZES[-1]}"))
    print(f"  { ({name: round(one['seconds'], 2) for name, one in looked.items()}) }", flush=True)
    cpu: dict[int, list[float]] = {size: [] for size in _SIZES}
    for _ in range(_ROUNDS):
        for size in _SIZES:
            cpu[size].append(_push(stage, size))
            print(f"  {size:,} links: {cpu[size][-1]:.2f} ms of CPU each", flush=True)
    return {"cpu": {str(size): min(each) for size, each in cpu.items()}, "looked": looked}


def _push(stage: Stage, size: int) -> float:
    """Return the milliseconds of CPU of a customer, worker and database together."""
    address = stage.address(f"of_{size}")
    with simulator("100ms") as service:
        before = service.stats()
        told = stage.act(
            "push",
            _PUSHED,
            named={"latency": 0.1},
            DATABASE_URL=address,
            BENCH_SERVICE=service.url,
            BENCH_THREADS="32",
        )
        load(before, service.stats())
    return 1000 * (float(told["cpu"]) + float(told["database_cpu"])) / int(told["customers"])
