"""The people of the site."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """Be one neighbour.

    The e-mail address is optional and may be shared, as it is on many older sites: a couple with one
    mailbox, or somebody who only comes to the stall.
    """

    phone_number = models.CharField("phone number", max_length=32, blank=True)
