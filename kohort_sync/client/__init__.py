"""Speak to KohortPay: what is said (customers), how it travels (transport), what fails (errors)."""
