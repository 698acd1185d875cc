"""What a host may have made of its users: a proxy, a child with a table of its own, and something else."""

from django.db import models

from project.accounts.models import User


class Neighbour(User):
    """Be a user under another name."""

    class Meta:
        proxy = True


class Merchant(User):
    """Be a user who has more columns."""

    shop = models.CharField(max_length=50)


class Flyer(models.Model):
    """Be nobody: a model that nothing of ours listens to."""

    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text


class Profile(models.Model):
    """Hold what a host keeps beside its users; WATCH names it."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="profile")
    phone_number = models.CharField(max_length=32, blank=True)

    def __str__(self) -> str:
        return self.phone_number


class Badge(models.Model):
    """Name a user by something that is not the primary key, or nobody; WATCH names it."""

    holder = models.ForeignKey(
        User, on_delete=models.CASCADE, to_field="username", null=True, related_name="badges"
    )
    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text
