"""Identity: by what a database is known again, so that a copy of it is known for one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Hold two fingerprints: where the settings look for the database, and what answers there.

    An empty one is unknown, and differs from nothing.
    """

    address: str
    instance: str

    def is_another_than(self, known: Self) -> bool:
        """Say whether this is another database, and not the same one moved, renamed or taken over.

        Another server alone may be a fail-over or an upgrade, another address alone a new name: neither must
        stop a site. Where both are new at once, somebody has pointed the settings elsewhere.
        """
        return _differ(self.address, known.address) and _differ(self.instance, known.instance)


def of_database(*, using: str) -> Identity:
    """Ask a database who it is. Where it does not say, its instance is unknown."""
    connection = connections[using]
    where = connection.settings_dict
    name = str(where["NAME"])
    if connection.vendor == "sqlite":
        name = str(Path(name).absolute())
    return Identity(
        address=_fingerprint(where.get("HOST"), where.get("PORT"), name), instance=_instance(connection)
    )


# What a physical replica shares with its primary, and a restored dump does not; the nodes of one Galera
# cluster are one instance.
_INSTANCE = {
    "postgresql": "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database())"
    " FROM pg_control_system()",
    "mysql": "SELECT COALESCE(NULLIF(VARIABLE_VALUE, ''), CONCAT(@@hostname, ':', @@port)), DATABASE()"
    " FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_state_uuid'",
}


def _instance(connection: BaseDatabaseWrapper) -> str:
    try:
        if connection.vendor == "sqlite":
            # The file itself: it stays the same where it is moved, and a copy is another one.
            return _fingerprint(Path(str(connection.settings_dict["NAME"])).stat().st_ino)
        with connection.cursor() as cursor:
            cursor.execute(_INSTANCE[connection.vendor])
            return _fingerprint(*cursor.fetchone())
    except (OSError, DatabaseError, TypeError):  # no file, not allowed, or no such row
        return ""


def _fingerprint(*parts: object) -> str:
    text = "|".join(str(part or "") for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text.strip("|") else ""


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other
