"""Run the tests: once on the embedded defaults, and again on each real service that this machine has.

    python -m tests

A service that is missing is said to be, and is an error where KOHORT_REQUIRE_SERVICES is set.
"""

import os
import subprocess
import sys
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
    beside: bool = False
    """Whether it runs beside the others that are so: what it prints is shown when it has ended."""


# What depends on the database runs on each; the rest says the same everywhere.
DATABASE_TESTS = ("-m", "database")

LEGS = (
    Leg("SQLite, embedded broker", arguments=("-m", "not services and not search")),
    Leg(
        "PostgreSQL, Redis and RabbitMQ: the journey, and brokers that fail",
        (services.POSTGRESQL, services.REDIS, services.RABBITMQ),
        ("-m", "services"),
        services.POSTGRESQL,
    ),
    Leg("The long searches, on SQLite", arguments=("-m", "search"), beside=True),
    Leg("PostgreSQL", (services.POSTGRESQL,), DATABASE_TESTS, services.POSTGRESQL, beside=True),
    Leg("MariaDB", (services.MARIADB,), DATABASE_TESTS, services.MARIADB, beside=True),
)


def passes(leg: Leg) -> bool:
    """Run one leg."""
    environment = dict(os.environ)
    environment.pop("DATABASE_URL", None)
    if leg.database is not None:
        environment["DATABASE_URL"] = leg.database.url
    command = [sys.executable, "-m", "pytest", "-q", *leg.arguments, *sys.argv[1:]]
    if not leg.beside:
        print(f"\n── {leg.name}", flush=True)
    ended = subprocess.run(command, env=environment, check=False, capture_output=leg.beside, text=True)
    if leg.beside:
        print(f"\n── {leg.name}\n{ended.stdout}{ended.stderr}", flush=True)
    return ended.returncode == 0


def main() -> int:
    """Run every leg that can run; return a shell's exit code."""
    required = bool(os.environ.get("KOHORT_REQUIRE_SERVICES"))
    failed: list[str] = []
    not_run: list[str] = []
    ready: list[Leg] = []
    for leg in LEGS:
        missing = [problem for service in leg.needs if (problem := service.problem())]
        if missing:
            not_run.append(f"{leg.name}: {'; '.join(missing)}")
            continue
        ready.append(leg)
    alone = [leg for leg in ready if not leg.beside]
    beside = [leg for leg in ready if leg.beside]
    failed += [leg.name for leg in alone if not passes(leg)]
    # Two of these wait for a server's disk more than for this machine.
    with ThreadPoolExecutor(len(beside) or 1) as pool:
        failed += [
            leg.name for leg, passed in zip(beside, pool.map(passes, beside), strict=True) if not passed
        ]
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
