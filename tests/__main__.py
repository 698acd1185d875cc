"""Run the tests: once on the embedded defaults, and again on each real service that this machine has.

    python -m tests

A service that is missing is said to be, and is an error where KOHORT_REQUIRE_SERVICES is set.
"""

import os
import subprocess
import sys
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

# Legs of one round run side by side, what waits beside what works. How long a sign-up waits for a broken
# broker is measured in the first one, which leaves a core for it.
ROUNDS = (
    (
        Leg("SQLite, embedded broker", arguments=("-m", "not services and not search and not chaos")),
        Leg(
            "PostgreSQL, Redis and RabbitMQ: the journey, and brokers that fail",
            (services.POSTGRESQL, services.REDIS, services.RABBITMQ),
            ("-m", "services"),
            services.POSTGRESQL,
        ),
    ),
    (
        Leg("PostgreSQL", (services.POSTGRESQL,), DATABASE_TESTS, services.POSTGRESQL),
        Leg("MariaDB", (services.MARIADB,), DATABASE_TESTS, services.MARIADB),
        Leg("The long searches, on SQLite", arguments=("-m", "search")),
        # It starts servers of its own, whose programs are there where the services are.
        Leg("A short chaos run", (services.POSTGRESQL, services.REDIS), ("-m", "chaos")),
    ),
)


def passes(leg: Leg, *, shows: bool) -> bool:
    """Run one leg. It shows what it prints as it goes on, or all of it when it has ended."""
    environment = dict(os.environ)
    environment.pop("DATABASE_URL", None)
    if leg.database is not None:
        environment["DATABASE_URL"] = leg.database.url
    command = [sys.executable, "-m", "pytest", "-q", *leg.arguments, *sys.argv[1:]]
    if shows:
        print(f"\n── {leg.name}", flush=True)
    ended = subprocess.run(command, env=environment, check=False, capture_output=not shows, text=True)
    if not shows:
        print(f"\n── {leg.name}\n{ended.stdout}{ended.stderr}", flush=True)
    return ended.returncode == 0


def failed_of(legs: Sequence[Leg]) -> list[str]:
    """Run legs side by side, the first one for all to see; return the names of those that failed."""
    with ThreadPoolExecutor(len(legs) or 1) as pool:
        passed = pool.map(lambda leg: passes(leg, shows=leg is legs[0]), legs)
        return [leg.name for leg, well in zip(legs, passed, strict=True) if not well]


def main() -> int:
    """Run every leg that can run; return a shell's exit code."""
    required = bool(os.environ.get("KOHORT_REQUIRE_SERVICES"))
    failed: list[str] = []
    not_run: list[str] = []
    for legs in ROUNDS:
        ready: list[Leg] = []
        for leg in legs:
            missing = [problem for service in leg.needs if (problem := service.problem())]
            if missing:
                not_run.append(f"{leg.name}: {'; '.join(missing)}")
            else:
                ready.append(leg)
        failed += failed_of(ready)
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
