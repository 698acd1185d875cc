"""Settings of a host with two databases; how it routes is changed while it lives."""

import copy

from tests.settings import *  # noqa: F403 — the tests' own host; below is what differs
from tests.settings import DATABASES, KOHORT_SYNC

KOHORT_SYNC = KOHORT_SYNC | {"WATCH": {}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "kohort_sync", "project.accounts"]
# Tables as the models say, at once: what migrations do is no question here, and two databases need them.
MIGRATION_MODULES = {name.rpartition(".")[2]: None for name in INSTALLED_APPS}

DATABASES["other"] = copy.deepcopy(DATABASES["default"])
DATABASES["other"]["TEST"]["NAME"] += "_other"
