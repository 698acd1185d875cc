"""The ledger of links: record, decide, claim, intend, settle. Each step is one fenced write."""

from kohort_sync.links.claiming import Batch, Intent, any_due, claim, intend
from kohort_sync.links.deciding import BeingSent, ask_for_block, ask_for_erasure, create_anew, decide, ignore
from kohort_sync.links.recording import (
    ask_to_compare,
    forget_users,
    forget_users_of,
    forget_what_was_sent,
    mark_changed,
    mark_found,
    record,
    try_addresses_again,
    verify_in_turn,
)
from kohort_sync.links.settling import Settlement, report_late, settle, still_ours
from kohort_sync.links.storing import AT_ONCE, record_keys, record_stored
from kohort_sync.transactions import database, writing

__all__ = [
    "AT_ONCE",
    "Batch",
    "BeingSent",
    "Intent",
    "Settlement",
    "any_due",
    "ask_for_block",
    "ask_for_erasure",
    "ask_to_compare",
    "claim",
    "create_anew",
    "database",
    "decide",
    "forget_users",
    "forget_users_of",
    "forget_what_was_sent",
    "ignore",
    "intend",
    "mark_changed",
    "mark_found",
    "record",
    "record_keys",
    "record_stored",
    "report_late",
    "settle",
    "still_ours",
    "try_addresses_again",
    "verify_in_turn",
    "writing",
]
