"""Home: the database from which an account is used. A copy of it sends nothing unless a person agrees."""

import logging

from kohort_sync import conf, gate, identity
from kohort_sync.identity import Identity
from kohort_sync.models import Account

logger = logging.getLogger(__name__)


def is_here(account: conf.AccountSettings, row: Account, *, using: str) -> bool:
    """Say whether this is the database that the account was used from before; close the gate where it is not.

    A copy with the production key, as on a staging site, would change and make production's customers.
    """
    here, known = identity.of_database(using=using), _known(row)
    # Whose a new key is, is found out first; it is then noted together with the database.
    has_new_key = row.key_fingerprint not in ("", account.api_key.fingerprint)
    if not has_new_key and here.is_another_than(known):
        gate.close_for_a_person(row.key, reason="other_database", using=using)
        logger.warning(
            "Nothing is sent to %s: this database seems to be a copy; see 'manage.py kohort_sync doctor'.",
            row.key,
            extra={"account": row.key, "code": "other_database"},
        )
        return False
    if not has_new_key and here != known:
        gate.note_database(row.key, here, using=using)
    _reopen(row, using=using)
    return True


def accept(row: Account, *, using: str) -> bool:
    """Take the present database for the site's own; return whether it was thought to be a copy."""
    here = identity.of_database(using=using)
    was_another = here.is_another_than(_known(row))
    gate.note_database(row.key, here, using=using)
    _reopen(row, using=using)
    return was_another


def _known(row: Account) -> Identity:
    return Identity(address=row.database_address, instance=row.database_instance)


def _reopen(row: Account, *, using: str) -> None:
    if row.gate_reason == "other_database":
        gate.reopen(row.key, using=using)
