"""Redaction of foreign texts, and the type that holds a key."""

import copy
import json
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kohort_sync.redaction import Secret, redact

KEY = "sk_test_canary4711canary"


@pytest.mark.security(7)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("emailAddress must be an email", "emailAddress must be an email"),
        (f"got {KEY}, sorry", "got *** sorry"),
        ("got PK_LIVE_abc.", "got ***"),
        ("Authorization: Bearer abc def", "Authorization: Bearer ***"),
        ("bearer=abc\nnext line", "Bearer *** next line"),
        ("bearers of bad news", "bearers of bad news"),
        ("mail ada@example.org now", "mail *** now"),
        ("mail ada%40example.org now", "mail *** now"),
        ("mail ada\uff20example.org now", "mail *** now"),
        ('mail "ada l"@example.org now', "mail *** now"),
        ("<ada.l+x@example.org>", "<***>"),
        ("call +33 6 12 34 56 78 now", "call *** now"),
        ("call (0)6.12.34.56.78", "call (***"),
        ("call 0612345678", "call ***"),
        ("error 12345 in 2026", "error 12345 in 2026"),
        ("a\0b\tc\u202ed\r\n", "a b c d"),
        ("", ""),
    ],
)
def test_a_text_loses_what_is_secret_or_personal(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_known_values_are_masked_as_whole_words() -> None:
    text = "Ada Li lives; ADA LI, Adagio, alive"

    assert redact(text, known=["Li", "Ada", "x", "", "Ada Li"]) == "*** lives; ***, Adagio, alive"


@pytest.mark.parametrize("limit", [0, 1, 10, 300])
def test_a_text_is_clipped(limit: int) -> None:
    assert len(redact("word " * 1000, limit=limit)) <= max(limit, 1)


def test_a_huge_text_costs_nothing() -> None:
    started = time.monotonic()
    for unit in ("1 ", "a@", "+1-", '"', "bearer ", "%40"):
        redact(unit * 500_000)

    assert time.monotonic() - started < 1


@pytest.mark.security(7)
@given(st.text(), st.text())
def test_a_key_never_comes_through(before: str, after: str) -> None:
    assert KEY not in redact(f"{before}{KEY} {after}")


@given(st.text(), st.lists(st.text(), max_size=3), st.integers(1, 400))
def test_any_text_becomes_one_printable_line(text: str, known: list[str], limit: int) -> None:
    clean = redact(text, known=known, limit=limit)

    assert clean.isprintable()
    assert len(clean) <= limit


@pytest.mark.security(2)
def test_a_secret_shows_itself_only_when_it_is_asked_to() -> None:
    secret = Secret(KEY)

    printed = f"{secret} {secret!r} {secret!s} {secret:>20} %s" % secret + repr({"key": [secret]})

    assert KEY not in printed
    assert "***" in printed
    assert secret.reveal() == KEY


@pytest.mark.security(2)
def test_a_secret_is_copied_as_itself_and_never_serialized() -> None:
    secret = Secret(KEY)

    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        vars(secret)


def test_secrets_are_compared_by_what_they_hold() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret(KEY + "x")
    assert Secret(KEY) != KEY
    assert Secret("\ud800") == Secret("\ud800")
    assert len({Secret(KEY), Secret(KEY)}) == 1


@pytest.mark.security(5)
def test_a_fingerprint_tells_keys_apart_without_telling_them() -> None:
    assert Secret("abc").fingerprint == "ba7816bf"
    assert Secret(KEY).fingerprint != Secret(KEY + "x").fingerprint
