"""What a process of its own does for a benchmark: one thing, and it prints one line of JSON about it.

python -m tests.bench.acts push 3000 latency=0.1
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus
from itertools import count, islice
from pathlib import Path
from typing import Any

import django

django.setup()

import requests  # noqa: E402 - what follows needs the apps
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from kohort_sync import conf, context, links, mapping, queries, services  # noqa: E402
from kohort_sync.drainer import walking  # noqa: E402
from kohort_sync.models import Account, Customer, CustomerLink, WorkClass  # noqa: E402
from tests.bench import million  # noqa: E402
from tests.bench.processes import cpu_of  # noqa: E402
from tests.bench.usual.tasks import push_user  # noqa: E402

User: Any = get_user_model()
Told = Mapping[str, Any]
_WARM = 200
_AT_ONCE = 5000
_FOREVER = 3600.0


def migrate() -> Told:
    """Make the tables."""
    call_command("migrate", verbosity=0)
    return {}


# Pushing


def people(number: int, *, promised: bool = True) -> Told:
    """Make users as `bulk_create` does, and promise them."""
    first = User.objects.count()
    keys: list[Any] = []
    for start in range(first, first + number, _AT_ONCE):
        end = min(start + _AT_ONCE, first + number)
        made = User.objects.bulk_create(_person(f"person-{n}") for n in range(start, end))
        keys += [user.pk for user in made]
        if promised:
            services.request_sync(made)
    _analyze()
    return {"keys": keys}


def _person(name: str) -> Any:
    return User(username=name, email=f"{name}@example.com", first_name="Ada", last_name="Lovelace")


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def push(number: int, *, latency: float, trace: bool = False) -> Told:
    """Drain promised users with the pace already learned, after a few to open the connections with."""
    people(_WARM)
    _know(latency)
    services.drain("default", budget=_FOREVER)
    people(number)
    _know(latency)
    before = _linked().count()
    began, cpu, of_database = time.time(), time.process_time(), _database_cpu()
    with _round_trips() if trace else _nothing() as trips:
        services.drain("default", budget=_FOREVER)
    used, of_database = time.process_time() - cpu, _database_cpu() - of_database
    last = _linked().latest("linked_at").linked_at
    assert last is not None
    return {
        "customers": _linked().count() - before,
        "seconds": last.timestamp() - began,
        "cpu": used,
        "database_cpu": of_database,
        "round_trips": trips.get("until the last write", 0),
    }


def _linked() -> Any:
    return CustomerLink.objects.exclude(linked_at=None)


def _know(latency: float) -> None:
    (account,) = conf.accounts().values()
    pace = {"concurrency": conf.max_concurrency(), "rate": None, "latency": max(latency, 0.001)}
    Account.objects.update_or_create(key=account.key, defaults={"pace": pace})


def _database_cpu() -> float:
    return cpu_of(int(os.environ["BENCH_DATABASE_PID"]))


@contextmanager
def _nothing() -> Iterator[dict[str, int]]:
    yield {}


@contextmanager
def _round_trips() -> Iterator[dict[str, int]]:
    """Count by libpq's own trace how often the server was waited for, up to the last write of a batch."""
    connection.ensure_connection()
    driver: Any = connection.connection
    told: dict[str, int] = {}
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as trace, ThreadPoolExecutor(1) as pool:
        lines = pool.submit(lambda: [b"ReadyForQuery" in line for line in trace if _counts(line)])
        driver.pgconn.trace(writing)
        try:
            yield told
        finally:
            driver.pgconn.untrace()
            os.close(writing)
        kinds = lines.result()
    last = max(at for at, is_answer in enumerate(kinds) if not is_answer)
    told["until the last write"] = sum(kinds[:last])


def _counts(line: bytes) -> bool:
    return b"\tReadyForQuery" in line or b"json_to_recordset" in line


def bare(number: int) -> Told:
    """Post what would be posted, by `requests` alone in as many threads, each with its own connection."""
    threads = conf.max_concurrency()
    numbers = iter(range(number + threads))
    sessions = [_session() for _ in range(threads)]

    def work(session: requests.Session) -> int:
        done = 0
        for done, n in enumerate(numbers, 1):  # noqa: B007 - the last one counts
            _post(session, n).raise_for_status()
        return done

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_post, sessions, islice(numbers, threads)))
        began, cpu = time.time(), time.process_time()
        done = sum(pool.map(work, sessions))
        return {"customers": done, "seconds": time.time() - began, "cpu": time.process_time() - cpu}


def publish(*, keys: list[Any]) -> Told:
    """Publish a task of the usual design for each of these users."""
    began = time.time()
    for key in keys:
        push_user.delay(key)
    return {"began": began}


def fixed(*, seconds: float, rate: float | None = None) -> Told:
    """Post at a fixed setting for a while: so many threads, or so many requests a second."""
    threads = conf.max_concurrency()
    began = time.time()
    numbers = count()

    def work(session: requests.Session) -> None:
        for n in numbers:
            if rate is not None:
                time.sleep(max(0.0, began + n / rate - time.time()))
            if time.time() > began + seconds:
                return
            with suppress(requests.Timeout):
                _post(session, n)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [_session() for _ in range(threads)]))
    return {"began": began}


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {conf.accounts()['default'].api_key.reveal()}"
    return session


def _post(session: requests.Session, n: int) -> requests.Response:
    body = _body() | {"emailAddress": f"person-{n}@example.com", "clientReferenceId": f"bench_{n}"}
    return session.post(f"{conf.accounts()['default'].base_url}/customers", json=body, timeout=35)


@cache
def _body() -> dict[str, Any]:
    return mapping.customer_data(_person("person")).payload()


def drain(*, seconds: float) -> Told:
    """Drain for a while with nothing known but what the account's row says."""
    began = time.time()
    report = services.drain("default", budget=seconds)
    pace = Account.objects.get().pace
    return {"began": began, "ended": report.ended, "pace": pace}


# Reading


def begin_reconcile() -> Told:
    """Begin to read everything."""
    services.reconcile("default", full=True)
    return {}


def walk(*, walkers: int) -> Told:
    """Read everything by so many ranges with the pace already learned; tell what it took."""
    walking.WALKERS = walkers
    _know(0.1)
    begun = services.reconcile("default", full=True)
    Path("/proc/self/clear_refs").write_text("5")
    idle, began, cpu = _memory("VmRSS"), time.time(), time.process_time()
    services.drain("default", budget=_FOREVER)
    last = Customer.objects.latest("mirrored_at").mirrored_at
    begun.refresh_from_db()
    return {
        "customers": begun.counters["customers"],
        "pages_a_second": begun.counters["pages"] / (last.timestamp() - began),
        "cpu": 1000 * (time.process_time() - cpu) / begun.counters["customers"],
        "grown_mib": _memory("VmHWM") - idle,
    }


# Signing up


def signup(number: int) -> Told:
    """Sign people up in three ways by turns, and tell what one of each kind took."""
    kinds: dict[str, Callable[[str], None]] = {
        "plain": _sign_up_unnoticed,
        "nudge": _sign_up,
        "publish": _sign_up_and_publish,
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    cpu = dict.fromkeys(kinds, 0.0)
    for n in range(-50, number):
        for kind, sign in kinds.items():
            began, used = time.perf_counter(), time.process_time()
            sign(f"{kind}-{n}")
            if n >= 0:
                seconds[kind].append(time.perf_counter() - began)
                cpu[kind] += time.process_time() - used
    with CaptureQueriesContext(connection) as with_us:
        _sign_up("counted")
    with CaptureQueriesContext(connection) as without:
        _sign_up_unnoticed("counted too")
    return {
        "median": {kind: statistics.median(each) for kind, each in seconds.items()},
        "cpu": {kind: each / number for kind, each in cpu.items()},
        "added_statements": len(with_us) - len(without),
    }


def _sign_up(name: str) -> Any:
    with transaction.atomic():
        return User.objects.create_user(name, f"{name}@example.com", "secret", first_name="Ada")


def _sign_up_unnoticed(name: str) -> None:
    with context.paused():
        _sign_up(name)


def _sign_up_and_publish(name: str) -> None:
    with context.paused(), transaction.atomic():
        user = _sign_up(name)
        transaction.on_commit(lambda: push_user.delay(user.pk), robust=True)


def sign_ups(number: int, *, rate: float) -> Told:
    """Sign people up at a rate; tell when each had committed, by their keys."""
    committed: dict[str, float] = {}
    began = time.time()
    for n in range(number):
        time.sleep(max(0.0, began + n / rate - time.time()))
        user = _sign_up(f"visitor-{rate}-{began}-{n}")
        committed[str(user.pk)] = time.time()
    return {"committed": committed}


def linked(*, keys: list[str], seconds: float) -> Told:
    """Wait until these are linked; tell when each was."""
    ends = time.time() + seconds
    rows = CustomerLink.objects.filter(user_pk__in=keys).exclude(linked_at=None)
    while rows.count() < len(keys) and time.time() < ends:
        time.sleep(0.2)
    return {"linked": {key: at.timestamp() for key, at in rows.values_list("user_pk", "linked_at") if at}}


def bulk(number: int, *, rounds: int) -> Told:
    """Compare `bulk_create` with `bulk_create` and `request_sync`, by turns."""
    seconds: dict[str, list[float]] = {"plain": [], "request_sync": []}
    for turn in range(-1, rounds):
        for kind, each in seconds.items():
            made = [_person(f"{kind}-{turn}-{n}") for n in range(number)]
            began = time.perf_counter()
            users = User.objects.bulk_create(made)
            if kind == "request_sync":
                services.request_sync(users)
            if turn >= 0:
                each.append(time.perf_counter() - began)
    # To note statements costs a good deal of them.
    counted = User.objects.bulk_create([_person(f"counted-{n}") for n in range(number)])
    with CaptureQueriesContext(connection) as captured:
        services.request_sync(counted)
    return {
        "median": {kind: statistics.median(each) for kind, each in seconds.items()},
        "statements": len(captured),
    }


# Backfill and scale


def unknown(number: int) -> Told:
    """Make users without any link, inside the database."""
    with connection.cursor() as cursor:
        cursor.execute(_UNKNOWN.format(table=User._meta.db_table), {"number": number})
        cursor.execute("VACUUM ANALYZE")
    return {}


_UNKNOWN = """
INSERT INTO {table} (password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                     date_joined, phone_number)
SELECT '', false, 'older-' || n, 'Ada', 'Lovelace', 'older-' || n || '@example.com', false, true, now(), ''
FROM generate_series(1, %(number)s) n
"""


def backfill(*, kind: str) -> Told:
    """Promise everybody: by the app, in one statement as the limit, or not at all, to see the memory."""
    (account,) = conf.accounts().values()
    took: list[float] = []
    connection.ensure_connection()
    Path("/proc/self/clear_refs").write_text("5")  # the most from here on
    idle = _memory("VmRSS")
    began, of_database = time.perf_counter(), _database_cpu()
    if kind == "app":
        with _timed_transactions(took):
            services.backfill("default")
    else:
        users = User._base_manager.order_by("pk")
        links.record_stored(users, account=account.key, using="default", work_class=WorkClass.BULK)
    seconds = time.perf_counter() - began
    of_database = _database_cpu() - of_database
    grown, rows = _memory("VmHWM") - idle, CustomerLink.objects.count()
    found = {
        "count": _seconds_of(lambda: queries.users_without_link(account.key, using="default").count()),
        "exists": _seconds_of(lambda: queries.users_without_link(account.key, using="default").exists()),
    }
    return {
        "rows": rows,
        "seconds": seconds,
        "database_cpu": of_database,
        "grown_mib": grown,
        "transactions": sorted(took),
        "found": found,
    }


@contextmanager
def _timed_transactions(took: list[float]) -> Iterator[None]:
    """Note how long each transaction of the engine takes."""
    usual = links.writing

    @contextmanager
    def timed(*, using: str) -> Iterator[None]:
        began = time.perf_counter()
        with usual(using=using):
            yield
        took.append(time.perf_counter() - began)

    links.writing = timed
    try:
        yield
    finally:
        links.writing = usual


def _memory(name: str) -> float:
    """Return what the kernel says of this process alone: `VmRSS` now, or `VmHWM`, the most of it, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:", 1)[1].split()[0]) / 1024


def _seconds_of(act: Callable[[], object]) -> float:
    """Return the median of three."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def fill(number: int) -> Told:
    """Fill the tables as they are after long use."""
    million.fill(number)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return {}


def look() -> Told:
    """Open the admin's lists, ask for the status and sweep; tell the seconds and the slowest query."""
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "secret"))
    services.backfill("default")
    asked: dict[str, Callable[[], object]] = {
        "admin: links": lambda: _open(client, "customerlink"),
        "admin: customers": lambda: _open(client, "customer"),
        "admin: history": lambda: _open(client, "syncattempt"),
        "status": services.status,
        "sweep": lambda: services.find_missing("default"),
    }
    told: dict[str, Any] = {}
    for name, ask in asked.items():
        ask()
        began = time.perf_counter()
        with CaptureQueriesContext(connection) as captured:
            ask()
        seconds = time.perf_counter() - began
        slowest = max(captured.captured_queries, key=lambda query: float(query["time"]))
        told[name] = {
            "seconds": seconds,
            "slowest": float(slowest["time"]),
            "plan": _plan_of(slowest["sql"]),
        }
    return told


def _open(client: Client, page: str) -> None:
    assert client.get(f"/admin/kohort_sync/{page}/").status_code == HTTPStatus.OK


def _plan_of(sql: str) -> list[str]:
    if not sql.startswith("SELECT"):
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}")
        return [line for (line,) in cursor.fetchall()]


_ALL: tuple[Callable[..., Told], ...] = (
    migrate,
    people,
    push,
    bare,
    publish,
    fixed,
    drain,
    begin_reconcile,
    walk,
    signup,
    sign_ups,
    linked,
    bulk,
    unknown,
    backfill,
    fill,
    look,
)
ACTS = {act.__name__: act for act in _ALL}


def main() -> None:
    """Do what the arguments say: a name, and then values in JSON or `name=value`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.acts")
    parser.add_argument("act", choices=ACTS)
    parser.add_argument("values", nargs="*")
    arguments = parser.parse_args()
    named = dict(value.split("=", 1) for value in arguments.values if "=" in value)
    values = [json.loads(value) for value in arguments.values if "=" not in value]
    told = ACTS[arguments.act](*values, **{name: json.loads(value) for name, value in named.items()})
    print(json.dumps(told))


if __name__ == "__main__":
    main()
