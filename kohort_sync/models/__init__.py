"""The rows: what we promise (`CustomerLink`), what they have (`Customer`), and how it went."""

from kohort_sync.models.accounts import Account
from kohort_sync.models.customers import Customer
from kohort_sync.models.history import SyncAttempt, SyncRun
from kohort_sync.models.links import CustomerLink
from kohort_sync.models.states import FINAL, State, WorkClass

__all__ = ["FINAL", "Account", "Customer", "CustomerLink", "State", "SyncAttempt", "SyncRun", "WorkClass"]
