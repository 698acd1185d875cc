"""Tasks: everything that asks Celery anything. A message is a hint; the row is the promise."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from threading import Lock, Thread
from typing import Any

from celery import current_app, shared_task
from django.db import transaction

from kohort_sync import conf, drainer, links, reconcile, sweep
from kohort_sync.schedule import DRAIN_TASK, SWEEP_TASK

logger = logging.getLogger(__name__)

_LIMITS: dict[str, Any] = {
    "ignore_result": True,
    "max_retries": 0,
    # Early on purpose: the row survives a lost worker by itself, and redelivery would only loop.
    "acks_late": False,
    "soft_time_limit": 75,
    "time_limit": 90,
    "serializer": "json",
}
_HINT_EXPIRES = 600
_BROKER_SECONDS = 1.0
# A publish is a dozen answers, so a bound for each bounds little: these are for all of them together.
_PATIENCE = 1.5
_TOO_SLOW = 0.5
_WINDOW = 1.0
_BROKEN_FOR = 30.0


@shared_task(name=DRAIN_TASK, **_LIMITS)
def drain(alias: str) -> None:
    """Send what is due for one account; carry on in a new task where work is left."""
    _wakeups.heard()
    if drainer.drain(alias).work_left:
        nudge([alias])


@shared_task(name=SWEEP_TASK, **_LIMITS)
def sweep_accounts() -> None:
    """Find what no message announced, and start a drain for each account that has work."""
    _wakeups.heard()
    for alias in conf.accounts():
        sweep.sweep(alias)
        account = conf.accounts()[alias]
        using = links.database()
        if links.any_due(account=account.key, using=using) or reconcile.due(account.key, using=using):
            nudge([alias])


def nudge(aliases: Iterable[str]) -> None:
    """Wake a worker for these accounts, at most once a second each. Never raises, and never waits long.

    After a failure nothing is published for 30 s in this process: a broken broker costs one wait, and so
    does a slow one.
    """
    for alias in aliases:
        try:
            if conf.get("NUDGE") and not current_app.conf.task_always_eager and _wakeups.reserve(alias):
                _publish(alias)
        except Exception as failure:  # noqa: BLE001 — whatever a broker raises, a sign-up must not fail
            _wakeups.failed(alias)
            logger.warning(
                "No worker could be woken for account %s (%s); the sweep finds the work.",
                alias,
                type(failure).__name__,
                extra={"account": alias, "failure": type(failure).__name__},
            )


def nudge_after_commit(aliases: Iterable[str], *, using: str) -> None:
    """Wake a worker once the present transaction has committed; at once where there is none.

    Where the host commits by hand (autocommit is off) nobody says when, so the sweep finds the work.
    """
    wanted = tuple(aliases)

    # A nested function and not a partial: Django 5.2 and 6.0 log a failed callback by its __qualname__.
    def wake() -> None:
        nudge(wanted)

    with suppress(transaction.TransactionManagementError):
        transaction.on_commit(wake, using=using, robust=True)


def forget() -> None:
    """Forget what was published and what failed, as a new process does."""
    _wakeups.forget()


def broker_fault() -> str:
    """Say why no worker can be woken, without the broker's address; empty where one can, or none is to."""
    if not conf.get("NUDGE"):
        return ""
    try:
        if current_app.conf.task_always_eager:
            return "task_always_eager is on"
        _in_time(lambda _connection: None)
    except Exception as failure:  # noqa: BLE001 — whatever a broker raises, it is the answer
        return type(failure).__name__
    return ""


def _publish(alias: str) -> None:
    options: dict[str, Any] = {"queue": conf.get("QUEUE")} if conf.get("QUEUE") else {}

    def publish(connection: Any) -> None:
        # No retry: it would connect anew, and then nothing would bound the waits.
        drain.apply_async(args=(alias,), connection=connection, expires=_HINT_EXPIRES, retry=False, **options)

    _in_time(publish)


def _in_time(talk: Callable[[Any], None]) -> None:
    """Talk to the broker, and stop waiting after a while whatever the broker or its name server does.

    Raises what the talking raised, and TimeoutError where it took long: also where the message went out at
    last, for the next one would take as long.
    """
    connection = current_app.connection_for_write(
        connect_timeout=_BROKER_SECONDS, transport_options=_BROKER_OPTIONS
    )
    failures: list[Exception] = []

    def connect_and_talk() -> None:
        try:
            _on_a_connection(connection, talk)
        except Exception as failure:  # noqa: BLE001 — whatever a broker raises is for the one who waits
            failures.append(failure)

    # A thread, because nothing else bounds the look-up of a name and each of many answers. It ends by itself:
    # all its waits are bounded. With the caller's context, which tracing tools of the host look for.
    thread = Thread(
        target=copy_context().run, args=(connect_and_talk,), name="kohort_sync_nudge", daemon=True
    )
    # The first message of a process imports and declares much, which is no broker's fault.
    bearable = _TOO_SLOW if _wakeups.has_published else _PATIENCE
    started = time.monotonic()
    thread.start()
    thread.join(_PATIENCE)
    if failures:
        raise failures[0]
    if thread.is_alive() or time.monotonic() - started > bearable:
        raise TimeoutError
    _wakeups.has_published = True


def _on_a_connection(connection: Any, talk: Callable[[Any], None]) -> None:
    """Use a connection of our own, so that our short timeouts hold whatever the host has set."""
    try:
        # With several brokers the next one gets its chance, too.
        connection.ensure_connection(**_AT_ONCE | {"max_retries": 1 if connection.alt else 0})
        _bound_waits(connection)
        talk(connection)
        # A farewell that the broker has to answer. Kombu's own would hide that no answer came.
        connection.transport.close_connection(connection.connection)
    finally:
        # Kombu would else set the process's default timeout to none for a moment, under other threads too.
        connection.collect(socket.getdefaulttimeout())


_AT_ONCE: dict[str, Any] = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
# Redis reads these; other transports pass over what they do not know.
_BROKER_OPTIONS: dict[str, Any] = _AT_ONCE | {
    "socket_timeout": _BROKER_SECONDS,
    "socket_connect_timeout": _BROKER_SECONDS,
    "connect_retries_timeout": _BROKER_SECONDS,
    "retry_on_timeout": False,
}


def _bound_waits(connection: Any) -> None:
    """Bound every wait on an AMQP connection that stands.

    Its own `read_timeout` bounds nothing: py-amqp starts to read again as soon as it has expired.
    """
    sock = getattr(connection.connection, "sock", None)
    if sock is not None:
        sock.settimeout(_BROKER_SECONDS)


class _Wakeups:
    """Remember what this process published, and whether the broker failed it lately."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        # A new lock too: another thread may have held the old one while this process was forked.
        self._lock = Lock()
        self._last: dict[str, float] = {}
        self._broken_until = 0.0
        self.has_published = False

    def reserve(self, alias: str) -> bool:
        """Say whether to publish now; whoever asks next within the window need not."""
        with self._lock:
            now = time.monotonic()
            if now < self._broken_until or now - self._last.get(alias, -_WINDOW) < _WINDOW:
                return False
            self._last[alias] = now
            return True

    def heard(self) -> None:
        """Note that the broker works: it has just brought this process a message."""
        with self._lock:
            self._broken_until = 0.0

    def failed(self, alias: str) -> None:
        with self._lock:
            self._last.pop(alias, None)
            self._broken_until = time.monotonic() + _BROKEN_FOR


_wakeups = _Wakeups()
os.register_at_fork(after_in_child=_wakeups.forget)
