"""Signals of ours that a host may listen to; sent with `send_robust`, after the row was settled."""

from django.dispatch import Signal

customer_linked = Signal()
"""Sent with `link` when a user became linked to a customer."""

customer_updated = Signal()
"""Sent with `link` when KohortPay confirmed changed data."""

push_failed = Signal()
"""Sent with `link` and `code` when KohortPay refused the data of a user."""

conflict_found = Signal()
"""Sent with `link` and `kind` when a user needs a person's decision."""
