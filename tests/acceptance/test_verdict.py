"""The judge: what it says of right and of wrong lists."""

from dataclasses import replace

import pytest

from project.demo import cast as casting
from project.demo import verdict
from project.demo.cast import Person
from project.demo.service import Customer
from project.demo.standings import Standing
from project.demo.verdict import EVERYBODY, Evidence

CAST = [*casting.ordinary_people("x")[:2], *casting.special_people("x"), *casting.unlucky_people("x")]
ADA, BRUNO, FELIX, GUS, HANA, IVO = CAST


def reference(person: Person) -> str:
    return f"ks-{person.username}"


def customer(person: Person, **changes: str) -> Customer:
    made = Customer(kohort_id=f"cus_{person.username}", email=person.email, reference=reference(person))
    return replace(made, **changes)


def standing(person: Person) -> Standing:
    linked = person.ending.state == "linked"
    return Standing(
        state=person.ending.state,
        code=person.ending.code,
        reference=reference(person),
        kohort_id=f"cus_{person.username}" if linked else "",
        mirrored_email=person.email if linked else "",
    )


def evidence() -> Evidence:
    """Return what is there when everybody has ended as they must."""
    with_customer = [person for person in CAST if person.ending.customer]
    return Evidence(
        customers=[customer(person) for person in with_customer],
        standings={person.username: standing(person) for person in CAST},
        creates={reference(person): 1 for person in with_customer},
    )


def complaints(seen: Evidence) -> dict[str, str]:
    """Return what the judge finds wrong, by name."""
    return {who: " ".join(wrong) for who, wrong in verdict.judge(CAST, seen).items() if wrong}


def with_customers(*more: Customer, without: Person | None = None) -> Evidence:
    right = evidence()
    kept = [one for one in right.customers if without is None or one.reference != reference(without)]
    return replace(right, customers=[*kept, *more])


def with_standing(person: Person, **changes: object) -> Evidence:
    right = evidence()
    changed = replace(standing(person), **changes)  # type: ignore[arg-type]  # names and types as in the table
    return replace(right, standings={**right.standings, person.username: changed})


def test_nothing_is_wrong_when_everybody_has_ended_as_they_must() -> None:
    assert complaints(evidence()) == {}


@pytest.mark.parametrize(
    ("seen", "who", "says"),
    [
        (with_customers(without=ADA), ADA.name, "no customers with this person's reference, not 1"),
        (with_customers(without=ADA), FELIX.name, "no customers with this person's e-mail address, not 1"),
        (
            with_customers(customer(IVO, kohort_id="cus_2")),
            IVO.name,
            "2 customers with this person's reference",
        ),
        (
            with_customers(customer(ADA, email="a@x.org"), without=ADA),
            ADA.name,
            "reference has another e-mail address",
        ),
        (
            with_customers(customer(GUS, email="")),
            GUS.name,
            "one customer with this person's reference, not 0",
        ),
        (with_customers(customer(FELIX)), FELIX.name, "2 customers with this person's e-mail address, not 1"),
        (
            with_customers(customer(ADA, email="a@x.org", reference="?")),
            EVERYBODY,
            "one customer that nobody",
        ),
        (with_customers(customer(BRUNO, kohort_id="cus_2"), without=BRUNO), BRUNO.name, "links to cus_bruno"),
    ],
)
def test_a_wrong_list_is_told(seen: Evidence, who: str, says: str) -> None:
    assert says in complaints(seen)[who]


@pytest.mark.parametrize(
    ("seen", "who", "says"),
    [
        (
            with_standing(FELIX, code="claimed_twice"),
            FELIX.name,
            "conflict (claimed_twice) and not as conflict",
        ),
        (with_standing(GUS, state="pending", code=""), GUS.name, "as pending and not as skipped (no_email)"),
        (with_standing(HANA, settled=False), HANA.name, "Still on the way"),
        (with_standing(ADA, mirrored_email="old@x.org"), ADA.name, "copy of the customer"),
        (with_standing(ADA, reference="ks-other"), ADA.name, "no customers with this person's reference"),
        (replace(evidence(), standings={}), ADA.name, "no link"),
    ],
)
def test_a_wrong_row_is_told(seen: Evidence, who: str, says: str) -> None:
    assert says in complaints(seen)[who]


def test_a_second_create_is_told_although_the_list_is_right() -> None:
    right = evidence()

    twice = replace(right, creates={**(right.creates or {}), reference(IVO): 2})

    assert complaints(twice) == {IVO.name: "KohortPay was made to create this customer 2 times."}


def test_a_fault_that_never_struck_is_told() -> None:
    assert "never did" in complaints(replace(evidence(), faults_left=1))[EVERYBODY]


def test_somebody_without_a_customer_is_told_apart_by_why() -> None:
    assert verdict.in_words(FELIX, CAST, evidence()).endswith("is Ada Okafor's")
    assert verdict.in_words(GUS, CAST, evidence()) == "none"
