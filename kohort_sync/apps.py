"""The app: what Django loads, and where the receivers and checks are switched on."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class KohortSyncConfig(AppConfig):
    """Configure `kohort_sync`."""

    name = "kohort_sync"
    verbose_name = _("KohortPay")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receivers and register the checks and tasks."""
        from kohort_sync import checks, receivers  # noqa: PLC0415 — models exist only now

        receivers.connect()
        checks.register()
