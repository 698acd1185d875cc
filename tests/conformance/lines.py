"""List what was observed of the service, one line a fact; each is pinned by at least one test of this
folder.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

LINES = {
    # calls
    "create": "POST /customers answers 201 with one customer",
    "list": "GET /customers answers 200 with data and count",
    "get": "GET /customers/{id} answers 200; 404 if missing, soft-deleted, or of the other mode",
    "patch": "PATCH answers 200",
    "block": "block and unblock answer 200, the body is optional",
    "delete": "DELETE answers 400 'already deleted' for every existing id and the row stays alive",
    "plain-protocol": "no idempotency, no rate-limit headers, no request id",
    # keys
    "scheme": "another scheme is a 400 whose message repeats what was sent, the key included",
    "key-format": "a malformed key is a 400 about its format",
    "key-unknown": "a missing or unknown key is a 401",
    "key-organization": "a key without its organization is a 404 'Organization not found'",
    "mode": "the mode is the key's; each is a world of its own; livemode in a body is dropped",
    # request fields
    "email-rules": "RFC-like check, local part <= 64 bytes, whole <= 254, no localhost, no IP literals",
    "email-exact": "the e-mail is kept byte for byte: not lower-cased, not trimmed",
    "disposable": "disposable domains are a 400; while their list cannot be had, an e-mail sent is a 500",
    "names": 'names have no length limit below that of the body, "" stays ""',
    "phone": "the format of a phone number is not checked",
    "address": "address and shippingAddress are dropped in silence",
    "metadata": "metadata is replaced whole, its keys are never renamed",
    "numbers": "numbers beyond 2^53 lose precision",
    "constructor": "a metadata key named constructor is a 500",
    "locale": "en_GB too; omitted means fr_FR; null is a 500",
    "reference-type": "a reference is a string, a number is refused",
    "reference-check": "a reference is unique on POST only, among living rows of the mode",
    "reference-race": "the check is not atomic: parallel POSTs of one reference make several customers",
    "deleted-at": "PATCH takes only null for deletedAt, which restores",
    "unknown-fields": "unknown fields are dropped in silence",
    "email-null": "PATCH emailAddress null is a 500",
    "content-type": "a body without a JSON content type is ignored",
    "spelling": "camelCase and snake_case are both understood",
    "unstorable": "NUL characters and lone surrogates in text are 500s",
    "body-limit": "a body above 102,400 bytes is a 500",
    # answers
    "keys-of-answers": "snake_case, 18 keys, with client_reference_id and locale, without the address ids",
    "deleted-answers": "PATCH and block answer 200 on a soft-deleted customer; deletedAt tells",
    "times": "times are ISO 8601 UTC with milliseconds and Z",
    "ids": "ids look like cus_...",
    "updated-at": "updatedAt moves on every PATCH, even an empty one",
    "blocked-at": "blocking again moves blockedAt",
    "own-changes": "a checkout makes customers, restores deleted ones, overwrites the phone",
    # errors
    "error-shape": "errors are {error: {type, message, code?}}",
    "error-list": "validation tells several faults at once, in camelCase",
    "reference-taken": "'Customer with client reference id X already exists.'",
    "not-found": "GET: 'Customer with id X not found'; PATCH, block, DELETE: 'Object not found'",
    "email-taken": "409: the e-mail is taken, also by a soft-deleted row",
    "both-taken": "when both are taken the reference error comes first",
    "abandoned": "a POST abandoned by its client still makes its customer",
    "email-constraint": "the e-mail is unique per organization, mode and exact bytes, also in a race",
    # list and search
    "take": "take is 1-25, 26 and 0 are 400, 25 without it",
    "skip": "beyond the end: 200 and empty; a negative skip is a 500",
    "count": "count is the total, whatever the page",
    "order": "orderBy=field:asc|desc; without a direction it is createdAt:desc",
    "ties": "ties in the sort field make pages skip and repeat rows",
    "walk": 'orderBy=id:asc with search=id>"last" walks every row once, ranges side by side too',
    "increments": 'updatedAt>="T" with orderBy=updatedAt:asc finds what changed since',
    "operators": ": ~ ! > < >= <= compare; AND, OR and comma combine",
    "decoded-twice": "the search parameter is decoded twice",
    "filter-lost": "an unknown field, a missing operator or an odd character lists everything with 200",
    "value-cut": "clientReferenceId:user:42 finds the customer user",
    "email-search": "an e-mail is found as >= and <= of itself, quoted, encoded once more",
    "many-references": "25 references joined by OR are asked in one request",
    # connection
    "idle": "an idle connection is closed after 5 s",
}


def pins(*lines: str) -> Callable[[Test], Test]:
    """Say which lines a test pins; a line that is not listed is an error at once."""
    if unknown := set(lines) - set(LINES):
        raise KeyError(unknown)

    def mark(test: Test) -> Test:
        test.__dict__["pinned_lines"] = lines
        return test

    return mark
