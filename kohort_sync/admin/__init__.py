"""The admin: staff see every link in plain words and ask for a resync. The mirror is read-only."""

from django.contrib import admin

from kohort_sync import conf
from kohort_sync.admin.pages import (
    AccountAdmin,
    CustomerAdmin,
    CustomerLinkAdmin,
    SyncAttemptAdmin,
    SyncRunAdmin,
)
from kohort_sync.models import Account, Customer, CustomerLink, SyncAttempt, SyncRun

__all__ = ["AccountAdmin", "CustomerAdmin", "CustomerLinkAdmin", "SyncAttemptAdmin", "SyncRunAdmin"]

if conf.get("REGISTER_ADMIN"):
    admin.site.register(Account, AccountAdmin)
    admin.site.register(Customer, CustomerAdmin)
    admin.site.register(CustomerLink, CustomerLinkAdmin)
    admin.site.register(SyncAttempt, SyncAttemptAdmin)
    admin.site.register(SyncRun, SyncRunAdmin)
