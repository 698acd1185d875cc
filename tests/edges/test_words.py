"""Every code that can reach staff has words, and every word has a code that can bring it about."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.functional import Promise

import kohort_sync
from kohort_sync import reasons
from kohort_sync.admin import words
from kohort_sync.client import errors
from kohort_sync.models import State, WorkClass

PACKAGE = Path(kohort_sync.__file__).parent
MAKERS = {"_conflict": 1, "Unsendable": 0}
"""The functions that take a code, and where it stands among their arguments."""


def calls(*modules: str) -> Iterator[ast.Call]:
    for module in modules:
        tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def texts(node: ast.AST) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def written_codes() -> set[str]:
    """Collect the codes that stand in the code that decides."""
    found: set[str] = set()
    for call in calls("delivery", "mapping", "links", "drainer"):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        if name in MAKERS:
            found |= texts(call.args[MAKERS[name]])
        for keyword in call.keywords:
            if keyword.arg in {"code", "conflict_kind", "last_error_code"}:
                found |= texts(keyword.value)
    # links.py sets one on the row itself.
    for node in ast.walk(ast.parse((PACKAGE / "links.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Attribute) and target.attr in {"conflict_kind", "last_error_code"}
            for target in node.targets
        ):
            found |= texts(node.value)
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


@pytest.mark.parametrize("state", State.values)
def test_a_code_says_more_than_its_state_and_an_unknown_one_nothing(state: str) -> None:
    assert reasons.sentence(state, "no_email") == reasons.CODES["no_email"]
    assert reasons.sentence(state, "of-tomorrow") == reasons.STATES[state]
    assert reasons.sentence(state, "") == reasons.STATES[state]


def test_every_reason_for_a_closed_gate_has_a_sentence() -> None:
    given = {
        text
        for call in calls("drainer")
        if getattr(call.func, "attr", "") == "close"
        for keyword in call.keywords
        if keyword.arg == "reason"
        for text in texts(keyword.value)
    }

    assert given == reasons.GATES.keys()
    assert [error for error in every_error() if reasons.of_gate(error.code) == error.code] == []
    assert reasons.of_gate("") == ""


def test_every_state_has_a_mark_and_every_part_of_an_attempt_a_word() -> None:
    operations = {
        text
        for call in calls("delivery", "services")
        for keyword in call.keywords
        if keyword.arg == "operation"
        for text in texts(keyword.value)
    } | {
        text for call in calls("delivery") if getattr(call.func, "attr", "") in {"call", "_try"}
        for text in texts(call.args[0])
    }  # fmt: skip
    triggers = {name.lower() for name in WorkClass.names} | {"person", "command"}

    assert words.OPERATIONS.keys() == operations
    assert words.OUTCOMES.keys() == {*errors.Outcome, "ok", "asked"}
    assert words.TRIGGERS.keys() == triggers
    assert words.TONES.keys() <= set(State.values)


@pytest.mark.parametrize("table", [reasons.STATES, reasons.CODES, reasons.GATES])
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
