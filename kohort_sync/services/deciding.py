"""Deciding: what people ask for. Each decision is noted with who and why; the drainer carries it out."""

from collections.abc import Callable
from contextlib import suppress

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet

from kohort_sync import conf, decisions, links, mapping, redaction, tasks
from kohort_sync.links import BeingSent
from kohort_sync.models import CustomerLink, State, SyncAttempt
from kohort_sync.services.finding import Subject, link_of

__all__ = [
    "BeingSent",
    "NotPossible",
    "block",
    "choices_for",
    "erase",
    "resolve",
    "resync",
    "retry",
    "unblock",
]

# Links that are looked at in one turn.
_CHUNK = 5000
_LONGEST_REASON = 1000


class NotPossible(ValueError):
    """Say that this cannot be decided about a link as it stands, and what can."""


def resync(rows: QuerySet[CustomerLink], *, actor: AbstractBaseUser | None = None, reason: str = "") -> int:
    """Compare these links with KohortPay again and send what differs. Returns how many were marked."""
    using = links.database()
    # Nothing is written about somebody who is erased, a reason least of all.
    keys = list(rows.using(using).exclude(state=State.ERASED).values_list("pk", flat=True))
    marked = 0
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marked += links.ask_to_compare(chunk, using=using)
        SyncAttempt.objects.using(using).bulk_create(
            _decision(key, "resync", actor=actor, reason=reason) for key in chunk
        )
    tasks.nudge_after_commit(conf.accounts(), using=using)
    return marked


def retry(rows: QuerySet[CustomerLink], *, actor: AbstractBaseUser | None = None, reason: str = "") -> int:
    """Try links again that were refused, are in conflict, given up or left out. Returns how many.

    Those for which nothing can be tried, or that are being sent just now, stay as they are.
    """
    keys = list(rows.using(links.database()).values_list("pk", flat=True))
    tried = 0
    for start in range(0, len(keys), _CHUNK):
        for link in CustomerLink.objects.using(links.database()).filter(pk__in=keys[start : start + _CHUNK]):
            with suppress(BeingSent):
                if decisions.RETRY in choices_for(link):
                    _carry_out(link, decisions.RETRY, actor=actor, reason=reason)
                    tried += 1
    return tried


def resolve(
    subject: Subject,
    *,
    choice: str,
    reason: str,
    actor: AbstractBaseUser | None = None,
    kohort_id: str = "",
    alias: str = "default",
) -> CustomerLink:
    """Decide about one link: `decisions.CONSEQUENCES` says what each choice leads to.

    `kohort_id` names the customer to adopt. An adoption is believed only after KohortPay has shown that
    customer in this mode and organization, and no other user has it. Raises NotPossible for a choice that
    the link does not allow or a missing reason, BeingSent while a worker has the row.
    """
    link = link_of(subject, alias=alias)
    _demand(reason)
    if choice not in choices_for(link):
        possible = ", ".join(choices_for(link)) or "nothing"
        raise NotPossible(
            f"'{choice}' cannot be decided about a link that is {link.conflict_kind or link.state};"
            f" possible: {possible}."
        )
    if (choice == decisions.ADOPT) != bool(kohort_id):
        raise NotPossible("To adopt, name the KohortPay customer (cus_…); for any other choice, name none.")
    if kohort_id and not mapping.is_kohort_id(kohort_id):
        raise NotPossible("This is not the id of a KohortPay customer (cus_…). Copy it from KohortPay.")
    _carry_out(link, choice, actor=actor, reason=reason, kohort_id=kohort_id)
    link.refresh_from_db()
    return link


def block(
    subject: Subject, *, reason: str, actor: AbstractBaseUser | None = None, alias: str = "default"
) -> None:
    """Want a customer blocked at KohortPay. Raises NotPossible where none is linked."""
    _want_block(subject, block=True, reason=reason, actor=actor, alias=alias)


def unblock(
    subject: Subject, *, reason: str, actor: AbstractBaseUser | None = None, alias: str = "default"
) -> None:
    """Want a customer no longer blocked at KohortPay. Raises NotPossible where none is linked."""
    _want_block(subject, block=False, reason=reason, actor=actor, alias=alias)


def erase(
    subject: Subject, *, reason: str, actor: AbstractBaseUser | None = None, alias: str = "default"
) -> CustomerLink:
    """Want nothing about this person left at KohortPay and in our tables; the user here is not touched.

    Cannot be taken back. The link stays as a tombstone, and `queries.proof` says what was done.
    """
    link = link_of(subject, alias=alias)
    _demand(reason)
    if link.state == State.ERASED:
        return link
    _note(
        link,
        "erase",
        lambda using: links.ask_for_erasure(link, using=using),
        actor=actor,
        reason=reason,
    )
    link.refresh_from_db()
    return link


def _want_block(
    subject: Subject, *, block: bool, reason: str, actor: AbstractBaseUser | None, alias: str
) -> None:
    link = link_of(subject, alias=alias)
    _demand(reason)
    if link.customer_id is None or link.state in (State.ERASING, State.ERASED, State.IGNORED):
        raise NotPossible(f"A link that is {link.state} has no customer that could be blocked or unblocked.")
    _note(
        link,
        "block" if block else "unblock",
        lambda using: links.ask_for_block(link, block=block, using=using),
        actor=actor,
        reason=reason,
    )


def _demand(reason: str) -> None:
    if not reason.strip():
        raise NotPossible("Say why: the reason is kept with the decision.")


def choices_for(link: CustomerLink) -> tuple[str, ...]:
    """Return what may be decided about a link: see `decisions.CONSEQUENCES`."""
    choices = decisions.allowed(state=link.state, conflict_kind=link.conflict_kind)
    # Nobody is left out, created or brought back whose erasure was asked for.
    if link.erase_asked_at is not None:
        return tuple(choice for choice in choices if choice == decisions.RETRY)
    # Who has a living customer gets no second one: the first would keep our reference, out of any erasure's
    # reach.
    has_one = link.customer_id is not None and link.conflict_kind not in decisions.CUSTOMER_IS_GONE
    return tuple(choice for choice in choices if not (has_one and choice == decisions.ADOPT))


def _carry_out(
    link: CustomerLink, choice: str, *, actor: AbstractBaseUser | None, reason: str, kohort_id: str = ""
) -> None:
    def decide(using: str) -> None:
        if choice == decisions.IGNORE:
            links.ignore(link, using=using)
        elif choice == decisions.CREATE:
            links.create_anew(link, using=using)
        elif choice == decisions.ADOPT:
            links.decide(link, using=using, wants_customer=kohort_id)
        else:
            links.decide(link, using=using, wants_restore=choice == decisions.RESTORE)

    _note(link, choice, decide, actor=actor, reason=reason)


def _note(
    link: CustomerLink,
    operation: str,
    decide: Callable[[str], None],
    *,
    actor: AbstractBaseUser | None,
    reason: str,
) -> None:
    """Decide and note it down, both or neither; then wake a worker."""
    using = links.database()
    with transaction.atomic(using=using):
        decide(using)
        _decision(link.pk, operation, actor=actor, reason=reason).save(using=using)
    tasks.nudge_after_commit(conf.accounts(), using=using)


def _decision(key: int, operation: str, *, actor: AbstractBaseUser | None, reason: str) -> SyncAttempt:
    return SyncAttempt(
        link_id=key,
        operation=operation,
        outcome="asked",
        trigger="person" if actor else "command",
        actor=str(actor.pk) if actor else "",
        # People write addresses into reasons; they do not belong into a history that outlives the person.
        reason=redaction.redact(reason, limit=_LONGEST_REASON),
    )
