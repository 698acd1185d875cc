"""Every code that can reach staff has words, and every word has a code that can bring it about."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.functional import Promise

import kohort_sync
from kohort_sync import decisions, drainer, reasons, services
from kohort_sync.admin import words
from kohort_sync.client import errors
from kohort_sync.models import CustomerLink, State, SyncAttempt, WorkClass
from kohort_sync.testing.service import Service
from project.accounts.models import User

PACKAGE = Path(kohort_sync.__file__).parent
MAKERS = {"conflict": 1, "erased": 1, "_believed": 1, "_erased_for_good": 1, "Unsendable": 0}
"""The functions that take a code, and where it stands among their arguments."""
CODES = {"code", "conflict_kind", "last_error_code"}


def nodes(*modules: str) -> Iterator[ast.AST]:
    """Yield everything that stands in some modules and packages."""
    for module in modules:
        folder = PACKAGE / module
        for file in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]:
            yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def calls(*modules: str) -> Iterator[ast.Call]:
    yield from (node for node in nodes(*modules) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def texts(node: ast.AST) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def passed(name: str, *modules: str) -> set[str]:
    """Collect the texts that are passed by this name."""
    keywords = (keyword for call in calls(*modules) for keyword in call.keywords if keyword.arg == name)
    return {text for keyword in keywords for text in texts(keyword.value)}


def given(function: str, index: int, *modules: str) -> set[str]:
    """Collect the texts that a function is given as its argument of this index."""
    found = (call for call in calls(*modules) if name_of(call) == function and len(call.args) > index)
    return {text for call in found for text in texts(call.args[index])}


def assigned(names: set[str], *modules: str) -> set[str]:
    """Collect the texts that are assigned to a variable or an attribute of one of these names."""
    found = set()
    for node in nodes(*modules):
        if isinstance(node, ast.Assign):
            targets = {part for target in node.targets for part in ast.walk(target)}
            if names & {getattr(part, "attr", getattr(part, "id", "")) for part in targets}:
                found |= texts(node.value)
    return found


def written_codes() -> set[str]:
    """Collect the codes that stand in the code that decides."""
    engine = ("delivery", "mapping", "links", "drainer", "services")
    found = assigned(CODES, *engine)
    for name in CODES:
        found |= passed(name, *engine)
    for function, index in MAKERS.items():
        found |= given(function, index, *engine)
    return found - {""}


def every_error(kind: type[errors.KohortError] = errors.KohortError) -> Iterator[type[errors.KohortError]]:
    for child in kind.__subclasses__():
        if not child.__subclasses__():
            yield child
        yield from every_error(child)


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    possible = {error.code for error in every_error()} | written_codes()

    assert possible - reasons.CODES.keys() == set()
    assert reasons.CODES.keys() - possible == set()


def test_every_error_of_the_service_has_a_code_of_its_own() -> None:
    codes = [error.code for error in every_error()]

    assert len(codes) == len(set(codes))
    assert errors.KohortError.code not in codes


def test_every_state_has_a_sentence_and_nothing_else_has() -> None:
    assert reasons.STATES.keys() == set(State.values)


@pytest.mark.parametrize("state", sorted({*State.values} - {"parked"}))
def test_a_code_says_more_than_its_state_and_an_unknown_one_nothing(state: str) -> None:
    assert reasons.sentence(state, "no_email") == reasons.CODES["no_email"]
    assert reasons.sentence(state, "of-tomorrow") == reasons.STATES[state]
    assert reasons.sentence(state, "") == reasons.STATES[state]


def test_a_link_that_was_given_up_says_so_whatever_failed_last() -> None:
    given_up = {code for code in reasons.CODES if "two weeks" in str(reasons.sentence("parked", code))}

    assert given_up == reasons.CODES.keys()
    assert reasons.sentence("parked", "server_error") == reasons.STATES["parked"]
    assert "log" in str(reasons.sentence("parked", "host_function_failed"))


def test_every_reason_for_a_closed_gate_has_a_sentence() -> None:
    named = passed("reason", "drainer") | assigned({"reason"}, "drainer")

    assert named == reasons.GATES.keys()
    assert [error for error in every_error() if reasons.of_gate(error.code) == error.code] == []
    assert reasons.of_gate("") == ""


def test_every_state_has_a_mark_or_is_nobodys_move() -> None:
    assert set(State.values) - words.TONES.keys() == {"skipped", "erased", "ignored"}
    assert words.TONES.keys() <= set(State.values)


def test_every_exchange_that_the_engine_writes_has_words() -> None:
    written = given("call", 0, "delivery") | assigned({"operation"}, "delivery/sending")

    assert words.OPERATIONS.keys() == written
    assert words.OUTCOMES.keys() == {*errors.Outcome, "ok", "asked"}


def test_every_decision_that_a_service_writes_has_words() -> None:
    written = (
        given("_note", 1, "services") | given("_decision", 1, "services") | decisions.CONSEQUENCES.keys()
    )

    assert words.DECISIONS.keys() == written


def test_everything_that_sets_off_an_attempt_has_words() -> None:
    named = passed("trigger", "services")

    assert named == {"person", "command"}
    assert words.TRIGGERS.keys() == {name.lower() for name in WorkClass.names} | named


@pytest.mark.django_db(transaction=True)
def test_what_the_history_of_a_link_really_holds_has_words(service: Service) -> None:
    user = User.objects.create_user("ada", "ada@example.org")
    drainer.drain("default", linger=0)
    services.resync(CustomerLink.objects.all())
    drainer.drain("default", linger=0)
    services.block(user, reason="because")
    drainer.drain("default", linger=0)
    services.unblock(user, reason="because")
    drainer.drain("default", linger=0)
    services.retry(CustomerLink.objects.all())
    services.resolve(user, choice=decisions.IGNORE, reason="because")
    services.erase(user, reason="because")
    drainer.drain("default", linger=0)

    attempts = list(SyncAttempt.objects.all())
    decided = {attempt.operation for attempt in attempts if attempt.outcome == "asked"}
    done = {attempt.operation for attempt in attempts if attempt.outcome != "asked"}

    assert decided == {"resync", "block", "unblock", "retry", "ignore", "erase"}
    assert decided <= words.DECISIONS.keys()
    assert done == {"create", "get", "block", "unblock", "anonymise", "delete"}
    assert done <= words.OPERATIONS.keys()
    assert {attempt.trigger for attempt in attempts} <= words.TRIGGERS.keys()
    assert {attempt.outcome for attempt in attempts} <= words.OUTCOMES.keys()


def test_a_decision_and_an_exchange_of_one_name_are_told_apart() -> None:
    asked = words.of_operation(SyncAttempt(operation="create", outcome="asked"))
    made = words.of_operation(SyncAttempt(operation="create", outcome="ok"))

    assert (asked, made) == ("create a new customer", "create the customer")
    assert words.of_operation(SyncAttempt(operation="of-tomorrow", outcome="ok")) == "of-tomorrow"


@pytest.mark.parametrize("table", [reasons.STATES, reasons.CODES, reasons.GATES, decisions.CONSEQUENCES])
def test_every_sentence_is_one_and_is_said_in_french_too(table: dict[str, str | Promise]) -> None:
    for code, sentence in table.items():
        with translation.override("en"):
            english = str(sentence)
        with translation.override("fr"):
            french = str(sentence)
        assert english.endswith("."), code
        assert french.endswith("."), code
        assert english != french, code


def test_the_names_of_the_states_are_said_in_french_too() -> None:
    with translation.override("en"):
        english = [str(state.label) for state in State]
    with translation.override("fr"):
        french = [str(state.label) for state in State]

    assert set(english).isdisjoint(french)


@pytest.mark.parametrize("table", [words.OPERATIONS, words.DECISIONS, words.OUTCOMES, words.TRIGGERS])
def test_every_word_of_the_history_is_said_in_french_too(table: dict[str, str | Promise]) -> None:
    with translation.override("fr"):
        french = {code: str(word) for code, word in table.items()}

    with translation.override("en"):
        assert [code for code, word in table.items() if str(word) == french[code]] == []
