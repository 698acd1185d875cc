"""The demo site with the usual design in the place of kohort_sync.

It serves no page: whoever runs it brings the site in front, as another module of settings that imports this.
"""

import os
from typing import Any

from project.settings import *  # noqa: F403 - the demo site; below is what differs
from project.settings import CELERY_BROKER_TRANSPORT_OPTIONS, CELERY_BROKER_URL, INSTALLED_APPS
from tests.chaos.usual import hosting

INSTALLED_APPS = ["tests.chaos.usual" if name == "kohort_sync" else name for name in INSTALLED_APPS]
ROOT_URLCONF = ""

_backoff_max = int(os.environ.get("USUAL_RETRY_BACKOFF_MAX") or 60)
USUAL: dict[str, Any] = {
    "API_KEY": os.environ.get("KOHORT_API_KEY") or "",
    "BASE_URL": os.environ.get("KOHORT_BASE_URL") or "http://127.0.0.1:9",
    "TIMEOUT": float(os.environ.get("KOHORT_DEADLINE") or 35),
    "RETRY_BACKOFF_MAX": _backoff_max,
}

globals().update(hosting.CELERY)
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        **CELERY_BROKER_TRANSPORT_OPTIONS,
        **hosting.REDIS,
        # As long against the longest pause as on a site, whatever a run makes of that.
        "visibility_timeout": 2 * _backoff_max,
    }
CELERY_BEAT_SCHEDULE = {}
