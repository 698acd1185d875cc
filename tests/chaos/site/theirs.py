"""The usual design on this site, asked and shown as kohort_sync is."""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractUser

from tests.chaos.usual.dump import customers, links
from tests.chaos.usual.receivers import announce


def resync(users: Iterable[AbstractUser]) -> None:
    """Ask for a task for each of these users."""
    announce(users)


__all__ = ["announce", "customers", "links", "resync"]
