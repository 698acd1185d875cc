"""From the sign-up form to the mirrored customer, through real processes, some of which meet faults."""

from pathlib import Path

import pytest

from kohort_sync import reasons
from project.demo import verdict
from project.demo.stack import Plan
from tests import services
from tests.acceptance.journey import Journey, travel
from tests.acceptance.throwaway import BROKERS, postgresql

# Short calls, so that an unknown outcome has settled after 28 seconds instead of after five minutes.
DEADLINE = 1.0


def everybody_arrived(journey: Journey) -> None:
    """Assert by KohortPay's own list, by the site's tables, and by the page that each person sees."""
    assert {who: wrong for who, wrong in verdict.judge(journey.cast, journey.evidence).items() if wrong} == {}

    ids = {customer.reference: customer.kohort_id for customer in journey.evidence.customers}
    for person in journey.cast[1:]:  # the admin signed up nowhere
        page, standing = journey.pages[person.username], journey.evidence.standings[person.username]
        linked = person.ending.state == "linked"
        assert page.state == person.ending.state
        assert page.kohort_id == (ids[standing.reference] if linked else "")
        assert linked or page.reason == str(reasons.sentence(person.ending.state, person.ending.code))


def test_everybody_arrives_on_the_embedded_defaults(tmp_path: Path) -> None:
    everybody_arrived(travel(Plan(state=tmp_path, deadline=DEADLINE)))


@pytest.mark.services
@pytest.mark.parametrize("dialect", ["seen", "documented"])
@pytest.mark.parametrize("broker", sorted(BROKERS))
def test_everybody_arrives_on_real_services(tmp_path: Path, broker: str, dialect: str) -> None:
    chosen = BROKERS[broker]
    for problem in filter(None, (services.POSTGRESQL.problem(), chosen.service.problem())):
        pytest.skip(problem)

    with postgresql() as database, chosen.queue() as queue:
        journey = travel(
            Plan(
                state=tmp_path,
                dialect=dialect,
                database=database,
                broker=chosen.service.url,
                queue=queue,
                deadline=DEADLINE,
            )
        )

    everybody_arrived(journey)
    # Whatever the embedded broker would write: it was not used.
    assert not (tmp_path / "broker").exists()
