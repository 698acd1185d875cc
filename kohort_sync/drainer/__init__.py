"""The drainer: the one process at a time that sends for an account, batch by batch, until nothing is due."""

from kohort_sync.drainer.draining import BUDGET, Report, drain
from kohort_sync.drainer.home import accept as accept_database
from kohort_sync.drainer.line import probe

__all__ = ["BUDGET", "Report", "accept_database", "drain", "probe"]
