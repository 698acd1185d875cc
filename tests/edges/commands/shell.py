"""The shell of the tests of the command, and what they plant."""

import json
from typing import Any

import pytest

from kohort_sync import paused
from kohort_sync.management.commands.kohort_sync import Command
from kohort_sync.models import CustomerLink, State
from tests.engine.people import drain, link_of, sign_up

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


def configure(settings: Any, **values: object) -> None:
    """Change some settings of kohort_sync for one test."""
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | values


def older_users(number: int) -> None:
    """Make users whom no signal announced."""
    with paused():
        for index in range(number):
            sign_up(f"older{index}")


def linked(name: str = "ada", **fields: Any) -> tuple[Any, CustomerLink]:
    """Make a user who is linked; needs a service."""
    user = sign_up(name, **fields)
    drain()
    link = link_of(user)
    assert link.state == State.LINKED
    return user, link
