"""`status`: what monitoring and people get to know."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from kohort_sync import gate
from kohort_sync.models import Account, State
from kohort_sync.testing.service import Service
from tests.edges.commands.shell import ACCOUNT, Shell, configure, older_users
from tests.engine.people import sign_up
from tests.site import people

pytestmark = pytest.mark.django_db(transaction=True)


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
    assert isinstance(account.pop("last_success_at"), str)
    assert account == {
        "account": ACCOUNT,
        "livemode": False,
        "covered": False,
        "gate": "open",
        "reason": "",
        "gate_until": None,
        "sweep_is_late": False,
        "failing": 0,
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
    asked = {"erase_asked_at": people.LINKED_AT} if state in {State.ERASING, State.ERASED} else {}
    people.place(sign_up(), state, **asked)

    shell("status")

    assert shell.code == (1 if state in {State.REJECTED, State.CONFLICT, State.PARKED} else 0)
    assert f"  {state.value}" in shell.out


def test_status_exits_with_1_and_says_why_while_the_gate_is_closed(shell: Shell) -> None:
    gate.account_row(ACCOUNT, using="default")
    gate.close(ACCOUNT, reason="key_refused", seconds=60, using="default")

    shell("status")

    assert shell.code == 1
    until = Account.objects.get().gate_until
    assert until is not None
    assert f"closed until {until.isoformat()}. KohortPay refuses the key." in shell.out


@pytest.mark.failure(27)
def test_status_says_that_nothing_has_swept_for_long(shell: Shell) -> None:
    gate.account_row(ACCOUNT, using="default")
    Account.objects.update(last_sweep_at=timezone.now() - timedelta(seconds=601))

    shell("status")

    assert shell.code == 1
    assert "LATE: is beat or cron running?" in shell.out
    assert shell("status", "--json").json["accounts"][0]["sweep_is_late"] is True


def test_status_counts_linked_users_whose_change_was_refused(shell: Shell) -> None:
    people.place(sign_up(), State.LINKED, refused="f" * 16)

    shell("status")

    assert shell.code == 1
    assert "refused change  1 linked user: correct the data, or 'manage.py kohort_sync retry" in shell.out
    assert shell("status", "--json").json["accounts"][0]["failing"] == 1


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ({"API_KEY": None}, 0, "['API_KEY'] is not set"),
        ({"ENABLED": False}, 0, "['ENABLED'] is not True"),
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
