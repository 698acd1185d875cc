"""Settings of a host whose user model the environment names."""

import os

SECRET_KEY = "for-tests-only-" + "x" * 50
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "kohort_sync",
    "tests.usermodels",
]
AUTH_USER_MODEL = f"usermodels.{os.environ['USER_MODEL']}"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["USER_DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
KOHORT_SYNC = {"API_KEY": "sk_test_sandbox0000000000", "BASE_URL": "http://127.0.0.1:9", "NUDGE": False}
