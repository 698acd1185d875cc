"""Settings of the tests: the demo site, with a key, and nothing that listens behind it."""

import os
import tempfile
from pathlib import Path

from project.settings import *  # noqa: F403 - the tests run on the demo site; below is what differs
from project.settings import DATABASES, INSTALLED_APPS
from project.settings import KOHORT_SYNC as SITE_KOHORT_SYNC

DEBUG = False
SECRET_KEY = "for-tests-only-" + "x" * 50
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Proxies and children of the user model, as a host may have them.
INSTALLED_APPS = [*INSTALLED_APPS, "tests.signup"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as on a site: SQLite in memory has no WAL and answers a second thread with "table is locked".
    # The process id keeps two runs on one machine apart.
    DATABASES["default"]["TEST"] = {
        "NAME": str(Path(tempfile.gettempdir()) / f"kohort_sync_tests_{os.getpid()}.sqlite3")
    }
else:
    DATABASES["default"]["TEST"] = {"NAME": f"test_kohort_sync_{os.getpid()}"}

# Port 9 discards what it gets; a test that forgets to bring a simulator fails at once and reaches nobody.
KOHORT_SYNC = {
    "API_KEY": "sk_test_sandbox0000000000",
    "BASE_URL": "http://127.0.0.1:9",
    "CUSTOMER_DATA": SITE_KOHORT_SYNC["CUSTOMER_DATA"],
    # Read when the app starts, so it stands here and not in the tests that need it.
    "WATCH": {"signup.Profile": "user", "signup.Badge": "holder"},
}

CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT = None
CELERY_BROKER_TRANSPORT_OPTIONS = {}
