"""What holds for every verb: help, bad usage, and that a fault is one clear sentence."""

import json
import re
import shlex
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from kohort_sync.management.commands.kohort_sync import Command
from tests.edges.commands.shell import ACCOUNT, Shell, configure, older_users
from tests.engine.people import User, sign_up

pytestmark = pytest.mark.django_db(transaction=True)

# The names are relied on from outside.
VERBS = (
    "status", "doctor", "backfill", "drain", "resync", "reconcile", "retry", "resolve", "block", "unblock",
    "erase", "export", "prune", "sandbox",
)  # fmt: skip


# Every verb


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_an_example_that_is_understood(shell: Shell, verb: str) -> None:
    shell(verb, "--help")

    example = shlex.split(shell.out.split("example:\n")[1].partition(" > ")[0])
    assert shell.code == 0
    assert example[:4] == ["python", "manage.py", "kohort_sync", verb]
    understood = Command().create_parser("manage.py", "kohort_sync").parse_args(example[3:])
    assert understood.verb == verb


def test_the_help_names_every_verb(shell: Shell) -> None:
    shell("--help")

    assert re.findall(r"^ {4}([a-z]+)(?: |$)", shell.out, re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_can_speak_to_a_program(shell: Shell, verb: str) -> None:
    shell(verb, "--help")

    assert "--json" in shell.out


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("dance",), ("status", "--colour"), ("backfill", "--limit", "0"), ("backfill", "--limit", "few"),
        ("drain", "--once", "--forever"), ("resync",), ("resync", "--user", "1", "--all"),
        ("retry",), ("retry", "--all", "--state", "parked"), ("retry", "--user", "1", "--all"),
        ("retry", "--state", "linked"), ("retry", "--all", "--limit", "-1"),
        ("resolve",), ("resolve", "--user", "1", "--reference", "r"),
        ("resolve", "--user", "1", "--choice", "x"), ("resolve", "--user", "1", "--choice", "retry"),
        ("resolve", "--user", "1", "--customer", "cus_1"),
        ("resolve", "--user", "1", "--choice", "adopt", "--reason", "x"),
        ("resolve", "--user", "1", "--choice", "retry", "--reason", "x", "--customer", "cus_1"),
        ("resolve", "--user", "1", "--choice", "adopt", "--reason", "x", "--customer", "a b"),
        ("block",), ("block", "--user", "1"), ("unblock", "--user", "1"),
        ("block", "--user", "1", "--reason", " "), ("erase",), ("erase", "--reason", "x"), ("export",),
        ("prune", "--limit", "x"), ("reconcile", "--dry-run"), ("doctor", "--account", "a"),
        ("sandbox", "--port", "x"), ("sandbox", "--dialect", "old"), ("sandbox", "--port", "70000"),
    ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_says_what_is_wrong(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell(*arguments)

    assert shell.code == 2
    assert shell.err
    assert "Traceback" not in shell.err
    assert "_positive" not in shell.err


@pytest.mark.parametrize(
    "verb",
    [
        ("backfill",), ("drain",), ("resync", "--all"), ("retry", "--all"), ("prune",), ("reconcile",),
        ("resolve", "--user", "1"), ("resolve", "--reference", "r"),
        ("block", "--user", "1", "--reason", "x"), ("erase", "--user", "1", "--reason", "x", "--yes"),
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(
    "verb",
    [
        ("resync",), ("retry", "--dry-run"), ("resolve",), ("block", "--reason", "x"),
        ("unblock", "--reason", "x"), ("erase", "--reason", "x", "--yes"), ("export",),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["4711", "ada@example.com"])
def test_somebody_unknown_is_one_sentence_that_repeats_no_key(
    shell: Shell, verb: tuple[str, ...], key: str
) -> None:
    shell(*verb, "--user", key)

    assert (shell.code, shell.out) == (1, "")
    assert shell.err.startswith("CommandError: There is no user with this key")
    assert "Check the key" in shell.err
    assert key not in shell.err
    assert len(shell.err.splitlines()) == 1


@pytest.mark.parametrize(
    "verb", [("resync",), ("retry",), ("resolve",), ("block", "--reason", "x"), ("erase", "--reason", "x")]
)
def test_a_user_without_a_link_is_pointed_to_backfill(shell: Shell, verb: tuple[str, ...]) -> None:
    older_users(1)

    shell(*verb, "--user", str(User.objects.get().pk))

    assert (shell.code, shell.out) == (1, "")
    assert "This user has no link. 'manage.py kohort_sync backfill' makes" in shell.err


@pytest.mark.parametrize("verb", [("resolve",), ("erase", "--reason", "x")])
def test_an_unknown_reference_is_one_sentence(shell: Shell, verb: tuple[str, ...]) -> None:
    shell(*verb, "--reference", "nobody")

    assert (shell.code, shell.out) == (1, "")
    assert "No link has this reference in this account." in shell.err
    assert len(shell.err.splitlines()) == 1


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Hear it as at a terminal: a shell starts what runs in the background deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_is_one_sentence() -> None:
    class Impatient(StringIO):
        def write(self, text: str, /) -> int:
            signal.raise_signal(signal.SIGINT)
            return super().write(text)

    with pytest.raises(CommandError, match=r"Interrupted\. .* Run the command again\.") as ended:
        call_command("kohort_sync", "status", stdout=Impatient())

    assert ended.value.returncode == 1


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
    assert shell("drain", "--json").json == {"account": "default", "ended": "idle", "settled": {}}


def test_an_account_may_be_named_as_the_output_names_it(shell: Shell) -> None:
    shell("backfill", "--dry-run", "--account", ACCOUNT)

    assert shell.code == 0


def test_a_drain_says_who_could_not_be_sent_and_why(shell: Shell) -> None:
    sign_up("ada")

    shell("drain", "--once")

    assert shell.out == "default: 1 pending (unreachable).\n"
