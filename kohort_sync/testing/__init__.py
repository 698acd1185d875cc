"""Stand in for the KohortPay customers service: on the desk, in tests, in a browser.

`kohort_sync.testing.service` is the service itself, without a network; `kohort_sync.testing.adapter`
answers a `requests` session from it in process; `kohort_sync.testing.server` puts it behind a real HTTP
port. None of them needs Django.
"""
