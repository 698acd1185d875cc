"""The cast: who signs up, what is special about each, and how each must end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Say how a person must end: the state of the link, why, and whether KohortPay has a customer for it."""

    state: str
    code: str = ""
    customer: bool = True


LINKED = Ending(state="linked")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Describe one person. A `fault` is what the sandbox does to the request that creates them."""

    username: str
    first_name: str
    last_name: str
    email: str
    special: str = ""
    ending: Ending = LINKED
    fault: Mapping[str, Any] | None = None
    follows: str = ""
    """Who must be linked before this person signs up."""

    @property
    def name(self) -> str:
        """Return the name as people read it."""
        return f"{self.first_name} {self.last_name}".strip() or self.username


def ordinary_people(run: str) -> list[Person]:
    """Return people about whom nothing is special. `run` makes their addresses unique."""
    return [
        _person("ada", "Ada Okafor", run),
        _person("bruno", "Bruno Keller", run),
        _person("chiara", "Chiara Rossi", run),
        _person("dmitri", "Dmitri Volkov", run),
        _person("elif", "Elif Demir", run),
    ]


def special_people(run: str) -> list[Person]:
    """Return Ada's partner, who shares her mailbox, and somebody without an e-mail address."""
    return [
        _person(
            "felix",
            "Felix Okafor",
            run,
            email=_address("ada", run),
            special="shares Ada's e-mail address",
            ending=Ending(state="conflict", code="email_in_use", customer=False),
            follows="ada",
        ),
        _person(
            "gus",
            "Gus Moreau",
            run,
            email="",
            special="gives no e-mail address",
            ending=Ending(state="skipped", code="no_email", customer=False),
        ),
    ]


def unlucky_people(run: str, *, dialect: str = "seen") -> list[Person]:
    """Return people at whose creation the sandbox fails."""
    found_again = LINKED
    if dialect == "documented":
        # Its answers show no reference, so nobody can prove that the customer found is the one created.
        found_again = Ending(state="conflict", code="reference_not_shown")
    return [
        _person(
            "hana", "Hana Sato", run, special="KohortPay answers 503", fault={"kind": "status", "status": 503}
        ),
        _person(
            "ivo",
            "Ivo Novak",
            run,
            special="KohortPay's answer is lost",
            fault={"kind": "reset", "after_commit": True},
            ending=found_again,
        ),
    ]


def admin(run: str) -> Person:
    """Return the site's admin, who had an account before the site knew of KohortPay."""
    return Person(
        username="admin",
        first_name="",
        last_name="",
        email=_address("admin", run),
        special="was here before the app",
    )


def _person(username: str, name: str, run: str, **details: Any) -> Person:
    first_name, last_name = name.split()
    details.setdefault("email", _address(username, run))
    return Person(username=username, first_name=first_name, last_name=last_name, **details)


def _address(username: str, run: str) -> str:
    return f"{username}.{run}@example.com"
