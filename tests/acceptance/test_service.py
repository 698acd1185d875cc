"""What the demo asks a real service at the end, through the documented API, in either dialect."""

import pytest

from kohort_sync.testing.service import Service
from project.demo import service as kohortpay
from project.demo.service import Customer
from project.demo.standings import Standing


def test_customers_are_found_by_reference_and_deleted_ones_left_out(service: Service) -> None:
    ada = service.add_customer(email="ada@example.com", reference="ks-ada")
    service.soft_delete(service.add_customer(email="bruno@example.com", reference="ks-bruno"))
    asked = [Standing(state="linked", reference=name) for name in ("ks-ada", "ks-bruno", "ks-nobody")]

    found = kohortpay.by_reference(asked)

    assert found == [Customer(kohort_id=ada, email="ada@example.com", reference="ks-ada")]


@pytest.mark.parametrize("either_dialect", ["documented"], indirect=True)
def test_a_service_that_shows_no_references_is_asked_by_id(either_dialect: Service) -> None:
    ada = either_dialect.add_customer(email="ada@example.com", reference="ks-ada")
    asked = [
        Standing(state="linked", reference="ks-ada", kohort_id=ada),
        Standing(state="skipped", reference="ks-gus"),
    ]

    with pytest.raises(kohortpay.NoReferences):
        kohortpay.by_reference(asked)

    assert kohortpay.by_id(asked) == [Customer(kohort_id=ada, email="ada@example.com", reference="ks-ada")]
