"""User models as hosts have them; each process of these tests chooses one."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class People(BaseUserManager[Any]):
    """Make users of whatever model this is."""

    def sign_up(self, **fields: Any) -> Any:
        """Save one user, as a sign-up form does."""
        user = self.model(**fields)
        user.set_unusable_password()
        user.save(using=self._db)
        return user


class Uuid(AbstractBaseUser):
    """Have a UUID for a key, an e-mail address to log in with, and no name at all."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    objects: ClassVar[People] = People()
    USERNAME_FIELD = "email"


class Text(AbstractBaseUser):
    """Have a text for a key."""

    handle = models.CharField(primary_key=True, max_length=50)
    email = models.EmailField()
    first_name = models.CharField(max_length=50)
    objects: ClassVar[People] = People()
    USERNAME_FIELD = "handle"


class Address(AbstractBaseUser):
    """Keep the e-mail address in a column of another name."""

    contact = models.EmailField(unique=True)
    last_name = models.CharField(max_length=50)
    objects: ClassVar[People] = People()
    USERNAME_FIELD = "contact"
    EMAIL_FIELD = "contact"


class Visible(People):
    """Hide whoever is marked as gone."""

    def get_queryset(self) -> models.QuerySet[Any]:
        """Leave the hidden ones out."""
        return super().get_queryset().filter(gone=False)


class Hidden(AbstractBaseUser):
    """Be hidden by the manager of one's own model."""

    email = models.EmailField(unique=True)
    gone = models.BooleanField(default=True)
    objects: ClassVar[Visible] = Visible()
    USERNAME_FIELD = "email"


class Nobody(AbstractBaseUser):
    """Have no e-mail address at all."""

    handle = models.CharField(max_length=50, unique=True)
    objects: ClassVar[People] = People()
    USERNAME_FIELD = "handle"


class Person(models.Model):
    """Be known by a text, before anybody logs in."""

    handle = models.CharField(primary_key=True, max_length=50)

    def __str__(self) -> str:
        return self.handle


class Child(Person, AbstractBaseUser):
    """Be a user whose key is that of a parent table."""

    email = models.EmailField()
    objects: ClassVar[People] = People()
    USERNAME_FIELD = "handle"


class CodeField(models.CharField):  # type: ignore[type-arg]
    """Keep texts in capitals, and give them back in small letters."""

    def to_python(self, value: Any) -> Any:
        """Spell a value as this site does."""
        return value and value.lower()

    def from_db_value(self, value: Any, *_: Any) -> Any:
        """Spell what the database has as this site does."""
        return self.to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        """Spell a value as the database has it."""
        return value and value.upper()


class Own(AbstractBaseUser):
    """Have a key of a kind that only this site can read."""

    code = CodeField(primary_key=True, max_length=50)
    email = models.EmailField()
    objects: ClassVar[People] = People()
    USERNAME_FIELD = "code"
