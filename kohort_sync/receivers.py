"""Receivers: hear that a user was made, changed or deleted, and write one row. They call no service."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, transaction
from django.db.models import ForeignKey, Model
from django.db.models.signals import post_delete, post_save

from kohort_sync import conf, context, mapping, services

logger = logging.getLogger(__name__)

# A log-in writes these, and nothing of them is ever sent.
_NEVER_SENT = frozenset({"last_login", "password"})
# Databases whose table was seen to exist by this process.
_proven: set[str] = set()


def connect() -> None:
    """Listen to the user model, its proxies and its children, to what WATCH names, and to no other model.

    A receiver without a sender would cost every model of the site its fast deletion.
    """
    user_model = get_user_model()
    for model in apps.get_models():
        if not issubclass(model, user_model):
            continue
        post_save.connect(user_saved, sender=model, dispatch_uid=f"kohort_sync.saved.{model._meta.label}")
        # A child may be deleted while its parent, the user, stays.
        if _is_user_table(model):
            uid = f"kohort_sync.deleted.{model._meta.label}"
            post_delete.connect(user_deleted, sender=model, dispatch_uid=uid)

    watch()


def watch() -> None:
    """Listen to the models that WATCH names. A check reports a name that leads nowhere."""
    for label, name in conf.watched().items():
        with suppress(LookupError, ValueError, FieldDoesNotExist):
            model = apps.get_model(label)
            field = model._meta.get_field(name)
            if mapping.is_user_field(field):
                uid = f"kohort_sync.watched.{label}.{name}"
                heard = _part_of_a_user(field)
                post_save.connect(heard, sender=model, weak=False, dispatch_uid=f"{uid}.saved")
                post_delete.connect(heard, sender=model, weak=False, dispatch_uid=f"{uid}.deleted")


def _part_of_a_user(field: "ForeignKey[Any, Any]") -> Callable[..., None]:
    """Return a receiver that notes a change of the user whom a row of another model names."""

    def heard(sender: type[Model], instance: Model, *, using: str, raw: bool = False, **_: Any) -> None:
        del sender
        if raw or context.is_paused() or not conf.accounts():
            return
        # Without loading the user, where the row names it by its primary key.
        by_key = field.target_field.primary_key
        user = getattr(instance, field.attname if by_key else field.name)
        if user is None:
            return
        key = mapping.spelled(user if by_key else user.pk, model=get_user_model())
        _guarded(lambda: services.note_change(key, using=using), using=using)

    return heard


def forget() -> None:
    """Forget which databases were seen to have our tables, as a new process does."""
    _proven.clear()


def user_saved(
    sender: type[Model],
    instance: AbstractBaseUser,
    *,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    """Promise a new user to KohortPay; note that an old one may have changed."""
    if raw or context.is_paused() or not conf.accounts():
        return
    if update_fields is not None and update_fields <= _NEVER_SENT:
        return

    def write() -> None:
        if created:
            services.promise(instance, using=using)
        # Also when the row of a child table is new: its user may be an old one who has just been given it.
        if not created or not _is_user_table(sender):
            services.note_change(instance, using=using)

    _guarded(write, using=using)


def user_deleted(sender: type[Model], instance: AbstractBaseUser, *, using: str, **_: Any) -> None:
    """Note that a user is gone, in the deletion's own transaction, so that the key may be used again."""
    del sender
    if conf.accounts():
        _guarded(lambda: services.note_deletion(instance, using=using), using=using)


def _is_user_table(model: type[Model]) -> bool:
    """Say whether a model is the user model or a proxy of it, and not a child with a table of its own."""
    return model._meta.concrete_model is get_user_model()._meta.concrete_model


def _guarded(write: Callable[[], None], *, using: str) -> None:
    """Write; the first time in a process in a savepoint.

    So code that is deployed before its migration costs a log line and a later sweep, not a sign-up.
    """
    if using in _proven:
        write()
        return
    try:
        with transaction.atomic(using=using):
            write()
    except DatabaseError as failure:
        logger.warning(
            "kohort_sync could not write its row (%s); run 'manage.py migrate'."
            " The sweep finds the user later.",
            type(failure).__name__,
            extra={"failure": type(failure).__name__},
        )
    else:
        _proven.add(using)
