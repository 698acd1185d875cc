"""Deliveries: what to send for one link, and how the link stands after the answer. Decisions only, no rows.

plan ──> Done                                   nothing to send
     ├─> LookUp ──> after_look_up ──> Done      found, or too early to send again
     │                            └─> Create    nothing there, and the settle window is over
     ├─> Create ─┐
     ├─> Update ─┤
     ├─> Block ──┤
     ├─> Erase ──┼─> send ──> conclude ──> Settlement
     ├─> Adopt ──┤
     └─> Verify ─┘
"""

from kohort_sync.delivery.outcomes import after_look_up, conclude, gave_up_address, taken_email
from kohort_sync.delivery.planning import foretell, plan
from kohort_sync.delivery.sending import send
from kohort_sync.delivery.settlements import Situation, where
from kohort_sync.delivery.steps import (
    Adopt,
    Block,
    Create,
    Done,
    Erase,
    LookUp,
    Result,
    Step,
    Update,
    Verify,
)

__all__ = [
    "Adopt",
    "Block",
    "Create",
    "Done",
    "Erase",
    "LookUp",
    "Result",
    "Situation",
    "Step",
    "Update",
    "Verify",
    "after_look_up",
    "conclude",
    "foretell",
    "gave_up_address",
    "plan",
    "send",
    "taken_email",
    "where",
]
