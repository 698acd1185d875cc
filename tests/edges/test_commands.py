"""The command as engineers meet it: what it prints, how it exits, and that a fault is one clear sentence."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from kohort_sync import gate, paused, sweep
from kohort_sync.management.commands.kohort_sync import Command
from kohort_sync.models import Account, CustomerLink, State, SyncAttempt
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.server import SandboxServer
from kohort_sync.testing.service import DEFAULT_TEST_KEY, Service
from tests.engine.people import let_time_pass, link_of, sign_up
from tests.site import people

pytestmark = pytest.mark.django_db(transaction=True)

VERBS = ("status", "backfill", "drain", "resync", "sandbox")
ACCOUNT = "default/test"


class Shell:
    """Run the command as a shell does, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.code: Any = 0
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> "Shell":
        self.code = 0
        try:
            Command().run_from_argv(["manage.py", "kohort_sync", *arguments])
        except SystemExit as exit_:
            self.code = exit_.code
        self.out, self.err = self.capsys.readouterr()
        return self

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def configure(settings: Any, **values: object) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | values


def older_users(number: int) -> None:
    with paused():
        for index in range(number):
            sign_up(f"older{index}")


# Every verb


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_an_example_that_is_understood(shell: Shell, verb: str) -> None:
    shell(verb, "--help")

    example = shell.out.split("example:\n")[1].split()
    assert shell.code == 0
    assert example[:4] == ["python", "manage.py", "kohort_sync", verb]
    understood = Command().create_parser("manage.py", "kohort_sync").parse_args(example[3:])
    assert understood.verb == verb


def test_the_help_names_every_verb(shell: Shell) -> None:
    shell("--help")

    assert [verb for verb in VERBS if f"    {verb} " not in shell.out] == []


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("dance",), ("status", "--colour"), ("backfill", "--limit", "0"), ("backfill", "--limit", "few"),
        ("drain", "--once", "--forever"), ("resync",), ("resync", "--user", "1", "--all"),
        ("sandbox", "--port", "x"), ("sandbox", "--dialect", "old"), ("sandbox", "--port", "70000"),
    ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_says_what_is_wrong(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell(*arguments)

    assert shell.code == 2
    assert shell.err
    assert "Traceback" not in shell.err
    assert "_positive" not in shell.err


@pytest.mark.parametrize("verb", [("backfill",), ("drain",), ("resync", "--all")])
def test_an_unknown_account_exits_with_2_and_names_the_setting(shell: Shell, verb: tuple[str, ...]) -> None:
    shell(*verb, "--account", "nope")

    assert (shell.code, shell.out) == (2, "")
    assert shell.err.startswith(
        "CommandError: There is no account 'nope' (configured: default). Set KOHORT_SYNC['API_KEY']"
    )
    assert len(shell.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"API_KEY": "sk_test_ab cd"}, "API_KEY"),
        ({"BASE_URL": "http://api.example.com"}, "BASE_URL must use https"),
        ({"BASE_URL": "ftp://127.0.0.1"}, "BASE_URL is not an http(s) address"),
        ({"API_KEY": "sk_live_abcdefgh1234"}, "A live key is never sent over http"),
        ({"CA_BUNDLE": "/no/such/file.pem"}, "CA_BUNDLE names a file that does not exist"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence_without_the_key(
    shell: Shell, settings: Any, values: dict[str, str], said: str
) -> None:
    configure(settings, **values)

    shell("drain")

    assert shell.code == 2
    assert said in shell.err
    assert len(shell.err.splitlines()) == 1
    assert settings.KOHORT_SYNC["API_KEY"] not in shell.err + shell.out


def test_a_verb_runs_in_a_thread_that_hears_no_signals() -> None:
    out = StringIO()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(call_command, "kohort_sync", "status", "--json", stdout=out).result()
        pool.submit(connections.close_all).result()

    assert json.loads(out.getvalue())["accounts"][0]["account"] == ACCOUNT


def test_a_verb_leaves_the_signal_handlers_as_they_were(shell: Shell) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    shell("status")

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# What cannot work is said, and what is idle on purpose is no fault


def test_a_key_that_cannot_be_used_is_no_open_gate(shell: Shell, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {
        "API_KEY": "sk_live_abc123",
        "BASE_URL": "https://x.invalid",
    }

    shell("status")

    assert "cannot send     API_KEY does not look like" in shell.out
    assert shell.code == 1


def test_a_drain_without_a_key_is_idle_and_cron_hears_nothing_of_a_fault(shell: Shell, settings: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"API_KEY": None}

    shell("drain", "--once")

    assert "idle" in shell.out
    assert shell.code == 0


def test_an_account_may_be_named_as_the_output_names_it(shell: Shell) -> None:
    shell("backfill", "--dry-run", "--account", ACCOUNT)

    assert shell.code == 0


def test_a_drain_says_who_could_not_be_sent_and_why(shell: Shell) -> None:
    sign_up("ada")

    shell("drain", "--once")

    assert shell.out == "default: 1 pending (unreachable).\n"


# status


def test_status_prints_what_monitoring_relies_on(shell: Shell, service: Service) -> None:
    sign_up("ada")
    shell("drain")
    sign_up("bea")
    older_users(2)

    (account,) = shell("status", "--json").json.pop("accounts")

    assert shell.code == 0
    assert shell.json.keys() == {"accounts"}
    assert isinstance(account.pop("oldest_due_seconds"), float)
    assert isinstance(account.pop("last_sweep_at"), str)
    assert isinstance(account.pop("pace"), dict)
    assert account == {
        "account": ACCOUNT,
        "livemode": False,
        "covered": False,
        "gate": "open",
        "reason": "",
        "states": {"linked": 1, "pending": 1},
        "users_without_link": 2,
        "due": 1,
    }


def test_status_for_people_names_the_next_step(shell: Shell) -> None:
    older_users(2)

    shell("status")

    assert "without a link  2 users" in shell.out
    assert "manage.py kohort_sync backfill" in shell.out


@pytest.mark.parametrize("state", list(State))
def test_status_exits_with_1_where_a_person_has_to_decide(shell: Shell, state: State) -> None:
    people.place(sign_up(), state)

    shell("status")

    assert shell.code == (1 if state in {State.REJECTED, State.CONFLICT, State.PARKED} else 0)
    assert f"  {state.value}" in shell.out


def test_status_exits_with_1_and_says_why_while_the_gate_is_closed(shell: Shell) -> None:
    gate.account_row(ACCOUNT, using="default")
    gate.close(ACCOUNT, reason="key_refused", seconds=60, using="default")

    shell("status")

    assert shell.code == 1
    assert "closed. KohortPay refuses the key." in shell.out


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ({"API_KEY": None}, 0, "['API_KEY'] is not set"),
        ({"ENABLED": False}, 0, "['ENABLED'] is off"),
        ({"API_KEY": "pk_test_abcdefgh"}, 1, "is not a secret key"),
    ],
)
def test_status_says_why_the_app_is_idle(
    shell: Shell, settings: Any, values: dict[str, Any], code: int, said: str
) -> None:
    configure(settings, **values)

    assert shell("status").code == code
    assert said in shell.out
    assert "pk_test_abcdefgh" not in shell.out
    assert shell("status", "--json").json == {"accounts": []}


# backfill


def test_a_rehearsed_backfill_changes_nothing(shell: Shell) -> None:
    older_users(3)

    shell("backfill", "--dry-run")

    assert (shell.code, shell.out) == (0, f"{ACCOUNT}: 3 users would be sent. Nothing was changed.\n")
    assert not CustomerLink.objects.exists()
    assert not Account.objects.exclude(covered_at=None).exists()
    assert shell("backfill", "--dry-run", "--limit", "2", "--json").json["users"] == 2


def test_a_backfill_covers_the_account_once_nobody_is_left(shell: Shell) -> None:
    older_users(3)

    first = shell("backfill", "--limit", "2", "--json").json
    second = shell("backfill", "--json").json

    assert first == {"account": ACCOUNT, "users": 2, "covered": False}
    assert second == {"account": ACCOUNT, "users": 1, "covered": True}
    assert CustomerLink.objects.count() == 3


def test_an_interrupted_backfill_says_so_and_goes_on_when_it_is_run_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Impatient(StringIO):
        def write(self, text: str, /) -> int:
            if "recorded" in text:
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    monkeypatch.setattr(sweep, "CHUNK", 2)
    older_users(5)

    with pytest.raises(CommandError, match=r"Interrupted after 2 users\. Run it again"):
        call_command("kohort_sync", "backfill", stdout=Impatient())

    assert CustomerLink.objects.count() == 2
    call_command("kohort_sync", "backfill", stdout=StringIO())
    assert CustomerLink.objects.count() == 5


# drain


def test_drain_sends_what_is_due_and_says_what_came_of_it(shell: Shell, service: Service) -> None:
    user = sign_up("ada")
    sign_up("bea", email="")

    done = shell("drain", "--once", "--json").json

    assert shell.code == 0
    assert done["settled"] == {"linked": 1, "skipped (no_email)": 1}
    assert link_of(user).state == State.LINKED
    assert "nothing was due" in shell("drain").out


def test_drain_exits_with_1_where_a_person_has_to_decide(shell: Shell, service: Service) -> None:
    sign_up("ada")
    sign_up("bea", email="ada@example.com")

    shell("drain")

    assert shell.code == 1
    assert "1 conflict" in shell.out


def test_drain_says_that_another_drainer_works(shell: Shell, service: Service) -> None:
    sign_up()
    gate.account_row(ACCOUNT, using="default")
    assert gate.take_drainer_lease(ACCOUNT, token="other", using="default")

    assert "another drainer works for this account" in shell("drain").out
    assert len(service.log) == 0


def test_drain_says_that_the_gate_is_closed(shell: Shell, service: Service) -> None:
    sign_up()
    service.faults.add(Fault("status", times=None, status=401))

    shell("drain")
    assert (shell.code, "the gate is closed" in shell("drain").out) == (1, True)
    service.faults.clear()
    let_time_pass(61)
    assert "1 linked" in shell("drain").out


# resync


def test_resync_marks_one_user_or_all(shell: Shell, service: Service) -> None:
    ada, _bea = sign_up("ada"), sign_up("bea")
    shell("drain")

    one = shell("resync", "--user", str(ada.pk), "--json").json
    asked = SyncAttempt.objects.get(operation="resync")
    every = shell("resync", "--all")

    assert one == {"account": ACCOUNT, "marked": 1}
    assert (asked.link, asked.trigger, asked.actor) == (link_of(ada), "command", "")
    assert every.out == f"{ACCOUNT}: 2 links will be compared with KohortPay.\n"
    assert link_of(ada).verify


def test_resync_of_somebody_unknown_is_one_sentence(shell: Shell) -> None:
    shell("resync", "--user", "4711")

    assert shell.code == 1
    assert shell.err == (
        "CommandError: No link for user 4711. 'manage.py kohort_sync backfill' makes the missing ones.\n"
    )


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain_forever_sends_until_a_signal_ends_it(folder: Path, number: signal.Signals) -> None:
    with SandboxServer(Service(seed=1)) as sandbox:
        env = environment(
            folder,
            KOHORT_BASE_URL=sandbox.url,
            DJANGO_SUPERUSER_USERNAME="ada",
            DJANGO_SUPERUSER_EMAIL="ada@example.com",
            DJANGO_SUPERUSER_PASSWORD=people.PASSWORD,
        )
        drainer = start("kohort_sync", "drain", "--forever", env=env)
        user = start("createsuperuser", "--noinput", env=env)
        assert user.communicate(timeout=20)[1] == ""
        patience = time.monotonic() + 15
        while not sandbox.service.snapshot() and time.monotonic() < patience:
            time.sleep(0.05)
        code, out, err = end(drainer, number)

    assert (code, err) == (0, "")
    assert out == "default: 1 linked.\n"


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
