"""Ask for a task whenever a user is saved. A deleted user's customer stays as it is."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from tests.chaos.usual.tasks import sync_user


@receiver(post_save, sender=settings.AUTH_USER_MODEL)
def user_saved(
    sender: type[AbstractBaseUser], instance: AbstractBaseUser, *, raw: bool, using: str, **_: Any
) -> None:
    """Ask for a task, unless a fixture is being loaded."""
    if not raw:
        announce([instance], using=using)


def announce(users: Iterable[AbstractBaseUser], *, using: str | None = None) -> None:
    """Ask for a task for each user. Call it after `bulk_create` and `update`, which send no signal."""
    for user in users:
        # Only the key travels: a task that comes late sends what the user is by then.
        _ask(user.pk, using=using)


def _ask(pk: Any, *, using: str | None) -> None:
    # After the commit: a worker that is quicker than the transaction would find no user, and after a
    # rollback there is none. Robust: a broker that is down is logged, and fails no sign-up.
    transaction.on_commit(lambda: sync_user.delay(pk), using=using, robust=True)
