"""The line: the client of one account, and whether its key still opens the organization that we know."""

from collections.abc import Callable, Iterable

from kohort_sync import conf, connection, gate, identity, mirror, redaction, references
from kohort_sync.client import errors
from kohort_sync.client.customers import Customers
from kohort_sync.client.records import RemoteCustomer
from kohort_sync.models import Account

_LONGEST_ID = 64


class Line:
    """Hold the client that a drain uses. It learns the organization from the first answer that shows one."""

    customers: Customers

    def __init__(self, account: conf.AccountSettings, row: Account, *, threads: int, using: str) -> None:
        self.account, self.threads, self.using = account, threads, using
        self.known_key = row.key_fingerprint
        self._use(row.organization_id)

    def probe(self) -> None:
        """Look up a reference that cannot exist: it shows nobody's data. Raises `KohortError`."""
        nobody = references.new(prefix=conf.reference_prefix())
        try:
            self.customers.find(reference=nobody)
        except errors.Mismatch as error:
            if not answers_as_ever(error):
                raise

    def opens_our_organization(self, *, before: Callable[[], object]) -> bool:
        """Find out whether a new key opens the same organization, before anybody is sent there.

        `before` is called before anything is asked.
        """
        fingerprint = self.account.api_key.fingerprint
        if self.known_key in ("", fingerprint):
            return True
        linked = mirror.any_linked_id(self.account.key, using=self.using)
        if linked is not None:
            before()
            try:
                self.customers.get(linked)
            except (errors.NotFound, errors.Mismatch):
                return False
        else:
            self._use("")
        self._note(self.organization_id)
        return True

    def learn(self, remotes: Iterable[RemoteCustomer]) -> None:
        """Note whose account this is, as soon as an answer shows it."""
        if self.organization_id:
            return
        seen = (remote.organization_id for remote in remotes)
        # One that is longer than any that was ever seen is not worth a row's failure.
        organization_id = next((value for value in seen if value and len(value) <= _LONGEST_ID), None)
        if organization_id is not None:
            self._use(organization_id)
            self._note(organization_id)

    def _use(self, organization_id: str) -> None:
        self.organization_id = organization_id
        self.customers = connection.customers(
            self.account, organization_id=organization_id, threads=self.threads
        )

    def _note(self, organization_id: str) -> None:
        self.known_key = self.account.api_key.fingerprint
        gate.note_organization(
            self.account.key,
            organization_id=organization_id,
            key_fingerprint=self.known_key,
            database=identity.of_database(using=self.using),
            using=self.using,
        )


@redaction.frames_emptied()
def probe(account: conf.AccountSettings, row: Account, *, using: str) -> errors.KohortError | None:
    """Ask the service something harmless outside any drain; return what went wrong, None where nothing did.

    Raises ValueError where the key or the address is malformed.
    """
    try:
        Line(account, row, threads=1, using=using).probe()
    except errors.KohortError as error:
        return error
    return None


def answers_as_ever(error: errors.KohortError) -> bool:
    """Say whether the service answers as it always does, although not what was hoped for."""
    return isinstance(error, errors.Mismatch) and error.what == "reference_not_shown"
