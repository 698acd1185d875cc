"""The verdict: what KohortPay has, what the site's tables say, and how each person must end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from project.demo.cast import Person
from project.demo.service import Customer
from project.demo.standings import Standing

EVERYBODY = "Everybody"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Hold what is known at the end.

    `creates` counts, by reference, the creates that KohortPay worked on. `asked` says how its list was had,
    `told_by` by what customers were told apart.
    """

    customers: Sequence[Customer]
    standings: Mapping[str, Standing]
    creates: Mapping[str, int] | None = None
    faults_left: int = 0
    asked: str = "GET /_sandbox/customers, all there is"
    told_by: str = "by e-mail address and by reference"


def judge(cast: Sequence[Person], evidence: Evidence) -> dict[str, list[str]]:
    """Return what is wrong, one sentence each, by the name of the person; no sentence means all is well."""
    wrong = {person.name: _about(person, cast, evidence) for person in cast}
    return wrong | {EVERYBODY: _about_everybody(cast, evidence)}


def _about(person: Person, cast: Sequence[Person], evidence: Evidence) -> list[str]:
    standing = evidence.standings.get(person.username)
    if standing is None:
        return ["The site has no link for this person."]
    if not standing.settled:
        return [f"Still on the way: {standing.words}. {standing.reason}"]
    return [
        *_ended_otherwise(person, standing),
        *_by_reference(person, standing, evidence),
        *_by_address(person, cast, evidence),
    ]


def _ended_otherwise(person: Person, standing: Standing) -> list[str]:
    must = person.ending
    if (standing.state, standing.code) == (must.state, must.code):
        return []
    ended, expected = _named(standing.state, standing.code), _named(must.state, must.code)
    return [f"Ended as {ended} and not as {expected}. The site says: {standing.reason}"]


def _by_reference(person: Person, standing: Standing, evidence: Evidence) -> list[str]:
    wrong = []
    theirs = [customer for customer in evidence.customers if customer.reference == standing.reference]
    expected = int(person.ending.customer)
    if len(theirs) != expected:
        wrong.append(f"KohortPay has {_count(len(theirs))} with this person's reference, not {expected}.")
    if any(customer.email != person.email for customer in theirs):
        wrong.append("KohortPay's customer with this person's reference has another e-mail address.")
    if standing.state == "linked" and [standing.kohort_id] != [customer.kohort_id for customer in theirs]:
        wrong.append(f"The site links to {standing.kohort_id}, which is not KohortPay's one customer.")
    if standing.state == "linked" and standing.mirrored_email != person.email:
        wrong.append("The site's copy of the customer has another e-mail address.")
    creates = None if evidence.creates is None else evidence.creates.get(standing.reference, 0)
    if expected and creates not in (None, 1):
        wrong.append(f"KohortPay was made to create this customer {creates} times.")
    return wrong


def _by_address(person: Person, cast: Sequence[Person], evidence: Evidence) -> list[str]:
    """Judge by the e-mail address, which several people may share: one of them has the customer."""
    if not person.email:
        return []
    found = sum(customer.email == person.email for customer in evidence.customers)
    expected = sum(other.email == person.email and other.ending.customer for other in cast)
    if found == expected:
        return []
    return [f"KohortPay has {_count(found)} with this person's e-mail address, not {expected}."]


def _about_everybody(cast: Sequence[Person], evidence: Evidence) -> list[str]:
    wrong = []
    known = {person.email for person in cast if person.email}
    strangers = sum(customer.email not in known for customer in evidence.customers)
    if strangers:
        wrong.append(f"KohortPay has {_count(strangers)} that nobody here stands for.")
    if evidence.faults_left:
        wrong.append("A fault that was to strike never did, so this run has not shown what it should.")
    return wrong


def _named(state: str, code: str) -> str:
    return f"{state} ({code})" if code else state


def _count(number: int) -> str:
    return "one customer" if number == 1 else f"{number or 'no'} customers"


def in_words(person: Person, cast: Sequence[Person], evidence: Evidence) -> str:
    """Say what is well about a person who ended as they must."""
    if person.ending.customer:
        return f"one customer, {evidence.told_by}"
    holder = next((other.name for other in cast if other.ending.customer and other.email == person.email), "")
    if holder:
        return f"none; the one customer with this address is {holder}'s"
    return "none"
