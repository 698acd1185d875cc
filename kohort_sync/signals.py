"""Signals of ours that a host may listen to; sent with `send_robust`, after the row was settled."""

from django.dispatch import Signal

customer_linked = Signal()
"""Sent with `link` when a user became linked to a customer."""

customer_updated = Signal()
"""Sent with `link` when KohortPay confirmed changed data."""

push_failed = Signal()
"""Sent with `link` and `code` when KohortPay refused the data of a user, or a link was given up for now."""

customer_blocked = Signal()
"""Sent with `link` when KohortPay shows that the customer is blocked, whoever did it."""

customer_unblocked = Signal()
"""Sent with `link` when KohortPay shows that the customer is no longer blocked."""

customer_erased = Signal()
"""Sent with `link` when nothing about the person is left at KohortPay, as far as it shows."""

conflict_found = Signal()
"""Sent with `link` and `kind` when a user needs a person's decision."""

drift_found = Signal()
"""Sent with `link` and `fields` when a reconciliation finds that KohortPay has other data than the site."""
