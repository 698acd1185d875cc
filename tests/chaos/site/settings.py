"""The site of a chaos run, with kohort_sync installed as its README says."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

DEBUG = False
INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.site"]
MIDDLEWARE = []
ROOT_URLCONF = "tests.chaos.site.views"
# A sign-up is to cost what we add to it, and not what a password does.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
