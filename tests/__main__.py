"""Run the tests: once on the embedded defaults, and again on each real service that this machine has.

    python -m tests

A service that is missing is said to be, and is an error where KOHORT_REQUIRE_SERVICES is set.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests import services


@dataclass(frozen=True)
class Leg:
    """Describe one run of pytest."""

    name: str
    needs: tuple[services.Service, ...] = ()
    arguments: tuple[str, ...] = ()
    database: services.Service | None = None


# What depends on the database runs on each; the rest says the same everywhere.
DATABASE_TESTS = ("-m", "database")

# They are taken up in this order, as many side by side as there are cores. How long a sign-up waits for a
# broken broker is measured in the first one, beside what mostly waits.
LEGS = (
    Leg("SQLite, embedded broker", arguments=("-m", "not services and not search and not chaos")),
    Leg(
        "PostgreSQL, Redis and RabbitMQ: the journey, and brokers that fail",
        (services.POSTGRESQL, services.REDIS, services.RABBITMQ),
        ("-m", "services"),
        services.POSTGRESQL,
    ),
    Leg("PostgreSQL", (services.POSTGRESQL,), DATABASE_TESTS, services.POSTGRESQL),
    Leg("MariaDB", (services.MARIADB,), DATABASE_TESTS, services.MARIADB),
    Leg("The long searches, on SQLite", arguments=("-m", "search")),
    # It starts servers of its own, whose programs are there where the services are.
    Leg("A short chaos run", (services.POSTGRESQL, services.REDIS), ("-m", "chaos")),
)


def passes(leg: Leg, *, shows: bool) -> bool:
    """Run one leg. It shows what it prints as it goes on, or all of it when it has ended."""
    environment = dict(os.environ)
    environment.pop("DATABASE_URL", None)
    if leg.database is not None:
        # Two legs on one server have a database each.
        environment["DATABASE_URL"] = f"{leg.database.url}_{LEGS.index(leg)}"
    command = [sys.executable, "-m", "pytest", "-q", *leg.arguments, *sys.argv[1:]]
    if shows:
        print(f"\n── {leg.name}", flush=True)
    began = time.monotonic()
    ended = subprocess.run(command, env=environment, check=False, capture_output=not shows, text=True)
    if not shows:
        print(f"\n── {leg.name}\n{ended.stdout}{ended.stderr}", flush=True)
    print(f"── {leg.name}: {time.monotonic() - began:.0f} s", flush=True)
    return ended.returncode == 0


def failed_of(legs: Sequence[Leg]) -> list[str]:
    """Run legs side by side, the first one for all to see; return the names of those that failed."""
    with ThreadPoolExecutor(max(2, os.cpu_count() or 0)) as pool:
        passed = pool.map(lambda leg: passes(leg, shows=leg is legs[0]), legs)
        return [leg.name for leg, well in zip(legs, passed, strict=True) if not well]


def main() -> int:
    """Run every leg that can run; return a shell's exit code."""
    required = bool(os.environ.get("KOHORT_REQUIRE_SERVICES"))
    ready: list[Leg] = []
    not_run: list[str] = []
    for leg in LEGS:
        missing = [problem for service in leg.needs if (problem := service.problem())]
        if missing:
            not_run.append(f"{leg.name}: {'; '.join(missing)}")
        else:
            ready.append(leg)
    failed = failed_of(ready)
    print()
    for line in not_run:
        print(f"not run: {line}")
    for name in failed:
        print(f"FAILED: {name}")
    if not_run and required:
        print("KOHORT_REQUIRE_SERVICES is set, so a missing service is a failure.")
    return int(bool(failed or (not_run and required)))


if __name__ == "__main__":
    sys.exit(main())
