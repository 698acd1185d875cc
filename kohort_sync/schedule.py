"""The schedule: what a host's beat has to start, by task name, without importing Celery."""

from typing import Any

SWEEP_TASK = "kohort_sync.v1.sweep"
DRAIN_TASK = "kohort_sync.v1.drain"


def beat_schedule(*, sweep: float = 60.0) -> dict[str, dict[str, Any]]:
    """Return the entries for a host's `beat_schedule`.

    `sweep` is in seconds and is the value of the setting `SWEEP`. Reads no setting, so that it may be
    called inside a settings module.
    """
    return {
        "kohort-sync-sweep": {
            "task": SWEEP_TASK,
            "schedule": sweep,
            # A sweep that waited longer than the next one is due has nothing left to say.
            "options": {"expires": sweep * 0.9},
        },
    }
