"""Decisions: what a person may decide about a link, what comes of it, and adoption by proof alone."""

from typing import Any

import pytest

from kohort_sync import decisions, links, services, signals
from kohort_sync.models import CustomerLink, State, SyncAttempt, WorkClass
from kohort_sync.testing.faults import Fault
from kohort_sync.testing.service import Service
from tests.engine.people import drain, let_time_pass, link_of, sign_up

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def customer_id(user: Any) -> str:
    customer = link_of(user).customer
    assert customer is not None
    return customer.kohort_id


def row(service: Service, kohort_id: str) -> dict[str, Any]:
    return next(each for each in service.snapshot() if each["id"] == kohort_id)


def in_conflict(service: Service, **fields: Any) -> tuple[Any, str]:
    """Sign somebody up whose address a stranger's customer has."""
    theirs = service.add_customer(email="ada@example.com", **fields)
    user = sign_up()
    drain()
    assert link_of(user).conflict_kind == "email_in_use"
    return user, theirs


# Choosing a customer


def test_a_person_chooses_the_customer_of_a_user(service: Service) -> None:
    user, theirs = in_conflict(service, first_name="Somebody")
    actor = sign_up("staff", email="")

    services.resolve(user, choice="adopt", kohort_id=theirs, reason="it is hers", actor=actor)
    drain()

    link = link_of(user)
    assert (link.state, customer_id(user)) == (State.LINKED, theirs)
    assert row(service, theirs)["first_name"] == "Ada"
    assert row(service, theirs)["client_reference_id"] == link.client_reference_id
    assert not link.is_dirty
    decision = SyncAttempt.objects.get(trigger="person")
    assert (decision.operation, decision.reason, decision.actor) == ("adopt", "it is hers", str(actor.pk))


def test_a_chosen_customer_that_another_user_has_is_not_taken_away(service: Service) -> None:
    first = sign_up("ada")
    drain()
    second = sign_up("bea", email="ada@example.com")
    drain()

    services.resolve(second, choice="adopt", kohort_id=customer_id(first), reason="a mistake")
    drain()

    assert link_of(second).conflict_kind == "claimed_twice"
    assert link_of(first).state == State.LINKED


def test_a_chosen_customer_that_is_not_there_is_said_to_be_so(service: Service) -> None:
    user, _ = in_conflict(service)

    services.resolve(user, choice="adopt", kohort_id="cus_doesnotexist", reason="a typing error")
    drain()

    link = link_of(user)
    assert (link.conflict_kind, link.conflict_ids) == ("adoption_failed", ["cus_doesnotexist"])
    assert link.wants_customer == ""


def test_a_customer_of_the_other_mode_cannot_be_chosen(service: Service) -> None:
    user, _ = in_conflict(service)
    live = service.add_customer(email="other@example.com", livemode=True)

    services.resolve(user, choice="adopt", kohort_id=live, reason="a mistake")
    drain()

    assert link_of(user).conflict_kind == "adoption_failed"


def test_of_two_customers_with_our_reference_a_person_keeps_one(service: Service) -> None:
    user = sign_up()
    reference = link_of(user).client_reference_id
    pair = [service.add_customer(email=f"{name}@example.com", reference=reference) for name in ("a", "b")]
    drain()
    found = link_of(user)

    services.resolve(user, choice="adopt", kohort_id=pair[1], reason="the newer one")
    drain()

    assert (found.conflict_kind, sorted(found.conflict_ids)) == ("duplicate_remote", sorted(pair))
    assert customer_id(user) == pair[1]


# A customer that is gone


def gone(service: Service) -> tuple[Any, str]:
    """Sign somebody up whose customer is then deleted there."""
    user = sign_up()
    drain()
    kohort_id = customer_id(user)
    service.soft_delete(kohort_id)
    user.first_name = "Augusta"
    user.save()
    drain()
    assert link_of(user).conflict_kind == "deleted_remotely"
    return user, kohort_id


def test_a_deleted_customer_is_brought_back(service: Service) -> None:
    user, kohort_id = gone(service)
    service.change(kohort_id, first_name="Ada")

    services.resolve(user, choice="restore", reason="deleted by mistake")
    let_time_pass(16 * 60)
    drain()

    assert row(service, kohort_id)["deleted_at"] is None
    assert row(service, kohort_id)["first_name"] == "Augusta"
    assert (link_of(user).state, link_of(user).wants_restore) == (State.LINKED, False)


def test_a_user_parts_with_a_customer_that_is_gone_and_gets_a_new_one(service: Service) -> None:
    user, kohort_id = gone(service)
    service.change(kohort_id, email_address="old@example.com")

    services.resolve(user, choice="create", reason="start again")
    drain()

    assert link_of(user).state == State.LINKED
    assert customer_id(user) != kohort_id


# Left out, and taken up again


def test_somebody_who_is_ignored_is_never_sent_until_somebody_decides_otherwise(service: Service) -> None:
    user, theirs = in_conflict(service)
    services.resolve(user, choice="ignore", reason="leave it")
    before = len(service.log)
    user.email = "free@example.com"
    user.save()
    services.resync(CustomerLink.objects.all())
    drain()
    ignored = link_of(user)
    quiet = len(service.log) == before
    service.change(theirs, email_address="elsewhere@example.com")

    services.resolve(user, choice="retry", reason="now it works")
    drain()

    assert (ignored.state, ignored.next_attempt_at) == (State.IGNORED, None)
    assert quiet
    assert link_of(user).state == State.LINKED


def test_retry_takes_up_what_can_be_taken_up_and_counts_it(service: Service) -> None:
    service.disposable_domains = ["example.org"]
    refused = sign_up("ada", email="ada@example.org")
    sign_up("bea")
    drain()
    service.disposable_domains = []
    rows = CustomerLink.objects.filter(state=State.REJECTED)

    tried = services.retry(rows, reason="the rule has changed")
    drain()

    assert tried == 1
    assert link_of(refused).state == State.LINKED


# What cannot be decided


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"choice": "restore", "reason": "x"}, "possible: retry, adopt, ignore"),
        ({"choice": "adopt", "reason": "x"}, "name the KohortPay customer"),
        ({"choice": "retry", "reason": "x", "kohort_id": "cus_1"}, "for any other choice, name none"),
        ({"choice": "retry", "reason": ""}, "Say why"),
        ({"choice": "explode", "reason": "x"}, "cannot be decided"),
    ],
)
def test_a_decision_that_makes_no_sense_changes_nothing_and_says_what_does(
    service: Service, wrong: dict[str, Any], words: str
) -> None:
    user, _ = in_conflict(service)
    before = link_of(user).desired_version

    with pytest.raises(services.NotPossible, match=words):
        services.resolve(user, **wrong)

    assert link_of(user).desired_version == before
    assert not SyncAttempt.objects.filter(trigger="command").exists()


def test_a_user_with_a_living_customer_cannot_be_given_another(service: Service) -> None:
    user = sign_up()
    drain()
    theirs = service.checkout(email="taken@example.com")
    user.email = "taken@example.com"
    user.save()
    drain()

    with pytest.raises(services.NotPossible, match="possible: retry, ignore"):
        services.resolve(user, choice="adopt", kohort_id=theirs, reason="a mistake")

    assert link_of(user).conflict_kind == "email_in_use"


def test_nothing_is_decided_about_a_row_that_is_being_sent(service: Service) -> None:
    user, _ = in_conflict(service)
    CustomerLink.objects.update(next_attempt_at="2020-01-01T00:00:00Z")
    assert links.claim(account="default/test", limit=1, order=list(WorkClass), using="default")

    with pytest.raises(services.BeingSent):
        services.resolve(user, choice="ignore", reason="x")

    assert link_of(user).state == State.CONFLICT


def test_a_worker_that_was_killed_does_not_stand_in_the_way_of_a_decision(service: Service) -> None:
    user, _ = in_conflict(service)
    CustomerLink.objects.update(next_attempt_at="2020-01-01T00:00:00Z")
    batch = links.claim(account="default/test", limit=1, order=list(WorkClass), using="default")
    assert batch is not None
    let_time_pass(200)

    services.resolve(user, choice="ignore", reason="x")

    assert link_of(user).state == State.IGNORED
    assert links.still_ours(batch, [link_of(user).pk], using="default") == set()


def test_whoever_has_no_link_is_said_to_have_none(service: Service) -> None:
    user = sign_up()
    CustomerLink.objects.all().delete()

    with pytest.raises(services.UnknownUser, match="request_sync"):
        services.resolve(user, choice="retry", reason="x")


@pytest.mark.security(30)
def test_the_address_of_a_person_in_a_reason_is_not_kept(service: Service) -> None:
    user, _ = in_conflict(service)

    services.resolve(user, choice="ignore", reason="ada@example.com asked on the phone")

    assert SyncAttempt.objects.get(operation="ignore").reason == "*** asked on the phone"


def test_every_choice_has_words_and_is_offered_somewhere() -> None:
    offered = {choice for choices in decisions._ALLOWED.values() for choice in choices}

    assert offered == set(decisions.CONSEQUENCES)


# Blocked and unblocked


@pytest.mark.security(39)
@pytest.mark.parametrize("dialect", ["seen", "documented"])
def test_a_customer_is_blocked_and_unblocked_and_the_host_hears_of_it(
    either_dialect: Service, dialect: str
) -> None:
    heard: list[str] = []

    def hear_block(**_: Any) -> None:
        heard.append("blocked")

    def hear_unblock(**_: Any) -> None:
        heard.append("unblocked")

    signals.customer_blocked.connect(hear_block)
    signals.customer_unblocked.connect(hear_unblock)
    user = sign_up()
    drain()

    services.block(user, reason="fraud")
    drain()
    blocked = services.user_is_blocked(user)
    services.unblock(user, reason="a mistake")
    drain()

    signals.customer_blocked.disconnect(hear_block)
    signals.customer_unblocked.disconnect(hear_unblock)
    assert blocked
    assert not services.user_is_blocked(user)
    assert heard == ["blocked", "unblocked"]
    assert link_of(user).wants_block is None


@pytest.mark.security(39)
def test_a_block_whose_answer_is_lost_is_asked_for_again_and_not_done_twice(service: Service) -> None:
    user = sign_up()
    drain()
    service.faults.add(Fault("reset", method="PATCH", after_commit=True))
    services.block(user, reason="fraud")
    drain()
    let_time_pass(60)

    drain()

    assert services.user_is_blocked(user)
    assert [exchange.method for exchange in service.log].count("PATCH") == 1


def test_whoever_has_no_customer_cannot_be_blocked(service: Service) -> None:
    user, _ = in_conflict(service)

    with pytest.raises(services.NotPossible, match="no customer"):
        services.block(user, reason="fraud")


# Adoption by e-mail


def verified(_user: Any) -> bool:
    return True


def unverified(_user: Any) -> bool:
    return False


def failing(_user: Any) -> bool:
    raise ZeroDivisionError


@pytest.fixture
def adopting(settings: Any) -> None:
    """Be a site that adopts by e-mail and knows whose address is whose."""
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"ADOPT_BY_EMAIL": True, "EMAIL_VERIFIED": verified}


@pytest.mark.failure(51)
@pytest.mark.security(37)
def test_with_every_proof_a_customer_is_adopted_by_its_address(service: Service, adopting: None) -> None:
    theirs = service.checkout(email="ada@example.com", phone_number="+33102030405")
    user = sign_up()

    drain()

    link = link_of(user)
    assert (link.state, customer_id(user)) == (State.LINKED, theirs)
    assert row(service, theirs)["client_reference_id"] == link.client_reference_id
    assert row(service, theirs)["first_name"] == "Ada"
    assert len(service.snapshot()) == 1


@pytest.mark.failure(51)
@pytest.mark.security(37)
@pytest.mark.parametrize("answer", [unverified, failing, None])
def test_without_a_verified_address_nobody_is_adopted(service: Service, settings: Any, answer: Any) -> None:
    settings.KOHORT_SYNC = settings.KOHORT_SYNC | {"ADOPT_BY_EMAIL": True, "EMAIL_VERIFIED": answer}
    service.checkout(email="ada@example.com")
    user = sign_up()

    drain()

    assert link_of(user).conflict_kind == "email_in_use"
    assert not any("search=emailAddress" in exchange.path for exchange in service.log)


@pytest.mark.failure(51)
@pytest.mark.parametrize(
    "columns",
    [
        {"reference": "somebody-elses"},
        {"is_blocked": True},
        {"deleted_at": "2026-01-01T00:00:00+00:00"},
    ],
    ids=["another reference", "blocked", "deleted"],
)
def test_a_customer_on_which_somebody_has_a_claim_is_not_adopted(
    service: Service, adopting: None, columns: dict[str, Any]
) -> None:
    theirs = service.add_customer(email="ada@example.com", reference=columns.pop("reference", None))
    if "deleted_at" in columns:
        service.soft_delete(theirs)
    elif columns:
        service.block(theirs)
    user = sign_up()

    drain()

    assert link_of(user).conflict_kind == "email_in_use"
    assert link_of(user).customer is None


@pytest.mark.failure(51)
def test_a_customer_of_another_user_is_not_adopted(service: Service, adopting: None) -> None:
    first = sign_up("ada")
    drain()
    second = sign_up("bea", email="ada@example.com")

    drain()

    assert link_of(second).conflict_kind == "email_in_use"
    assert link_of(second).conflict_ids == [customer_id(first)]


def test_an_address_that_cannot_be_searched_for_is_left_to_a_person(service: Service, adopting: None) -> None:
    service.checkout(email="a=b@example.com")
    user = sign_up(email="a=b@example.com")

    drain()

    assert link_of(user).conflict_kind == "email_in_use"


@pytest.mark.failure(51)
@pytest.mark.security(37)
def test_adoption_is_off_unless_the_site_wants_it(service: Service) -> None:
    service.checkout(email="ada@example.com")
    user = sign_up()

    drain()

    assert link_of(user).conflict_kind == "email_in_use"
    assert [exchange.method for exchange in service.log] == ["POST", "GET"]
