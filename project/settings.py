"""Settings of the demo site. What a host has to say to kohort_sync is at the end."""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

import kohort_sync

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(os.environ.get("PROJECT_STATE_DIR") or BASE_DIR / ".demo")

DEBUG = os.environ.get("DEBUG", "on").lower() in {"1", "on", "true", "yes"}
SECRET_KEY = os.environ.get("SECRET_KEY") or ("for-development-only-" + "x" * 40 if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("With DEBUG off the site needs the environment variable SECRET_KEY.")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "kohort_sync",
    "project.accounts",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "project.csp.middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES: dict[str, Any] = {
    "default": dj_database_url.config(default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}"),
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # The web server and the worker write to one file: readers do not wait for a writer, a transaction
    # takes its place in the queue when it begins, and whoever waits does so for a while.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "log-in"
LOGIN_REDIRECT_URL = "status"
LOGOUT_REDIRECT_URL = "home"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "project" / "static"]

# kohort_sync: no key means that the app is installed and idle.
KOHORT_SYNC: dict[str, Any] = {
    "API_KEY": os.environ.get("KOHORT_API_KEY") or None,
    "CUSTOMER_DATA": "project.accounts.customers.customer_data",
}
if base_url := os.environ.get("KOHORT_BASE_URL"):
    KOHORT_SYNC["BASE_URL"] = base_url
if deadline := os.environ.get("KOHORT_DEADLINE"):
    KOHORT_SYNC["DEADLINE"] = float(deadline)
if sweep := os.environ.get("KOHORT_SWEEP"):
    KOHORT_SYNC["SWEEP"] = float(sweep)

CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = kohort_sync.beat_schedule(sweep=KOHORT_SYNC.get("SWEEP", 60.0))
# What is due every minute need not be remembered over a restart; so beat keeps no file.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"

# Sites that share a broker need queues of their own.
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("CELERY_TASK_DEFAULT_QUEUE") or "celery"
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL") or "filesystem://localhost"
CELERY_BROKER_TRANSPORT: str | None = None
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
if CELERY_BROKER_URL.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT = "project.broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # One folder for both directions: whoever writes and whoever reads are the same site.
        "data_folder_in": str(STATE_DIR / "broker" / "messages"),
        "data_folder_out": str(STATE_DIR / "broker" / "messages"),
        "control_folder": str(STATE_DIR / "broker" / "control"),
        "processed_folder": str(STATE_DIR / "broker" / "processed"),
        # Seconds between two looks at an empty folder; Kombu's own second would be most of the latency.
        "polling_interval": 0.05,
    }
    # Each worker would leave a mailbox behind that fills up after it is gone.
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
