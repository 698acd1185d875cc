"""Read a request body the way the service's JSON parser does, before it looks at the key.

Numbers are what JavaScript makes of them, a body without a JSON content type is ignored, and one above
102,400 bytes breaks the service (all observed).
"""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from kohort_sync.testing import answers
from kohort_sync.testing.wire import Request

LIMIT = 102_400  # bytes
_EXACT = 2**53  # beyond it a double no longer tells neighbours apart
_PLAIN = 1e21  # from here JavaScript writes an exponent
_TRUSTED_DIGITS = 15  # any integer of that many digits is below 2**53
_SNAKE = re.compile(r"_([a-z])")


def fields(request: Request) -> dict[str, Any]:
    """Return the body's fields under their camelCase names; {} where the service ignores the body.

    Raise a refusal: 500 beyond the limit or for a metadata key `constructor`, 400 for what is not JSON.
    """
    if (request.header("Content-Type") or "").partition(";")[0].strip().lower() != "application/json":
        return {}
    if len(request.body) > LIMIT:
        raise answers.internal()
    text = request.body.decode("utf-8", errors="replace").removeprefix("\ufeff").strip()
    if not text:
        return {}
    if text[0] not in "{[":
        raise answers.RefusalError(400, f"Unexpected token {text[0]} in JSON at position 0")
    parsed = _parse(text)
    if not isinstance(parsed, dict):
        return {}
    return {_SNAKE.sub(lambda found: found[1].upper(), name): value for name, value in parsed.items()}


def refuse_unstorable(value: object) -> None:
    """Raise a 500 for text that the service's database cannot hold: NUL and lone surrogates, in keys too
    (observed).
    """
    for text in _texts(value):
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise answers.internal()


def refuse_constructor(value: object) -> None:
    """Raise a 500 for a key named `constructor`, at any depth (observed)."""
    if isinstance(value, dict):
        if "constructor" in value:
            raise answers.internal()
        for inner in value.values():
            refuse_constructor(inner)
    elif isinstance(value, list):
        for inner in value:
            refuse_constructor(inner)


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_refuse_constant)
    except ValueError:
        raise answers.RefusalError(400, "Unexpected token in JSON") from None
    except RecursionError:
        raise answers.internal() from None


def _integer(digits: str) -> int | float | None:
    return int(digits) if len(digits) <= _TRUSTED_DIGITS else _number(digits)


def _number(digits: str) -> int | float | None:
    number = float(digits)
    if math.isinf(number):
        return None  # JSON.parse makes Infinity, JSON.stringify makes null of it
    if not number.is_integer() or abs(number) >= _PLAIN:
        return number
    # The shortest digits that name the double, then zeros: 2**53 + 1 comes back as 2**53.
    return int(number) if abs(number) <= _EXACT else int(Decimal(repr(number)))


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
