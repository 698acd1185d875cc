"""Reconcile: read what KohortPay has, mirror it, and tell how it differs. Sends nothing by itself."""

from kohort_sync.reconcile.comparing import KINDS, Finding, compare, next_links, unknown, values
from kohort_sync.reconcile.mirroring import Flip, take_over
from kohort_sync.reconcile.parts import Changes, KeyRange, Misplaced, Pages, Part, from_json, ranges, spelled
from kohort_sync.reconcile.relinking import Match, matches
from kohort_sync.reconcile.runs import begin, cancel, due, finish, open_run, save

__all__ = [
    "KINDS",
    "Changes",
    "Finding",
    "Flip",
    "KeyRange",
    "Match",
    "Misplaced",
    "Pages",
    "Part",
    "begin",
    "cancel",
    "compare",
    "due",
    "finish",
    "from_json",
    "matches",
    "next_links",
    "open_run",
    "ranges",
    "save",
    "spelled",
    "take_over",
    "unknown",
    "values",
]
