"""Common Basket: a small shop where neighbours buy together, and a host of kohort_sync."""

from project.celery import app as celery_app

__all__ = ["celery_app"]
