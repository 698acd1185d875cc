"""Register the accounts with Django."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Name the app."""

    name = "project.accounts"
    verbose_name = "accounts"
