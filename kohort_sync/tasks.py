"""Tasks: everything that asks Celery anything. A message is a hint; the row is the promise."""

import logging
import os
import time
from collections.abc import Iterable
from threading import Lock
from typing import Any

from celery import current_app, shared_task
from django.db import transaction

from kohort_sync import conf, drainer, links, sweep
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
_WINDOW = 1.0
_BROKEN_FOR = 30.0


@shared_task(name=DRAIN_TASK, **_LIMITS)
def drain(alias: str) -> None:
    """Send what is due for one account; carry on in a new task where work is left."""
    if drainer.drain(alias).work_left:
        nudge([alias])


@shared_task(name=SWEEP_TASK, **_LIMITS)
def sweep_accounts() -> None:
    """Find what no message announced, and start a drain for each account that has work."""
    for alias in conf.accounts():
        sweep.sweep(alias)
        account = conf.accounts()[alias]
        if links.any_due(account=account.key, using=links.database()):
            nudge([alias])


def nudge(aliases: Iterable[str]) -> None:
    """Wake a worker for these accounts, at most once a second each. Never raises, and never waits long.

    After a failure nothing is published for 30 s in this process: a broken broker costs one wait.
    """
    if not conf.get("NUDGE") or current_app.conf.task_always_eager:
        return
    for alias in aliases:
        if _wakeups.may_publish(alias):
            try:
                _publish(alias)
            except Exception as failure:  # noqa: BLE001 — whatever a broker raises, a sign-up must not fail
                _wakeups.failed()
                logger.warning(
                    "No worker could be woken; the sweep finds the work.",
                    extra={"account": alias, "failure": type(failure).__name__},
                )
            else:
                _wakeups.published(alias)


def nudge_after_commit(aliases: Iterable[str], *, using: str) -> None:
    """Wake a worker once the present transaction has committed; at once where there is none."""
    wanted = tuple(aliases)

    # A nested function and not a partial: Django 5.2 and 6.0 log a failed callback by its __qualname__.
    def wake() -> None:
        nudge(wanted)

    transaction.on_commit(wake, using=using, robust=True)


def forget() -> None:
    """Forget what was published and what failed, as a new process does."""
    _wakeups.forget()


def _publish(alias: str) -> None:
    """Publish over a connection of our own, so that our short timeouts hold whatever the host has set."""
    options: dict[str, Any] = {"queue": conf.get("QUEUE")} if conf.get("QUEUE") else {}
    with current_app.connection_for_write(
        connect_timeout=_BROKER_SECONDS,
        transport_options=_broker_options(),
    ) as connection:
        drain.apply_async(
            args=(alias,),
            connection=connection,
            expires=_HINT_EXPIRES,
            retry=True,
            retry_policy=_ONE_TRY,
            **options,
        )


_ONE_TRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def _broker_options() -> dict[str, Any]:
    scheme = str(current_app.conf.broker_write_url or "").partition(":")[0]
    if scheme in {"amqp", "amqps", "pyamqp"}:
        return _ONE_TRY | {"read_timeout": _BROKER_SECONDS, "write_timeout": _BROKER_SECONDS}
    return _ONE_TRY | {
        "socket_timeout": _BROKER_SECONDS,
        "socket_connect_timeout": _BROKER_SECONDS,
        "connect_retries_timeout": _BROKER_SECONDS,
    }


class _Wakeups:
    """Remember what this process published, and whether the broker failed it lately."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        self._pid = os.getpid()
        self._last: dict[str, float] = {}
        self._broken_until = 0.0

    def may_publish(self, alias: str) -> bool:
        with self._lock:
            if self._pid != os.getpid():
                self.forget()
            now = time.monotonic()
            return now >= self._broken_until and now - self._last.get(alias, -_WINDOW) >= _WINDOW

    def published(self, alias: str) -> None:
        with self._lock:
            self._last[alias] = time.monotonic()

    def failed(self) -> None:
        with self._lock:
            self._broken_until = time.monotonic() + _BROKEN_FOR


_wakeups = _Wakeups()
