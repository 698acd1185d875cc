"""The command in processes of its own: signals, a missing table, the sandbox."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings as site

from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service
from tests.edges.commands.shell import Shell
from tests.site import people

pytestmark = pytest.mark.django_db(transaction=True)

# Processes of their own


def environment(folder: Path, **more: str) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "PROJECT_STATE_DIR": str(folder),
        "KOHORT_API_KEY": DEFAULT_TEST_KEY,
        "KOHORT_BASE_URL": "http://127.0.0.1:9",
        "PYTHONUNBUFFERED": "1",
        **more,
    }  # fmt: skip


def start(*arguments: str, env: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=site.BASE_DIR,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    process = start(*arguments, env=env)
    out, err = process.communicate(timeout=20)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def person(name: str) -> dict[str, str]:
    """Say for `createsuperuser` who is to be made."""
    return {
        "DJANGO_SUPERUSER_USERNAME": name,
        "DJANGO_SUPERUSER_EMAIL": f"{name}@example.com",
        "DJANGO_SUPERUSER_PASSWORD": people.PASSWORD,
    }


def end(process: "subprocess.Popen[str]", number: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Migrate a database that other processes can use."""
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v", "0"],
        cwd=site.BASE_DIR,
        env=environment(tmp_path),
        check=True,
    )
    return tmp_path


def test_a_database_without_tables_is_one_sentence(tmp_path: Path) -> None:
    process = start("kohort_sync", "status", env=environment(tmp_path))
    _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert err.startswith("CommandError: The database cannot be used: ")
    assert err.endswith("then run 'manage.py migrate'.\n")
    assert len(err.splitlines()) == 1


@pytest.mark.failure(20)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain_forever_sends_until_a_signal_ends_it(folder: Path, number: signal.Signals) -> None:
    with SandboxServer(Service(seed=1)) as sandbox:
        env = environment(folder, KOHORT_BASE_URL=sandbox.url) | person("ada")
        drainer = start("kohort_sync", "drain", "--forever", env=env)
        user = start("createsuperuser", "--noinput", env=env)
        assert user.communicate(timeout=20)[1] == ""
        patience = time.monotonic() + 15
        while not sandbox.service.snapshot() and time.monotonic() < patience:
            time.sleep(0.05)
        code, out, err = end(drainer, number)

    assert (code, err) == (0, "")
    assert out == "default: 1 linked.\n"


@pytest.mark.failure(69)
def test_a_copied_site_with_the_same_key_sends_nothing(folder: Path) -> None:
    with SandboxServer(Service(seed=1)) as sandbox:
        production = environment(folder, KOHORT_BASE_URL=sandbox.url)
        run("createsuperuser", "--noinput", env=production | person("ada"))
        sent = run("kohort_sync", "drain", "--once", env=production)
        copy = shutil.copytree(folder, folder.with_name("staging"))
        staging = environment(copy, KOHORT_BASE_URL=sandbox.url)
        run("createsuperuser", "--noinput", env=staging | person("bea"))
        told = run("kohort_sync", "drain", "--once", env=staging)
        customers = [row["email_address"] for row in sandbox.service.snapshot()]

    assert (sent.returncode, told.returncode) == (0, 1)
    assert "seems to be a copy" in told.stderr
    assert customers == ["ada@example.com"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sandbox_serves_until_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    process = start("kohort_sync", "sandbox", "--port", "0", "--json", env=environment(tmp_path))
    assert process.stdout is not None
    told = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")

    with urllib.request.urlopen(f"{told['url']}/_sandbox/customers", timeout=5) as answer:
        held = json.load(answer)
    code, _, err = end(process, number)

    assert (held["count"], told["key"]) == (0, DEFAULT_TEST_KEY)
    assert (code, err) == (0, "")


def test_a_port_that_is_taken_is_one_sentence(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        shell("sandbox", "--port", str(port))

    assert shell.code == 2
    assert f"Port {port} cannot be used" in shell.err
    assert len(shell.err.splitlines()) == 1


def test_a_reconciliation_that_is_killed_goes_on_where_it_stopped(folder: Path) -> None:
    service = Service(seed=1)
    for n in range(1500):
        service.add_customer(email=f"order{n}@example.com")
    service.faults.add(Fault("delay", times=None, method="GET", seconds=0.1))
    with SandboxServer(service) as sandbox:
        env = environment(folder, KOHORT_BASE_URL=sandbox.url)
        reconcile = start("kohort_sync", "reconcile", "--full", env=env)
        patience = time.monotonic() + 30
        while len(service.log) < 45 and time.monotonic() < patience:
            time.sleep(0.05)
        end(reconcile, signal.SIGKILL)
        read = len(service.log)
        # The next process waits for the lease of the one that was killed.
        again = start("kohort_sync", "reconcile", "--json", env=env)
        out, err = again.communicate(timeout=60)

    told = json.loads(out)
    assert (again.returncode, err) == (0, "")
    assert (told["ended"], told["complete"], told["counts"]["unknown_other"]) == ("done", True, 1500)
    # 60 pages, the ends of the ranges, and where they begin: what was read in the last second is read again.
    assert read >= 45
    assert len(service.log) - read < 60
