"""The app: what Django loads, and where the receiver is switched on."""

from django.apps import AppConfig


class UsualConfig(AppConfig):
    """Configure the usual design."""

    name = "tests.chaos.usual"
    label = "usual"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the receiver."""
        from tests.chaos.usual import receivers  # noqa: F401, PLC0415 - models exist only now
