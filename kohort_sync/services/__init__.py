"""Services: what people, hosts and edges may ask for. They mark rows; the drainer does the work."""

from kohort_sync.services.asking import (
    account_key,
    customer_for,
    export,
    obstacle,
    status,
    swept_late,
    user_is_blocked,
)
from kohort_sync.services.deciding import (
    BeingSent,
    NotPossible,
    block,
    choices_for,
    erase,
    resolve,
    resync,
    retry,
    unblock,
)
from kohort_sync.services.examining import (
    Database,
    Probe,
    broker_fault,
    clock_difference,
    database,
    is_draining,
    probe,
)
from kohort_sync.services.finding import UnknownAccount, UnknownUser
from kohort_sync.services.noting import note_change, note_deletion, promise, request_sync
from kohort_sync.services.running import Backfill, backfill, drain, find_missing, prune

__all__ = [
    "Backfill",
    "BeingSent",
    "Database",
    "NotPossible",
    "Probe",
    "UnknownAccount",
    "UnknownUser",
    "account_key",
    "backfill",
    "block",
    "broker_fault",
    "choices_for",
    "clock_difference",
    "customer_for",
    "database",
    "drain",
    "erase",
    "export",
    "find_missing",
    "is_draining",
    "note_change",
    "note_deletion",
    "obstacle",
    "probe",
    "promise",
    "prune",
    "request_sync",
    "resolve",
    "resync",
    "retry",
    "status",
    "swept_late",
    "unblock",
    "user_is_blocked",
]
