"""Run the tests: once on the embedded defaults, and again on each real service that this machine has.

    python -m tests

A service that is missing is said to be, and is an error where KOHORT_REQUIRE_SERVICES is set.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

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

LEGS = (
    Leg("SQLite, embedded broker", arguments=("-m", "not services")),
    Leg("PostgreSQL", (services.POSTGRESQL,), DATABASE_TESTS, services.POSTGRESQL),
    Leg("MariaDB", (services.MARIADB,), DATABASE_TESTS, services.MARIADB),
    Leg(
        "PostgreSQL, Redis and RabbitMQ: the journey, and brokers that fail",
        (services.POSTGRESQL, services.REDIS, services.RABBITMQ),
        ("-m", "services"),
        services.POSTGRESQL,
    ),
)


def passes(leg: Leg, *, capture: bool) -> bool:
    """Run one leg; what is captured is printed when it has ended."""
    environment = dict(os.environ)
    environment.pop("DATABASE_URL", None)
    if leg.database is not None:
        environment["DATABASE_URL"] = leg.database.url
    command = [sys.executable, "-m", "pytest", "-q", *leg.arguments, *sys.argv[1:]]
    if not capture:
        print(f"\n── {leg.name}", flush=True)
    ended = subprocess.run(command, env=environment, check=False, capture_output=capture, text=True)
    if capture:
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
    # The real databases side by side: they wait for their disks more than for this machine.
    alone = [leg for leg in ready if leg.arguments != DATABASE_TESTS]
    beside = [leg for leg in ready if leg.arguments == DATABASE_TESTS]
    failed += [leg.name for leg in alone if not passes(leg, capture=False)]
    with ThreadPoolExecutor(len(beside) or 1) as pool:
        verdicts = list(pool.map(partial(passes, capture=True), beside))
    failed += [leg.name for leg, passed in zip(beside, verdicts, strict=True) if not passed]
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
