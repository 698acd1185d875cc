"""What the sign-up tests share: a queue of their own, and what is waiting in it."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app

Messages = Callable[[], list[Any]]


@pytest.fixture
def messages(settings: Any) -> Messages:
    """Give each test its own queue of the broker in memory; return what takes all messages out of it."""
    queue = f"sign-up-{uuid.uuid4()}"
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"QUEUE": queue}

    def take() -> list[Any]:
        with current_app.connection_for_read() as connection, connection.SimpleQueue(queue) as waiting:
            taken = [waiting.get(block=False) for _ in range(waiting.qsize())]
            for message in taken:
                message.ack()
            return taken

    return take
