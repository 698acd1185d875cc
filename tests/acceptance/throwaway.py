"""Throw-away databases and queues on real services: unique to a test, and gone after it."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import amqp
import kombu
import psycopg
import redis
from psycopg import sql

from tests import services


@contextmanager
def postgresql() -> Iterator[str]:
    """Make an empty database on the PostgreSQL server; give its address."""
    name = f"kohort_journey_{secrets.token_hex(4)}"
    server = services.POSTGRESQL.url
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Describe one kind of broker and how a queue is removed from it."""

    service: services.Service
    remove: Callable[[str], None]

    @contextmanager
    def queue(self) -> Iterator[str]:
        """Give the name of a queue that nobody else uses; remove what was left of it."""
        name = f"kohort-journey-{secrets.token_hex(4)}"
        try:
            yield name
        finally:
            self.remove(name)


def _remove_from_redis(queue: str) -> None:
    with redis.Redis.from_url(services.REDIS.url) as server:
        # The queue itself and what Kombu notes about it, under names of its own.
        for key in list(server.scan_iter(match=f"*{queue}*")):
            server.delete(key)


def _remove_from_rabbitmq(queue: str) -> None:
    with kombu.Connection(services.RABBITMQ.url) as connection:
        for remove in ("queue_delete", "exchange_delete"):
            # A channel is closed by the server when it answers that there is nothing to remove.
            with suppress(amqp.NotFound):
                getattr(connection.channel(), remove)(queue)


BROKERS = {
    "redis": Broker(service=services.REDIS, remove=_remove_from_redis),
    "rabbitmq": Broker(service=services.RABBITMQ, remove=_remove_from_rabbitmq),
}
