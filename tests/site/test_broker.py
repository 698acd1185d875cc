"""The broker of files: what kombu's own transport leaves to chance."""

import json
import uuid
from pathlib import Path
from typing import Any

import kombu
import pytest

from project import broker


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Point every folder below one that is not there yet."""
    messages = str(tmp_path / "state" / "messages")
    return {
        "data_folder_in": messages,
        "data_folder_out": messages,
        "processed_folder": str(tmp_path / "state" / "processed"),
        "control_folder": str(tmp_path / "state" / "control"),
        "polling_interval": 0.01,
    }


@pytest.fixture
def name() -> str:
    """Name a queue of this test alone: kombu remembers for the whole process which queues it has bound."""
    return f"queue-{uuid.uuid4()}"


def test_a_message_arrives_though_no_folder_was_made(options: dict[str, Any], name: str) -> None:
    with kombu.Connection(
        "filesystem://", transport=broker.Transport, transport_options=options
    ) as connection:
        with connection.SimpleQueue(name) as queue:
            queue.put({"hello": "neighbour"})
        with connection.SimpleQueue(name) as queue:
            message = queue.get(timeout=5)
            message.ack()

    assert message.payload == {"hello": "neighbour"}


def test_a_message_has_its_name_only_once_it_is_whole(
    options: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], Any]] = []
    rename = Path.rename

    def watched(draft: Path, target: Path) -> Path:
        seen.append(([path.name for path in draft.parent.glob("*.msg")], json.loads(draft.read_text())))
        return rename(draft, target)

    monkeypatch.setattr(Path, "rename", watched)
    with (
        kombu.Connection(
            "filesystem://", transport=broker.Transport, transport_options=options
        ) as connection,
        connection.SimpleQueue(name) as queue,
    ):
        queue.put({"hello": "neighbour"})
        waiting = queue.qsize()

    assert [names for names, _body in seen] == [[]]
    assert waiting == 1
