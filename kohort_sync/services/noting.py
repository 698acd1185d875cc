"""Noting: what a site tells us about its users, in the site's own transaction."""

from collections.abc import Iterable

from django.contrib.auth.base_user import AbstractBaseUser

from kohort_sync import conf, links, mapping, tasks
from kohort_sync.models import CustomerLink, WorkClass


def promise(user: AbstractBaseUser, *, using: str) -> None:
    """Promise a new user to every account: one statement, in the transaction that saves the user."""
    accounts = conf.accounts()
    keys = [account.key for account in accounts.values()]
    links.record([user], accounts=keys, using=using, work_class=WorkClass.SIGNUP)
    tasks.nudge_after_commit(accounts, using=using)


def note_change(user: AbstractBaseUser | str, *, using: str) -> None:
    """Note that a user, or the one with this key, may have changed; nothing where there is no link."""
    key = user if isinstance(user, str) else mapping.key_of(user)
    accounts = conf.accounts()
    keys = [account.key for account in accounts.values()]
    rows = CustomerLink.objects.using(using).filter(account__in=keys, user_pk=key)
    if links.mark_changed(rows, work_class=WorkClass.CHANGE):
        tasks.nudge_after_commit(accounts, using=using)


def note_deletion(user: AbstractBaseUser, *, using: str) -> None:
    """Note in the deletion's own transaction that a user is gone, so that the key may be used again.

    With `ON_USER_DELETE` on "erase" the same statement asks for the erasure.
    """
    rows = CustomerLink.objects.using(using).filter(user_pk=mapping.key_of(user))
    if links.forget_users(rows, erase=conf.erases_deleted_users()):
        tasks.nudge_after_commit(conf.accounts(), using=using)


def request_sync(users: Iterable[AbstractBaseUser], *, alias: str = "default") -> int:
    """Promise users whom no signal announced, as after `bulk_create`. Returns how many were asked for.

    Who has a row keeps it, and who is not in the database gets none. Without an API key the app is idle, and
    nobody is asked for. Raises ValueError for a user without a primary key, as
    `bulk_create(ignore_conflicts=True)` leaves them.
    """
    account = conf.accounts().get(alias)
    if account is None:
        return 0
    keys = [user.pk for user in users]
    if None in keys:
        raise ValueError("A user without a primary key cannot be promised: save it, or load it again, first.")
    using = links.database()
    links.record_keys(keys, account=account.key, using=using, work_class=WorkClass.BULK)
    tasks.nudge_after_commit([alias], using=using)
    return len(keys)
