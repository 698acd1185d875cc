"""The same site with the usual design in the place of kohort_sync."""

from tests.chaos.site import settings as site
from tests.chaos.usual.settings import *  # noqa: F403
from tests.chaos.usual.settings import INSTALLED_APPS

DEBUG = False
INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.site"]
MIDDLEWARE = site.MIDDLEWARE
ROOT_URLCONF = site.ROOT_URLCONF
PASSWORD_HASHERS = site.PASSWORD_HASHERS
