"""Connections: one client per account and process, made from the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kohort_sync import conf
from kohort_sync.client.customers import Customers
from kohort_sync.client.transport import Transport

_transports: dict[str, tuple[dict[str, Any], Transport]] = {}
_adapter: Any = None


def customers(account: conf.AccountSettings, *, organization_id: str, threads: int) -> Customers:
    """Return the customers API of an account; the pooled transport behind it is kept for the process.

    Raises ValueError where the key or the address is malformed.
    """
    return Customers(
        _transport(account, threads=threads),
        livemode=account.livemode,
        organization_id=organization_id or None,
    )


@contextmanager
def through(adapter: Any) -> Iterator[None]:
    """Send everything through a `requests` adapter inside the block: how tests reach a simulated service."""
    global _adapter  # noqa: PLW0603 — one switch for the process: worker threads must see it too
    before, _adapter = _adapter, adapter
    try:
        yield
    finally:
        _adapter = before


def _transport(account: conf.AccountSettings, *, threads: int) -> Transport:
    made_of = {
        "base_url": account.base_url,
        "key": account.api_key,
        "deadline": conf.deadline(),
        "pool_size": threads,
        "trust_env": conf.get("TRUST_ENV"),
        "ca_bundle": conf.get("CA_BUNDLE"),
        "adapter": _adapter,
    }
    kept = _transports.get(account.alias)
    if kept is None or kept[0] != made_of:
        # A setting changed: whoever still uses the old transport finishes on it. No lock: two threads may
        # both make one, and the one that is forgotten never opened a connection.
        kept = _transports[account.alias] = (made_of, Transport(**made_of))
    return kept[1]
