"""Every call x every status x every body x every header: one table per question says what comes out.

All of it goes over a real socket, because what a status or a header does to a body is decided down there.
"""

import json
import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from kohort_sync.client import errors
from kohort_sync.client.customers import Customers
from kohort_sync.client.transport import Transport
from kohort_sync.redaction import Secret
from tests.client.calls import CALLS, Call, customers_of
from tests.client.conftest import DATA, EMAIL, KEY, REFERENCE, Server, as_json, customer, documented, response

# What a status means


ANYTHING = "anything"  # what a refusal says, where it is nothing that we look for
SAYS = (ANYTHING, "reference taken", "key", "no organization", "list")


def always(word: str) -> dict[str, str]:
    return dict.fromkeys(SAYS, word)


# `missing` and `taken` depend on the call; `the body decides` leads to the tables of bodies.
DECIDED_BY_BODY = always("the body decides")
STATUSES: dict[int, dict[str, str]] = {
    **dict.fromkeys((200, 201, 202, 203, 205, 206, 299), DECIDED_BY_BODY),
    204: DECIDED_BY_BODY,  # HTTP gives it no body, whatever follows
    101: always("Unreadable"),
    **dict.fromkeys((300, 301, 302, 303, 304, 305, 307, 308, 399), always("Redirected")),
    400: {
        ANYTHING: "Rejected",
        "reference taken": "ReferenceTaken",
        "key": "KeyRefused",
        "no organization": "Rejected",
        "list": "Invalid",
    },
    **dict.fromkeys((401, 403), always("KeyRefused")),
    **dict.fromkeys((404, 410), always("missing") | {"no organization": "KeyRefused"}),
    **dict.fromkeys((402, 405, 406, 407, 411, 415, 418, 421, 425, 431, 451, 499), always("Rejected")),
    409: always("taken"),
    **dict.fromkeys((413, 422), always("Invalid")),
    429: always("RateLimited"),
    **dict.fromkeys((408, 500, 501, 502, 503, 504, 511, 520, 524, 599, 600, 999), always("ServerError")),
}


# What a body means


class Body(NamedTuple):
    """A body, what each call makes of it in a success, and what it says in a refusal."""

    content: bytes
    success: str
    says: str = ANYTHING


LETTERS = {
    "A": "believed",
    "0": "nothing",
    "U": "Unreadable",
    "I": "Mismatch id",
    "R": "Mismatch reference",
    "E": "Mismatch email",
    "L": "Mismatch livemode",
    "O": "Mismatch organization",
    "N": "Mismatch reference_not_shown",
}
COLUMNS = ("create", "get", "update", "block", "unblock", "delete", "find", "find_by_email", "page")
_AS = {"find_many": "find"}
"""What fares as another call does."""


def one(**changes: object) -> bytes:
    return as_json(customer(phone_number=DATA.phone_number) | changes)


def rows(*listed: dict[str, object], count: object = 1) -> bytes:
    return as_json({"data": list(listed), "count": count})


def text(message: object) -> bytes:
    return as_json({"error": {"type": "invalid_request_error", "message": message, "code": "Bad Request"}})


def with_metadata(literal: bytes) -> bytes:
    return one().replace(b'"metadata": null', b'"metadata": {"x": ' + literal + b"}")


STRANGER = {"id": "cus_2", "client_reference_id": "ks-other", "email_address": "other@example.org"}
OTHER_MODE = customer(livemode=True)
OTHER_ORGANIZATION = customer(organization_id="org_2")
WHEN = "2026-01-02T03:04:05.678Z"
PERSON = f"{EMAIL}, Ada Canaryname, {DATA.phone_number}, +33612345678, Bearer {KEY}"
URL = "/customers?take=25&search=emailAddress%3E%3D%22ada.canary%2540example.org%22"

CUSTOMERS: dict[str, Body] = {
    # one customer                                                                       # c g u b u d  f e p
    "observed": Body(one(), "A A A A A A  U U U"),
    "documented": Body(as_json(documented()), "A A A A A A  U U U"),
    "deleted": Body(one(deleted_at=WHEN), "A A A A A A  U U U"),
    "blocked": Body(one(is_blocked=True, blocked_at=WHEN), "A A A A A A  U U U"),
    "unknown fields": Body(one(mood="odd", nested={"a": [1]}), "A A A A A A  U U U"),
    "odd where it does not matter": Body(one(metadata="x", first_name=5), "A A A A A A  U U U"),
    "an id alone": Body(b'{"id": "cus_1"}', "U A A A A A  U U U"),
    "another id": Body(one(id="cus_2"), "A I I I I I  U U U"),
    "another reference": Body(one(client_reference_id=REFERENCE + "x"), "R R R A A A  U U U"),
    "another e-mail": Body(one(email_address=EMAIL.upper()), "E E E A A A  U U U"),
    "another person": Body(one(**STRANGER), "R I I I I I  U U U"),
    "another mode": Body(as_json(OTHER_MODE), "L L L L L L  U U U"),
    "another organization": Body(as_json(OTHER_ORGANIZATION), "O O O O O O  U U U"),
    "twice, the last one ours": Body(b'{"livemode": true, ' + one()[1:], "A A A A A A  U U U"),
    "twice, the last one not ours": Body(one()[:-1] + b', "livemode": true}', "L L L L L L  U U U"),
    "two spellings that agree": Body(one(emailAddress=EMAIL, isBlocked=None), "A A A A A A  U U U"),
    "two spellings that differ": Body(one(emailAddress="a@b.org"), "U U U U U U  U U U"),
    "two references": Body(one(clientReferenceId="ks-other"), "U U U U U U  U U U"),
    "nested deeper than anything": Body(
        with_metadata(b'{"a":' * 900 + b"1" + b"}" * 900), "A A A A A A  U U U"
    ),
}
# Each field that decides something, of a wrong type; alone and in a list.
WRONG_TYPES: dict[str, object] = {
    "id": 5,
    "email_address": ["x"],
    "client_reference_id": 5,
    "livemode": "false",
    "is_blocked": 1,
    "organization_id": {},
    "blocked_at": "yesterday",
    "deleted_at": True,
}
TYPES: dict[str, Body] = {
    **{
        f"{name} of a wrong type": Body(one(**{name: value}), "U U U U U U  U U U")
        for name, value in WRONG_TYPES.items()
    },
    **{
        f"{name} of a wrong type in a list": Body(rows(customer(**{name: value})), "U U U U U 0  U U U")
        for name, value in WRONG_TYPES.items()
    },
}
LISTS: dict[str, Body] = {
    # a list                                                                             # c g u b u d  f e p
    "a list": Body(rows(customer()), "U U U U U 0  A A A"),
    "a documented list": Body(rows(documented()), "U U U U U 0  N A A"),
    "an empty list": Body(rows(count=0), "U U U U U 0  0 0 0"),
    "a list of deleted ones": Body(rows(customer(deleted_at=WHEN)), "U U U U U 0  A A A"),
    "a list of strangers": Body(rows(customer(**STRANGER), count=900), "U U U U U 0  0 0 A"),
    "a list with strangers": Body(rows(customer(**STRANGER), customer()), "U U U U U 0  A A A"),
    "a list of another mode": Body(rows(OTHER_MODE), "U U U U U 0  L L L"),
    "a list with another mode": Body(rows(OTHER_MODE, customer()), "U U U U U 0  A A A"),
    "a list of another organization": Body(rows(OTHER_ORGANIZATION), "U U U U U 0  O O O"),
    "a list of two references": Body(rows(customer(clientReferenceId="ks-other")), "U U U U U 0  U U U"),
    "a list without a count": Body(as_json({"data": [customer()]}), "U U U U U 0  A A U"),
    "a list with an odd count": Body(rows(customer(), count="1"), "U U U U U 0  A A U"),
    "a list of something else": Body(as_json({"data": [5, customer()], "count": 2}), "U U U U U 0  U U U"),
    "a list that is one": Body(as_json({"data": customer(), "count": 1}), "U U U U U 0  U U U"),
    "an array": Body(as_json([customer()]), "U U U U U 0  U U U"),
}
NOT_UNDERSTOOD: dict[str, Body] = {
    # no customer and no list                                                            # c g u b u d  f e p
    "empty": Body(b"", "U U U U U 0  U U U"),
    "blank": Body(b" \r\n ", "U U U U U 0  U U U"),
    "an empty object": Body(b"{}", "U U U U U 0  U U U"),
    "null": Body(b"null", "U U U U U 0  U U U"),
    "a text": Body(as_json(PERSON), "U U U U U 0  U U U"),
    "a number": Body(b"5", "U U U U U 0  U U U"),
    "true": Body(b"true", "U U U U U 0  U U U"),
    "HTML": Body(f"<html>502 Bad gateway {PERSON}</html>".encode(), "U U U U U U  U U U"),
    "cut off": Body(one()[:-9], "U U U U U U  U U U"),
    "a list that is cut off": Body(rows(customer())[:-9], "U U U U U U  U U U"),
    "two documents": Body(one() * 2, "U U U U U U  U U U"),
    "a byte order mark": Body(b"\xef\xbb\xbf" + one(), "U U U U U U  U U U"),
    "UTF-16": Body(one().decode().encode("utf-16"), "U U U U U U  U U U"),
    "no UTF-8": Body(one(first_name="X").replace(b"X", b"\xe9"), "U U U U U U  U U U"),
    "a raw NUL": Body(one(first_name="X").replace(b"X", b"\0"), "U U U U U U  U U U"),
    "NaN": Body(with_metadata(b"NaN"), "U U U U U U  U U U"),
    "Infinity": Body(with_metadata(b"-Infinity"), "U U U U U U  U U U"),
    "beyond a double": Body(with_metadata(b"1e999"), "U U U U U U  U U U"),
    "5,000 digits": Body(with_metadata(b"9" * 5000), "U U U U U U  U U U"),
    "100,000 objects deep": Body(
        with_metadata(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "U U U U U U  U U U"
    ),
    "100,000 arrays deep": Body(b"[" * 100_000, "U U U U U U  U U U"),
}
TAKEN = f"Customer with client reference id {REFERENCE} already exists."
SCHEME = f"Invalid authorization scheme: expected 'Bearer <token>', received 'Token {KEY}'."
REFUSALS: dict[str, Body] = {
    # what is said, should it come with a success                                        # c g u b u d  f e p
    "reference taken": Body(text(TAKEN), "U U U U U 0  U U U", "reference taken"),
    "reference taken, in a list": Body(text([TAKEN]), "U U U U U 0  U U U", "reference taken"),
    "the scheme": Body(text(SCHEME), "U U U U U 0  U U U", "key"),
    "the key's format": Body(text("Invalid API key format."), "U U U U U 0  U U U", "key"),
    "a key repeated": Body(text(f"What is {KEY}?"), "U U U U U 0  U U U", "key"),
    "no organization": Body(text("Organization not found"), "U U U U U 0  U U U", "no organization"),
    "a list of faults": Body(text([f"emailAddress {PERSON} is odd"]), "U U U U U 0  U U U", "list"),
    "a list of oddities": Body(text([None, 5, {}]), "U U U U U 0  U U U", "list"),
    "a list without an error": Body(b'{"message": ["locale is odd"]}', "U U U U U 0  U U U", "list"),
    "a list for an error": Body(b'{"error": ["locale is odd"]}', "U U U U U 0  U U U", "list"),
    "a person": Body(text(f"{EMAIL} of Ada Canaryname ({DATA.phone_number})"), "U U U U U 0  U U U"),
    "what was sent": Body(text(json.dumps(DATA.payload())), "U U U U U 0  U U U"),
    "where it was sent": Body(text(f"Cannot GET {URL}"), "U U U U U 0  U U U"),
    "a text for an error": Body(b'{"error": "no"}', "U U U U U 0  U U U"),
    "a number for a message": Body(text(5), "U U U U U 0  U U U"),
    "no message": Body(text(None), "U U U U U 0  U U U"),
    "no error": Body(b'{"error": null}', "U U U U U 0  U U U"),
}
BODIES = CUSTOMERS | TYPES | LISTS | NOT_UNDERSTOOD | REFUSALS
# A status that means one thing whatever is said meets one body of each kind; the others meet them all.
EVERY_BODY_AT = (200, 201, 400, 404, 409, 500)
ONE_OF_EACH = (
    *("observed", "another person", "a list", "empty", "HTML", "reference taken", "the scheme"),
    *("no organization", "a list of faults", "where it was sent"),
)


def expected(name: str, status: int, body: str) -> str:
    word = STATUSES[status][BODIES[body].says]
    if word == "the body decides":
        seen = BODIES["empty" if status == 204 else body]
        column = _AS.get(name, name)
        return LETTERS[dict(zip(COLUMNS, seen.success.split(), strict=True))[column]]
    if word == "missing":
        return "NotFound" if CALLS[name].on_one else "Mismatch address"
    if word == "taken":
        return "EmailTaken" if CALLS[name].writes_data else "Rejected"
    return word


# The wire


class Wire:
    """A client and a server that gives it whatever answer is set."""

    def __init__(self) -> None:
        self.answer = b""
        self.server = Server(self._behave)
        self._transport = Transport(base_url=self.server.url(), key=Secret(KEY))
        self.client = Customers(self._transport, livemode=False, organization_id="org_1")

    def outcome(self, call: Call, status: int, content: bytes, headers: str = "") -> object:
        self.answer = response(content, status=f"{status} Whatever", headers=headers)
        return call.outcome(self.client)

    def close(self) -> None:
        self._transport.close()
        self.server.close()

    def _behave(self, connection: socket.socket) -> None:
        while self.server.request(connection):
            connection.sendall(self.answer)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def told(error: errors.KohortError) -> str:
    return f"{error!s} {error!r} {vars(error)!r}".lower()


def leaks(call: Call, error: errors.KohortError) -> bool:
    """Say whether an error shows a canary; a name is known for one only where we have sent it."""
    canaries = [".canary", KEY[3:], "12 34 56", "12345678", *(["canaryname"] if call.writes_data else [])]
    return any(canary in told(error) for canary in canaries)


def faults(call: Call, outcome: object, status: int) -> Iterator[str]:
    """Name what must never be, whatever the tables say."""
    if isinstance(outcome, errors.KohortError):
        if leaks(call, outcome):
            yield "it leaks"
        if call.changes and not outcome.may_have_arrived and not 400 <= status < 500:
            yield "it may have arrived"
        if type(outcome).__subclasses__():
            yield "it is of no exact kind"


# The tests


def test_the_tables_name_every_call_and_every_call_is_in_the_table() -> None:
    public = {name for name in vars(Customers) if not name.startswith("_")}

    assert public == set(CALLS) == {*COLUMNS, *_AS}
    assert all(len(body.success.split()) == len(COLUMNS) for body in BODIES.values())


@pytest.mark.failure(43, 44, 45)
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", CALLS)
def test_every_status_and_body_has_its_outcome(wire: Wire, name: str, status: int) -> None:
    call = CALLS[name]
    wrong = []

    for title in BODIES if status in EVERY_BODY_AT else ONE_OF_EACH:
        outcome = wire.outcome(call, status, BODIES[title].content)
        word = call.in_a_word(outcome)
        if word != expected(name, status, title):
            wrong.append(f"{title}: {word}, and not {expected(name, status, title)}")
        if getattr(outcome, "status", status) != status:
            wrong.append(f"{title}: another status")
        wrong += [f"{title}: {fault}" for fault in faults(call, outcome, status)]

    assert wrong == []


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call.on_one or name == "create"])
def test_what_is_believed_says_what_was_shown(wire: Wire, name: str) -> None:
    gone = wire.outcome(CALLS[name], 200, BODIES["deleted"].content)
    blocked = wire.outcome(CALLS[name], 200, BODIES["blocked"].content)
    deep = wire.outcome(CALLS[name], 200, BODIES["nested deeper than anything"].content)

    ((is_gone,), (is_blocked,), (is_deep,)) = (customers_of(o) or () for o in (gone, blocked, deep))
    assert (is_gone.deleted_at is None, is_blocked.deleted_at is None) == (False, True)
    assert (is_gone.is_blocked, is_blocked.is_blocked) == (False, True)
    # As deep as this, nothing that walks through it later would come back.
    assert is_deep.metadata is None


# What a header does to an answer: nothing, or it takes the body away, or there is no answer.
HEADERS: dict[str, tuple[str, str]] = {
    "another type": ("Content-Type: text/html; charset=utf-16\r\n", "nothing"),
    "no type": ("Content-Type:\r\n", "nothing"),
    "gzip announced": ("Content-Encoding: gzip\r\n", "no body"),
    "two encodings announced": ("Content-Encoding: identity\r\nContent-Encoding: br\r\n", "no body"),
    "identity announced": ("Content-Encoding: Identity\r\n", "nothing"),
    "a place to go": ("Location: https://elsewhere.test/\r\nRefresh: 0\r\n", "nothing"),
    "a cookie": (f"Set-Cookie: a={KEY}; Path=/\r\n", "nothing"),
    "a header of 60 kB": (f"X-Big: {'x' * 60_000}\r\n", "nothing"),
    "a header of 70 kB": (f"X-Big: {'x' * 70_000}\r\n", "no answer"),
    "150 headers": ("".join(f"X-{n}: 1\r\n" for n in range(150)), "no answer"),
    "a broken line": (f"{EMAIL}\r\n", "nothing"),
    "bytes of no meaning": ("X-Odd: \xe9\xff\x01\r\n", "nothing"),
    "two lengths": ("Content-Length: 1\r\n", "no answer"),
    "the end of the connection": ("Connection: close\r\n", "nothing"),
}


def _after_header(name: str, status: int, body: str, effect: str) -> str:
    if effect == "no answer":
        return "NoAnswer"
    if effect == "no body" and 200 <= status < 300:
        return "Unreadable"
    return expected(name, status, "empty" if effect == "no body" else body)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("name", CALLS)
def test_every_header_has_its_effect(wire: Wire, name: str, header: str) -> None:
    call = CALLS[name]
    lines, effect = HEADERS[header]
    wrong = []

    for status in (101, 200, 204, 307, 400, 404, 409, 429, 500):
        for title in ("observed", "a list", "reference taken"):
            outcome = wire.outcome(call, status, BODIES[title].content, lines)
            word = call.in_a_word(outcome)
            if word != _after_header(name, status, title, effect):
                wrong.append(f"{status}, {title}: {word}")
            wrong += [f"{status}, {title}: {fault}" for fault in faults(call, outcome, status)]

    assert wrong == []


# How long the service asks us to wait.
NOON = "Date: Thu, 01 Jan 2026 12:00:00 GMT\r\n"
RETRY_AFTER: dict[str, tuple[str, float | None]] = {
    "none": ("", None),
    "seconds": ("Retry-After: 7\r\n", 7.0),
    "no seconds": ("Retry-After: 0\r\n", 0.0),
    "less than none": ("Retry-After: -1\r\n", 0.0),
    "years": ("Retry-After: 1000000000\r\n", 3600.0),
    "twice": ("Retry-After: 7\r\nRetry-After: 9\r\n", 9.0),
    "a date": (f"{NOON}Retry-After: Thu, 01 Jan 2026 12:00:30 GMT\r\n", 30.0),
    "a date that is past": (f"{NOON}Retry-After: Wed, 31 Dec 2025 12:00:00 GMT\r\n", 0.0),
    "a date far away": (f"{NOON}Retry-After: Fri, 01 Jan 2027 12:00:00 GMT\r\n", 3600.0),
    "words": ("Retry-After: soon\r\n", None),
    "an empty one": ("Retry-After:\r\n", None),
}
ASKED = (200, 204, 307, 400, 404, 408, 413, 429, 500, 502, 503)


@pytest.mark.failure(46)
@pytest.mark.parametrize("form", RETRY_AFTER)
@pytest.mark.parametrize("name", CALLS)
def test_a_wait_is_read_where_the_service_asks_for_one(wire: Wire, name: str, form: str) -> None:
    lines, seconds = RETRY_AFTER[form]

    waits = {
        status: getattr(wire.outcome(CALLS[name], status, b"", lines), "retry_after", None)
        for status in ASKED
    }

    assert waits == {status: seconds if status in (429, 503) else None for status in ASKED}


# What comes out where there is no answer, or only a part of one.
LINE: dict[str, tuple[str, bytes | None, str]] = {
    # scheme, what the server says before it goes (None: nobody is there), outcome
    "nobody listens": ("http", None, "Unreachable"),
    "nobody listens behind TLS": ("https", None, "Unreachable"),
    "no TLS behind TLS": ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "TlsFailed"),
    "the connection ends": ("http", b"", "NoAnswer"),
    "half a status line": ("http", b"HTTP/1.1 20", "NoAnswer"),
    "no HTTP": ("http", b"SSH-2.0-OpenSSH\r\n", "NoAnswer"),
    "half the headers": ("http", b"HTTP/1.1 201 Created\r\nContent-Le", "NoAnswer"),
    "half the body": ("http", response(one())[:-9], "NoAnswer"),
}


@pytest.mark.parametrize("case", LINE)
@pytest.mark.parametrize("name", CALLS)
def test_every_broken_line_has_its_error(
    serve: Callable[..., Server], connect: Callable[..., Transport], name: str, case: str
) -> None:
    scheme, says, word = LINE[case]

    def behave(connection: socket.socket) -> None:
        _ = scheme == "https" or server.request(connection)
        connection.sendall(says or b"")

    server = serve(behave)
    url = server.url(scheme)
    if says is None:
        server.close()
    call = CALLS[name]

    outcome = call.outcome(Customers(connect(url), livemode=False))

    assert call.in_a_word(outcome) == word
    assert list(faults(call, outcome, 400 if word in ("Unreachable", "TlsFailed") else 0)) == []


# The set is closed


def test_every_error_of_the_tree_comes_out_of_some_row() -> None:
    named = {expected(name, status, body) for name in CALLS for status in STATUSES for body in BODIES}
    named |= {word for _, _, word in LINE.values()}
    kinds = {word.split()[0] for word in named} - {"believed", "nothing"}

    # The engine alone raises it, before a call begins that its lease would not outlast.
    assert kinds | {"OutOfTime"} == {kind.__name__ for kind in leaves(errors.KohortError)}
    assert {word for word in named if word.startswith("Mismatch")} == {
        *(f"Mismatch {what}" for what in ("id", "reference", "email", "livemode", "organization")),
        *("Mismatch reference_not_shown", "Mismatch address"),
    }


def leaves(kind: type[errors.KohortError]) -> set[type[errors.KohortError]]:
    below = kind.__subclasses__()
    return {leaf for sub in below for leaf in leaves(sub)} if below else {kind}
