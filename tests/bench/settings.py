"""The site that is measured: the demo site with a password hasher that costs nothing."""

import os

from project.settings import *  # noqa: F403 - the demo site; below is what differs
from project.settings import INSTALLED_APPS as SITE_APPS

DEBUG = False
SECRET_KEY = "for-benchmarks-only-" + "x" * 50
INSTALLED_APPS = [*SITE_APPS, "tests.bench.usual"]
ALLOWED_HOSTS = ["testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGGING_CONFIG = None

KOHORT_SYNC = {
    "API_KEY": os.environ.get("BENCH_KEY", "sk_test_sandboxbench0000"),
    "BASE_URL": os.environ.get("BENCH_SERVICE", "http://127.0.0.1:9"),
    "CUSTOMER_DATA": "project.accounts.customers.customer_data",
    # Only where sign-ups are measured: elsewhere a worker is the usual design's.
    "NUDGE": "BENCH_NUDGE" in os.environ,
    "MAX_CONCURRENCY": int(os.environ.get("BENCH_THREADS", "64")),
    **({"MAX_RATE": float(os.environ["BENCH_MAX_RATE"])} if "BENCH_MAX_RATE" in os.environ else {}),
}

if "BENCH_TUNED" in os.environ:
    CELERY_DB_REUSE_MAX = 1000
