"""The benchmarks: a service that is what it says, costs that are counted, aims that can be missed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kohort_sync.client import errors
from kohort_sync.client.customers import Customers, encoded_search
from kohort_sync.client.records import CustomerData
from kohort_sync.client.transport import Transport
from kohort_sync.redaction import Secret
from tests.bench import aims, report
from tests.bench.processes import cpu_of
from tests.bench.simulator import ORGANIZATION, Stats
from tests.bench.stage import Void, load, simulator

ADA = CustomerData(email_address="ada@example.com", first_name="Ada")


def customers_at(url: str) -> Customers:
    transport = Transport(base_url=url, key=Secret("sk_test_sandboxbench0000"))
    return Customers(transport, livemode=False, organization_id=ORGANIZATION)


def test_the_service_of_the_benchmarks_satisfies_the_client() -> None:
    with simulator("0ms") as service:
        customers = customers_at(service.url)
        made = customers.create(ADA, reference="bench_1").customer
        changed = customers.update(
            made.kohort_id, {"firstName": "Augusta"}, reference="bench_1", email=None, about=ADA
        ).customer
        found = customers.find(reference="bench_1")
        nobody = customers.find(reference="bench_2")
        stats = service.stats()

    assert (made.email_address, changed.first_name) == ("ada@example.com", "Augusta")
    assert ([one.kohort_id for one in found], nobody) == ([made.kohort_id], ())
    assert stats["customers"] == 1
    assert sum(map(sum, stats["seconds"].values())) == 4


def test_the_service_of_the_benchmarks_shows_its_list_by_ids() -> None:
    with simulator("0ms", customers=60) as service:
        customers = customers_at(service.url)
        first = customers.page(order_by="id:asc")
        second = customers.page(order_by="id:asc", search=encoded_search(f'id>"{first.ids[-1]}"'))
        last = customers.page(order_by="id:asc", skip=50)

    assert (first.count, len(first.ids), len(second.ids), len(last.ids)) == (60, 25, 25, 10)
    assert sorted({*first.ids, *second.ids, *last.ids}) == [*first.ids, *second.ids, *last.ids]


def test_a_refusing_service_lets_a_burst_through_and_says_how_long_to_wait() -> None:
    with simulator("refusing-with-retry-after") as service:
        customers = customers_at(service.url)
        for n in range(10):
            customers.create(ADA, reference=f"bench_{n}")
        with pytest.raises(errors.RateLimited) as refused:
            [customers.create(ADA, reference=f"bench_{n}") for n in range(10, 30)]

    assert refused.value.retry_after == 1


def test_a_run_in_which_the_simulator_works_too_much_is_void() -> None:
    def stats(*, cpu: float, clock: float) -> Stats:
        return {"cpu": cpu, "clock": clock, "customers": 0, "most_at_once": 0, "seconds": {}}

    assert load(stats(cpu=1.0, clock=100.0), stats(cpu=2.0, clock=110.0)) == pytest.approx(0.1)
    with pytest.raises(Void):
        load(stats(cpu=1.0, clock=100.0), stats(cpu=4.0, clock=110.0))


def test_what_a_process_and_its_children_cost_is_counted() -> None:
    before = cpu_of(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)

    assert cpu_of(os.getpid()) - before > 0.1


def found() -> dict[str, Any]:
    """Return what a run could have found: every figure is 1."""
    push = {"rate": 1.0, "cpu": 1.0, "database": 0.0, "simulator": 0.1}
    variants = [
        f"{who}, {threads} at once, {service}"
        for who in ("ours", "bare")
        for threads, service in ((32, "100ms"), (64, "100ms"), (32, "0ms"))
    ]
    waited = {"p50": 1.0, "p95": 1.0, "longest": 1.0}
    service = {
        "rate": 1.0,
        "refused": 0.0,
        "best": 1.0,
        "setting": "1 at once",
        "after_restart": 1.0,
        "pace": {"concurrency": 1, "rate": None},
        "seconds": [1, 1],
    }
    each = dict.fromkeys(("plain", "nudge", "publish"), 1.0)
    return {
        "push": {
            "variants": dict.fromkeys([*variants, "usual, 4 at once, 100ms"], push),
            "round_trips": 0.04,
        },
        "pace": {
            "services": {"serial": service, "refusing": service},
            "capped": {"most_at_once": 5, "max_concurrency": 5, "most_a_second": 20, "max_rate": 20.0},
        },
        "signup": {
            "each": {"median": each, "cpu": each, "added_statements": 1},
            "bulk": {"median": {"plain": 1.0, "request_sync": 1.0}, "statements": 1},
            "steady": {"1": waited},
        },
        "backfill": {
            "seconds": {"app": 1.0, "one statement": 1.0},
            "p99": 0.1,
            "longest": 0.1,
            "grown_mib": 1.0,
            "found": {"count": 0.1, "exists": 0.1},
            "meanwhile": {"100ms": waited, "serial": waited},
        },
        "reconcile": {
            "walkers": 8,
            "side_by_side": {"pages_a_second": 70.0, "cpu": 1.0, "grown_mib": 1.0},
            "one": {"pages_a_second": 9.0},
            "meanwhile": waited,
        },
        "scale": {
            "cpu": {"1000": 1.0, "1000000": 1.0},
            "looked": {"status": {"seconds": 1.0, "slowest": 1.0, "plan": ["Seq Scan"]}},
        },
    }


def test_an_aim_is_missed_on_the_wrong_side_of_its_bound() -> None:
    seen = {aim.what: aim for name, read in aims.ALL.items() for aim in read(found()[name])}

    assert not seen["rate with 64 at once, times the usual design's"].is_met
    assert not seen["seconds from commit to linked, p95, 1 a second, 100 ms"].is_met
    assert seen["round trips to PostgreSQL for each customer"].is_met
    assert seen["rate at 0 ms, of bare requests"].is_met


def test_the_page_shows_what_was_found(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"

    report.write(found(), page=page, cores=2)

    assert "| ours, 32 at once, 100ms | 1 | 1.00 ms |" in page.read_text()
    assert "Seq Scan" in page.read_text()
