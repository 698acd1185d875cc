"""The people of the site, for its staff."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from project.accounts.models import User


@admin.register(User)
class NeighbourAdmin(UserAdmin):  # type: ignore[type-arg]  # generic in the stubs alone
    """Show the phone number beside what Django shows of a user."""

    fieldsets = (*(UserAdmin.fieldsets or ()), ("Contact", {"fields": ["phone_number"]}))
    list_display = ("username", "email", "first_name", "last_name", "phone_number", "is_staff")
