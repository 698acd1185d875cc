"""The tree of errors, Retry-After, and what no error may ever show."""

import copy
import pickle
import socket
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import requests.adapters
import responses
import urllib3.exceptions

from kohort_sync.client import errors
from kohort_sync.client.customers import Customers
from kohort_sync.client.transport import Transport
from tests.client.calls import CALLS
from tests.client.conftest import EMAIL, KEY, Server, as_json, customer, response

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def _below(kind: type[errors.KohortError]) -> Iterator[type[errors.KohortError]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _below(sub)


LEAVES = [kind for kind in _below(errors.KohortError) if not kind.__subclasses__()]


# The tree


def test_the_tree_at_the_head_of_the_file_is_the_tree() -> None:
    drawn = [line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line]

    assert drawn == [kind.__name__ for kind in _below(errors.KohortError)]


def test_every_leaf_has_its_own_code_and_words() -> None:
    assert len({kind.code for kind in LEAVES}) == len(LEAVES)
    assert len({kind.happened for kind in LEAVES}) == len(LEAVES)


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_answers_the_two_questions_and_names_the_next_step(kind: type[errors.KohortError]) -> None:
    text = str(kind("detail", status=418))

    assert text.startswith(kind.happened)
    assert text.endswith(kind.next_step)
    assert ("detail" in text, "HTTP 418" in text) == (True, True)
    assert isinstance(kind.outcome, errors.Outcome)
    assert kind.may_have_arrived == (kind.outcome in (errors.Outcome.AMBIGUOUS, errors.Outcome.CONTRACT))
    assert isinstance(kind.may_retry, bool)
    doc = kind.__doc__ or ""
    arrival = ("may have arrived", "cannot have arrived", "changed nothing", "nothing changed")
    assert any(words in doc for words in arrival)
    assert any(words in doc for words in ("again", "retry", "person", "resolve"))


@pytest.mark.parametrize("kind", LEAVES)
def test_an_error_survives_pickling_and_copying(kind: type[errors.KohortError]) -> None:
    error = kind("detail", status=500, retry_after=3.0, milliseconds=12)

    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


def test_every_outcome_belongs_to_one_branch() -> None:
    branches = errors.KohortError.__subclasses__()

    assert sorted(branch.outcome for branch in branches) == sorted(errors.Outcome)


# Retry-After


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("+7", 7.0),
        ("007", 7.0),
        ("-1", 0.0),
        ("-99999999999", 0.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("1000000000", 3600.0),
        ("9" * 5000, 3600.0),
        ("5, 10", 10.0),
        ("", None),
        ("1.5", None),
        ("soon", None),
        ("5 seconds", None),
        ("0x10", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 13:00:30 +0100", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Fri, 02 Jan 2026 12:00:00 GMT", 3600.0),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
        ("2026-01-01T12:00:30Z", None),
    ],
)
def test_retry_after_is_understood_in_all_its_forms(value: str, expected: float | None) -> None:
    assert errors.retry_after({"Retry-After": value}, now=NOW) == expected


def test_a_missing_retry_after_is_none() -> None:
    assert errors.retry_after({}) is None


def test_a_date_is_relative_to_the_clock_of_the_service() -> None:
    headers = {"Retry-After": "Thu, 01 Jan 2026 09:00:30 GMT", "Date": "Thu, 01 Jan 2026 09:00:00 GMT"}

    assert errors.retry_after(headers, now=NOW) == 30.0
    assert errors.retry_after(headers | {"Date": "garbage"}, now=NOW) == 0.0


# An adapter that is not ours


class Failing(requests.adapters.BaseAdapter):
    """Raise instead of sending, as the simulated service does for a broken network."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault = fault

    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise self.fault

    def close(self) -> None:
        pass


def _refused() -> Exception:
    pool: Any = None
    cause = urllib3.exceptions.NewConnectionError(pool, "refused")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", cause))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (_refused(), errors.Unreachable),
        (requests.ConnectTimeout("x"), errors.Unreachable),
        (ConnectionRefusedError(111, "x"), errors.Unreachable),
        (socket.gaierror(-2, "x"), errors.Unreachable),
        (requests.exceptions.InvalidURL("x"), errors.Unreachable),
        (requests.exceptions.SSLError("x"), errors.TlsFailed),
        (requests.ConnectionError("x"), errors.NoAnswer),
        (requests.ReadTimeout("x"), errors.NoAnswer),
        (requests.exceptions.ChunkedEncodingError("x"), errors.NoAnswer),
        (ConnectionResetError(104, "x"), errors.NoAnswer),
        (TimeoutError("x"), errors.NoAnswer),
        (ValueError("x"), errors.NoAnswer),
    ],
)
def test_what_another_adapter_raises_is_ambiguous_unless_it_surely_was_not_sent(
    connect: Callable[..., Transport], fault: Exception, expected: type[errors.KohortError]
) -> None:
    transport = connect(adapter=Failing(fault))

    with pytest.raises(errors.KohortError) as caught:
        transport.exchange("POST", "/customers", body={})

    assert type(caught.value) is expected


def test_an_exception_that_the_caller_is_handling_changes_nothing(connect: Callable[..., Transport]) -> None:
    transport = connect(adapter=Failing(requests.exceptions.SSLError("x")))

    try:
        int("not a number")
    except ValueError as handled:
        handled.__context__ = TimeoutError()
        with pytest.raises(errors.TlsFailed):
            transport.exchange("POST", "/customers", body={})


# Nothing shows the key or the person


def _everything(error: BaseException) -> str:
    """Print all that a log, a tracker or a debug page could print of an error."""
    printed = f"{error!s} {error!r} {error.args!r} {vars(error)!r}"
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The frames of the tests themselves are cut off: they know the key by right.
    ours = [str(frame.locals) + str(frame.line) for frame in told.stack if "/tests/" not in frame.filename]
    chained = error.__cause__ or error.__context__
    return printed + "".join(ours) + (_everything(chained) if chained else "")


BROKEN = {
    "silence": b"",
    "half": b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n" + KEY.encode(),
    "garbage": f"Bearer {KEY} {EMAIL}\r\n\r\n".encode(),
    "not json": response(f"Bearer {KEY} {EMAIL}".encode()),
    "mismatch": response(as_json(customer(livemode=True))),
    "stranger": response(as_json(customer(email_address=f"x{EMAIL}", id="cus_2"))),
    "list of strangers": response(as_json({"data": [customer(livemode=True)], "count": 1})),
    "odd list": response(as_json({"data": [customer(livemode="x"), KEY], "count": 2})),
    "odd rows": response(as_json({"data": [customer(is_blocked=EMAIL)], "count": 1})),
    "odd customer": response(as_json(customer(deleted_at=EMAIL))),
    "list without references": response(as_json({"data": [{"id": "cus_1", "firstName": EMAIL}], "count": 1})),
    "list without a count": response(
        as_json({"data": [customer(client_reference_id="x", email_address="y")]})
    ),
    "redirect": response(status="307 Moved", headers=f"Location: https://evil.test/?{KEY}\r\n"),
    "gzip": response(KEY.encode(), headers="Content-Encoding: gzip\r\n"),
    "scheme": response(
        as_json({"error": {"message": f"received 'Token {KEY}' of {EMAIL}"}}), status="400 Bad Request"
    ),
    "list": response(
        as_json({"error": {"message": [f"firstName Bearer {KEY}", f"emailAddress {EMAIL} is odd"]}}),
        status="400 Bad Request",
    ),
    "server": response(f"{KEY} {EMAIL}".encode(), status="500 Oops"),
    "gone": response(as_json({"error": {"message": f"{KEY} {EMAIL}"}}), status="404 Not Found"),
}


@pytest.mark.failure(78)
@pytest.mark.security(7, 9)
@pytest.mark.parametrize("answer", BROKEN)
@pytest.mark.parametrize("call", CALLS)
def test_no_error_of_an_answer_shows_the_key_or_the_person(
    serve: Callable[..., Server], connect: Callable[..., Transport], answer: str, call: str
) -> None:
    def behave(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(BROKEN[answer])

    server = serve(behave)
    client = Customers(connect(server.url()), livemode=False)

    error = CALLS[call].outcome(client)

    printed = _everything(error) if isinstance(error, errors.KohortError) else ""
    assert KEY[8:] not in printed
    assert EMAIL not in printed
    assert "Canaryname" not in printed


@pytest.mark.failure(78)
@pytest.mark.security(7, 9)
@pytest.mark.failure(30, 78)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_error_of_the_line_shows_the_key_or_the_person(
    connect: Callable[..., Transport], call: str, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = Customers(connect(f"{scheme}://127.0.0.1:{port}"), livemode=False)

    with pytest.raises(errors.Unreachable) as caught:
        CALLS[call].ask(client)

    printed = _everything(caught.value)
    assert KEY[8:] not in printed
    assert EMAIL not in printed


@pytest.mark.security(7)
def test_an_error_has_no_cause_that_could_tell_more(connect: Callable[..., Transport]) -> None:
    with responses.RequestsMock() as wire:
        wire.add("GET", "https://api.kohortpay.test/customers", body=requests.ReadTimeout(KEY))
        with pytest.raises(errors.NoAnswer) as caught:
            connect().exchange("GET", "/customers", query=f"search={EMAIL}")

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
