"""Redaction: what must never be read by accident, hidden before anyone can print it."""

import hashlib
import hmac
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Self

MASK = "***"

# Texts are clipped before the patterns run, so that a megabyte of remote text costs nothing.
_READ_AT_MOST = 4000
# What stands at the cut may be the first part of a secret, which no pattern knows; none is longer than this.
_HALF_AT_MOST = 254
_SHORTEST_KNOWN = 2

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Observed: a 400 about the scheme repeats the whole header, so nothing on that line is kept.
    (re.compile(r"\bbearer\b(?=[\s:='\"<])[^\n]*", re.IGNORECASE), f"Bearer {MASK}"),
    (re.compile(r"[sp]k_(?:test|live)_\S*", re.IGNORECASE), MASK),
    (re.compile(r'"[^"\n]*"[@\uff20]\S+'), MASK),
    (re.compile(r"""[^\s@\uff20<>"'(),;:=]+(?:[@\uff20]|%(?:25)*40)[^\s@\uff20<>"'(),;:]+"""), MASK),
    (re.compile(r"\+?\d(?:[\s().\-/]{0,3}\d){6,}"), MASK),
)


def redact(text: str, *, limit: int = 300, known: Iterable[str] = ()) -> str:
    """Mask keys, e-mail addresses, long numbers and the `known` values in a text; keep `limit` characters.

    `known` are values that we sent ourselves and that must not come back. Line breaks and control characters
    become spaces, because such a text ends in logs and in tables.
    """
    whole, text = len(text) <= _READ_AT_MOST, text[:_READ_AT_MOST]
    for value in sorted({k for k in known if len(k) >= _SHORTEST_KNOWN}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text, flags=re.IGNORECASE)
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    text = text if whole else text[:-_HALF_AT_MOST]
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


@contextmanager
def frames_emptied() -> Iterator[None]:
    """Take the local variables out of the traceback of whatever is raised inside. Decorates functions too.

    Error trackers print them: those of the libraries below hold the key and what is written about a person.
    File and line of each frame stay.
    """
    try:
        yield
    except BaseException as failure:
        _empty_frames(failure)
        raise


def _empty_frames(failure: BaseException) -> None:
    waiting: list[BaseException | None] = [failure]
    emptied: list[BaseException] = []
    while waiting:
        one = waiting.pop()
        if one is not None and one not in emptied:
            emptied.append(one)
            traceback.clear_frames(one.__traceback__)
            waiting += [one.__cause__, one.__context__]


class Secret:
    """Hold a text that shows itself only to the one who calls `reveal()`.

    Printing and formatting show a mask, pickling is refused, a copy is the same object.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Hand out the text; keep the result out of variables that outlive the expression."""
        return self._text

    @property
    def fingerprint(self) -> str:
        """Name the secret without telling it: the first 8 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self._bytes()).hexdigest()[:8]

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A secret is not pickled: pass the name of the setting that holds it.")

    def _bytes(self) -> bytes:
        # A lone surrogate must not turn a comparison into an exception that quotes the text.
        return self._text.encode("utf-8", "surrogatepass")
