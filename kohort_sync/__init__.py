"""Keep the users of a Django site and the customers of KohortPay in step."""

from kohort_sync.context import paused
from kohort_sync.schedule import beat_schedule

__all__ = ["__version__", "beat_schedule", "paused"]

__version__ = "0.1.0"
