"""Finding: the account and the link that somebody speaks of, or an error that says what to do."""

from django.contrib.auth.base_user import AbstractBaseUser

from kohort_sync import conf, links, queries
from kohort_sync.models import CustomerLink

Subject = CustomerLink | AbstractBaseUser


class UnknownAccount(LookupError):
    """Say that no usable account has this alias."""

    def __init__(self, alias: str) -> None:
        known = ", ".join(conf.accounts()) or "none"
        super().__init__(
            f"There is no account '{alias}' (configured: {known}). Set KOHORT_SYNC['API_KEY'] to a secret key"
            " (sk_test_… or sk_live_…) and run 'manage.py check'."
        )


class UnknownUser(LookupError):
    """Say that a user has no link in this account."""

    def __init__(self) -> None:
        super().__init__(
            "This user has no link. 'manage.py kohort_sync backfill' makes the missing ones; for one user,"
            " call services.request_sync([user])."
        )


def account_of(alias: str) -> conf.AccountSettings:
    """Return a configured account by its alias or its key. Raises UnknownAccount."""
    for account in conf.accounts().values():
        if alias in (account.alias, account.key):
            return account
    raise UnknownAccount(alias)


def link_of(subject: Subject, *, alias: str) -> CustomerLink:
    """Return the link that is meant, as the database has it now. Raises UnknownAccount and UnknownUser."""
    rows = CustomerLink.objects.using(links.database()).select_related("customer")
    if isinstance(subject, CustomerLink):
        return rows.get(pk=subject.pk)
    link = rows.filter(account=account_of(alias).key, user_pk=queries.user_key(subject)).first()
    if link is None:
        raise UnknownUser
    return link
