"""Routers as hosts have them."""

from typing import Any


class Elsewhere:
    """Keep everything of the users, and ours, in the database `other`."""

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        """Read there too."""
        return None if model._meta.app_label in {"contenttypes", "sessions"} else "other"

    db_for_write = db_for_read


class Replica:
    """Read from `other`, a replica that is behind for ever; write to `default`."""

    def db_for_read(self, *_: Any, **__: Any) -> str:
        """Read what is old."""
        return "other"

    def db_for_write(self, *_: Any, **__: Any) -> str:
        """Write to the one."""
        return "default"

    def allow_relation(self, *_: Any, **__: Any) -> bool:
        """Know that both are one."""
        return True
