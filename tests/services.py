"""The real services that tests may use: where they are, and what is wrong where one cannot be used."""

import importlib.util
import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Service:
    """Describe one service: its address comes from the environment, else from its usual place."""

    name: str
    variable: str
    usual: str
    driver: str
    package: str

    @property
    def url(self) -> str:
        """Return the address."""
        return os.environ.get(self.variable) or self.usual

    def problem(self) -> str:
        """Say why the service cannot be used; empty where it can."""
        if importlib.util.find_spec(self.driver) is None:
            return f"no driver; .venv/bin/pip install {self.package}"
        parts = urlsplit(self.url)
        try:
            with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), timeout=2):
                return ""
        except OSError:
            return f"{self.name} does not answer at {parts.hostname}:{parts.port} (set {self.variable})"


POSTGRESQL = Service(
    "PostgreSQL",
    "KOHORT_TEST_POSTGRESQL",
    "postgres://postgres@127.0.0.1:5432/postgres",
    "psycopg",
    "psycopg[binary]",
)
MARIADB = Service(
    "MariaDB", "KOHORT_TEST_MARIADB", "mysql://root@127.0.0.1:3306/test", "MySQLdb", "mysqlclient"
)
REDIS = Service("Redis", "KOHORT_TEST_REDIS", "redis://127.0.0.1:6379/9", "redis", "redis")
RABBITMQ = Service("RabbitMQ", "KOHORT_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//", "amqp", "amqp")
