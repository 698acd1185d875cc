"""A shell for each test."""

import pytest

from tests.edges.commands.shell import Shell


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)
