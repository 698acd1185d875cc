"""Asking: what a site wants to know. Nothing here changes or sends anything."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser

from kohort_sync import conf, connection, links, queries
from kohort_sync.models import Account, Customer
from kohort_sync.services.finding import account_of


def status() -> list[queries.AccountStatus]:
    """Describe each configured account."""
    using = links.database()
    return [queries.status(account, using=using) for account in conf.accounts().values()]


def swept_late() -> list[Account]:
    """Return the accounts that nothing has swept for so long that beat or cron must be broken."""
    return queries.swept_late(using=links.database())


def account_keys() -> list[str]:
    """Return the key of each account that is configured, or was once used."""
    configured = {account.key for account in conf.accounts().values()}
    return sorted(configured.union(Account.objects.using(links.database()).values_list("key", flat=True)))


def account_key(alias: str) -> str:
    """Return what the rows of an account are named by. Raises UnknownAccount where it is not configured."""
    return account_of(alias).key


def obstacle(alias: str) -> str:
    """Say why KohortPay cannot be called with these settings; empty where it can."""
    try:
        connection.customers(account_of(alias), organization_id="", threads=1)
    except ValueError as error:
        return str(error)
    return ""


def customer_for(user: AbstractBaseUser, *, alias: str = "default") -> Customer | None:
    """Return the mirrored customer of a user, as last seen at `mirrored_at`; None where none is linked."""
    link = queries.link_of(user, alias=alias)
    return link.customer if link is not None else None


def user_is_blocked(user: AbstractBaseUser, *, alias: str = "default") -> bool:
    """Say whether the customer of a user was blocked when last seen; False where none is linked."""
    customer = customer_for(user, alias=alias)
    return customer is not None and customer.is_blocked


def export(user: AbstractBaseUser) -> dict[str, Any]:
    """Return all that this app holds about a user, in every account, to answer an access request."""
    return queries.export(user, using=links.database())
