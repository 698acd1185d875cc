"""What the tasks need of their host's Celery (`namespace="CELERY"`), as its documentation advises."""

from typing import Any

CELERY: dict[str, Any] = {
    "CELERY_TASK_IGNORE_RESULT": True,
    # With late acknowledgement a worker that fetches ahead keeps messages from those who have time.
    "CELERY_WORKER_PREFETCH_MULTIPLIER": 1,
    # A worker that loses its broker may not acknowledge what it is doing, and somebody else will do it again.
    "CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS": True,
    # A sign-up waits a moment for a broken broker.
    "CELERY_BROKER_CONNECTION_TIMEOUT": 1.0,
    "CELERY_TASK_PUBLISH_RETRY_POLICY": {
        "max_retries": 1,
        "interval_start": 0.0,
        "interval_step": 0.1,
        "interval_max": 0.1,
    },
}

# With Redis too: its timeouts, and when a message of a killed worker is given to another. The hour that is
# the default is long for a sign-up; a pause between two tries must fit in, or its message comes twice.
REDIS: dict[str, Any] = {
    "visibility_timeout": 120,
    "socket_connect_timeout": 1.0,
    "socket_timeout": 2.0,
}
