"""References: the `clientReferenceId` of a link, made once and never changed."""

import re
import secrets

MAX_LENGTH = 50
_RANDOM_BYTES = 16
LONGEST_PREFIX = MAX_LENGTH - 2 * _RANDOM_BYTES
# Observed: the service's search decodes its parameter twice and ignores a filter with an odd character.
_SAFE = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_LENGTH}}}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def new(*, prefix: str) -> str:
    """Make an unguessable reference: the prefix and 32 hex characters.

    Random, not the primary key: a restored backup gives an old key to a new person. What would make it
    unsafe or too long is left out of the prefix: a sign-up must not fail because of a setting.
    """
    return f"{_UNSAFE.sub('', prefix)[:LONGEST_PREFIX]}{secrets.token_hex(_RANDOM_BYTES)}"


def is_safe(reference: str) -> bool:
    """Say whether a reference can be searched for at the service."""
    return _SAFE.fullmatch(reference) is not None
