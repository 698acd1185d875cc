"""The usual design, writing the same rows: one Celery task for each user."""
