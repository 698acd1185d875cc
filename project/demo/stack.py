"""The stack: the site, a worker, a beat and the simulated KohortPay, each a process, on free ports."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from project.demo.cast import Person
from project.demo.processes import Processes

# What the site reads from its environment: nothing of it comes from the shell that starts the stack.
_READ_BY_THE_SITE = frozenset(
    {
        "ALLOWED_HOSTS",
        "CELERY_BROKER_URL",
        "CELERY_TASK_DEFAULT_QUEUE",
        "DATABASE_URL",
        "DEBUG",
        "DJANGO_SETTINGS_MODULE",
        "KOHORT_API_KEY",
        "KOHORT_BASE_URL",
        "KOHORT_DEADLINE",
        "KOHORT_SWEEP",
        "PROJECT_STATE_DIR",
        "SECRET_KEY",
    }
)
_CELERY = ("-m", "celery", "-A", "project")


@dataclass(frozen=True, kw_only=True)
class KohortPay:
    """Say where KohortPay is, and with which key."""

    url: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Say what a stack is made of. Times in seconds; empty texts mean the embedded default.

    `kohortpay` None starts a sandbox. `deadline` None is the site's own.
    """

    state: Path
    kohortpay: KohortPay | None = None
    dialect: str = "seen"
    database: str = ""
    broker: str = ""
    queue: str = ""
    sweep: float = 2.0
    deadline: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Hold a stack that is up."""

    site: str
    kohortpay: KohortPay
    environment: dict[str, str]


def start(
    plan: Plan, processes: Processes, *, admin: Person, password: str, say: Callable[[str], None]
) -> Stack:
    """Start everything on an empty database. Raises `processes.Failed` where something does not start."""
    offline = environment(plan)
    kohortpay = plan.kohortpay or _sandbox(plan, processes, offline)
    online = environment(plan, kohortpay)

    processes.run("migrate", "manage.py", "migrate", "--no-input", environment=offline)
    # Without a key the app writes nothing, so this account is as old as any on a site that installs the app.
    _create_admin(processes, offline, admin=admin, password=password)
    say("A site with an empty database, and one account that is older than the app: its admin's.")
    site = processes.start("site", "manage.py", "runserver", "--noreload", "127.0.0.1:0", environment=online)
    worker = processes.start(
        "worker", *_CELERY, "worker", "-P", "prefork", "-c", "2", "--loglevel", "INFO",
        "-n", f"worker-{os.getpid()}@%h", "--without-gossip", "--without-mingle", "--without-heartbeat",
        environment=online,
    )  # fmt: skip
    beat = processes.start("beat", *_CELERY, "beat", "--loglevel", "INFO", environment=online)
    url = processes.wait_for(site, r"development server at (http://[\d.]+:\d+)/").group(1)
    processes.wait_for(worker, r"@\S+ ready\.")
    processes.wait_for(beat, r"beat: Starting")
    say(f"A web server, a Celery worker with two processes, and a beat that looks every {plan.sweep:g} s.")

    processes.run("backfill", "manage.py", "kohort_sync", "backfill", environment=online)
    say("Backfilled: the older account is sent too, and new ones that no signal announces will be found.")
    return Stack(site=url, kohortpay=kohortpay, environment=online)


def environment(plan: Plan, kohortpay: KohortPay | None = None) -> dict[str, str]:
    """Return the environment of the stack's processes; without a KohortPay the app is idle."""
    inherited = {name: value for name, value in os.environ.items() if name not in _READ_BY_THE_SITE}
    wanted = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PROJECT_STATE_DIR": str(plan.state),
        "DATABASE_URL": plan.database or f"sqlite:///{quote(str(plan.state / 'db.sqlite3'))}",
        "CELERY_BROKER_URL": plan.broker,
        "CELERY_TASK_DEFAULT_QUEUE": plan.queue,
        "KOHORT_SWEEP": str(plan.sweep),
        "KOHORT_DEADLINE": "" if plan.deadline is None else str(plan.deadline),
        "KOHORT_API_KEY": kohortpay.key if kohortpay else "",
        "KOHORT_BASE_URL": kohortpay.url if kohortpay else "",
    }
    return inherited | wanted


def _sandbox(plan: Plan, processes: Processes, environment: dict[str, str]) -> KohortPay:
    options = ("--port", "0", "--dialect", plan.dialect, "--json")
    process = processes.start(
        "sandbox", "manage.py", "kohort_sync", "sandbox", *options, environment=environment
    )
    told = json.loads(processes.wait_for(process, r"\{[^}]*\}").group())
    return KohortPay(url=told["url"], key=told["key"])


def _create_admin(processes: Processes, environment: dict[str, str], *, admin: Person, password: str) -> None:
    processes.run(
        "admin",
        "manage.py",
        "createsuperuser",
        "--no-input",
        environment={
            **environment,
            "DJANGO_SUPERUSER_USERNAME": admin.username,
            "DJANGO_SUPERUSER_EMAIL": admin.email,
            "DJANGO_SUPERUSER_PASSWORD": password,
        },
    )
