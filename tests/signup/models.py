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
