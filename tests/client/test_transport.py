"""The transport against real sockets."""

import gzip
import io
import os
import socket
import ssl
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from kohort_sync.client import errors, sockets
from kohort_sync.client.transport import BODY_CAP, REQUEST_CAP, Transport, _KeyForOrigin
from kohort_sync.redaction import Secret
from tests.client.conftest import DATA, EMAIL, KEY, Server, response, tls_server

Serve = Callable[..., Server]
Connect = Callable[..., Transport]
Certificate = Callable[..., tuple[Path, Path]]


def post(transport: Transport) -> object:
    return transport.exchange("POST", "/customers", body={"emailAddress": EMAIL})


def seconds_of(call: Callable[[], object], error: type[errors.KohortError]) -> float:
    started = time.monotonic()
    with pytest.raises(error):
        call()
    return time.monotonic() - started


# What is sent


def test_a_request_carries_the_key_json_and_nothing_that_invites_compression(
    answering: Serve, connect: Connect
) -> None:
    server = answering(response(b'{"a": 1}', status="201 Created", headers="X-Note: yes\r\n"))

    answer = connect(server.url()).exchange("POST", "/customers", body={"firstName": "Zoë"})

    assert (answer.status, answer.body, answer.headers["x-NOTE"]) == (201, b'{"a": 1}', "yes")
    assert f"Authorization: Bearer {KEY}\r\n" in server.text
    assert "Content-Type: application/json\r\n" in server.text
    assert "Accept-Encoding: identity\r\n" in server.text
    assert server.received.endswith('{"firstName":"Zoë"}'.encode())


def test_a_path_and_a_query_arrive_as_they_were_encoded(answering: Serve, connect: Connect) -> None:
    server = answering(response())

    connect(server.url()).exchange("GET", "/customers", query="take=25&search=a%3E%3D%22x%2540y%22")

    assert server.text.startswith("GET /customers?take=25&search=a%3E%3D%22x%2540y%22 HTTP/1.1\r\n")
    assert "Cache-Control: no-cache\r\n" in server.text


def test_a_base_url_may_have_a_path_and_a_last_slash(answering: Serve, connect: Connect) -> None:
    server = answering(response())

    connect(server.url() + "/proxy/").exchange("GET", "/customers/cus_1")

    assert server.text.startswith("GET /proxy/customers/cus_1 HTTP/1.1\r\n")


def test_cookies_of_the_service_are_not_sent_back(answering: Serve, connect: Connect) -> None:
    server = answering(response(headers="Set-Cookie: session=abc; Path=/\r\n"))
    transport = connect(server.url())

    transport.exchange("GET", "/customers")
    transport.exchange("GET", "/customers")

    assert "cookie" not in server.text.lower()


@pytest.mark.parametrize(
    "body",
    [
        {"firstName": "\ud800"},
        {"firstName": "a\0b"},
        {"metadata": {"x": float("nan")}},
        {"metadata": {"x": object()}},
        {"firstName": "x" * REQUEST_CAP},
    ],
)
def test_a_body_that_the_service_fails_on_is_refused_unsent_and_unquoted(
    answering: Serve, connect: Connect, body: dict[str, object]
) -> None:
    server = answering(response())

    with pytest.raises(ValueError, match=r": (remove|shorten)") as caught:
        connect(server.url()).exchange("POST", "/customers", body=body)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert server.connections == 0


def test_a_backslash_before_u0000_is_not_a_nul_character(answering: Serve, connect: Connect) -> None:
    server = answering(response())

    assert connect(server.url()).exchange("POST", "/customers", body={"a": "\\u0000"}).status == 200


@pytest.mark.security(4)
@pytest.mark.failure(38)
def test_netrc_does_not_replace_the_key(
    answering: Serve, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = answering(response())

    for trust_env in (False, True):
        connect(server.url(), trust_env=trust_env).exchange("GET", "/customers")

    assert server.text.count(f"Authorization: Bearer {KEY}") == 2
    assert "Basic" not in server.text


@pytest.mark.security(4)
@pytest.mark.failure(39)
def test_the_environment_is_ignored_unless_it_is_trusted(
    answering: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    pair = certificate()
    server, proxy = answering(response(), tls=tls_server(pair)), answering(response(status="403 No"))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url())
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")

    plain = connect(server.url("https"), ca_bundle=str(pair[0]))
    assert plain.exchange("GET", "/customers").status == 200
    assert proxy.connections == 0

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pair[0]))
    with pytest.raises(errors.Unreachable):
        connect(server.url("https"), trust_env=True).exchange("GET", "/customers")
    assert proxy.text.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.")
    assert KEY not in proxy.text


def test_a_tunnel_through_a_trusted_proxy_reaches_the_service(
    answering: Serve,
    serve: Serve,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Certificate,
) -> None:
    pair = certificate()
    server = answering(response(), tls=tls_server(pair))

    def tunnel(connection: socket.socket) -> None:
        proxy.request(connection)
        with socket.create_connection(("127.0.0.1", server.port)) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            other = threading.Thread(target=_pump, args=(onward, connection), daemon=True)
            other.start()
            _pump(connection, onward)
            other.join(5)

    proxy = serve(tunnel)
    monkeypatch.setenv("https_proxy", proxy.url())
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    transport = connect(server.url("https"), ca_bundle=str(pair[0]), trust_env=True)

    assert transport.exchange("GET", "/customers").status == 200
    assert KEY in server.text
    assert KEY not in proxy.text
    transport.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.mark.failure(39)
def test_a_plain_address_of_this_machine_is_never_proxied(
    answering: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = answering(response()), answering(response())
    monkeypatch.setenv("http_proxy", proxy.url())
    monkeypatch.delenv("no_proxy", raising=False)

    connect(server.url(), trust_env=True).exchange("GET", "/customers")

    assert (server.requests, proxy.connections) == (1, 0)


def test_a_socks_proxy_of_the_environment_is_named_as_unsupported(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")

    with pytest.raises(errors.Unreachable, match="SOCKS"):
        connect("https://api.kohortpay.test", trust_env=True).exchange("GET", "/customers")


# What is not sent


@pytest.mark.failure(31)
def test_a_refused_connection_is_unsent(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(errors.Unreachable, match="refused") as caught:
        post(connect(f"http://127.0.0.1:{port}"))

    assert caught.value.outcome is errors.Outcome.UNSENT
    assert not caught.value.may_have_arrived


@pytest.mark.failure(30)
def test_a_name_that_does_not_resolve_is_unsent(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(errors.Unreachable, match="could not be resolved"):
        post(connect("https://api.kohortpay.test"))


@pytest.mark.failure(31)
def test_a_connect_timeout_is_unsent_and_takes_no_longer_than_allowed(connect: Connect) -> None:
    # A listener whose queue is full lets no further connection come about.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        queued = [socket.socket() for _ in range(4)]
        for one in queued:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        transport = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=0.3)

        assert seconds_of(lambda: post(transport), errors.Unreachable) < 1

        for one in queued:
            one.close()


def test_a_call_whose_time_is_over_before_it_is_connected_is_unsent(
    answering: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = answering(response())
    resolve = socket.getaddrinfo

    def slowly(*args: object, **kwargs: object) -> object:
        time.sleep(0.3)
        return resolve(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slowly)

    with pytest.raises(errors.Unreachable, match="time for it was over"):
        post(connect(server.url(), deadline=0.2))

    assert server.requests == 0


@pytest.mark.security(15)
@pytest.mark.failure(32)
@pytest.mark.parametrize(
    ("names", "trusted"), [("IP:127.0.0.1", False), ("DNS:elsewhere.test", True)], ids=["self-signed", "host"]
)
def test_a_server_without_a_valid_certificate_is_sent_nothing(
    answering: Serve, connect: Connect, certificate: Certificate, names: str, *, trusted: bool
) -> None:
    pair = certificate(names=names)
    server = answering(response(), tls=tls_server(pair))

    with pytest.raises(errors.TlsFailed, match="not valid for this address") as caught:
        post(connect(server.url("https"), ca_bundle=str(pair[0]) if trusted else None))

    assert caught.value.outcome is errors.Outcome.UNSENT
    assert server.received == b""


@pytest.mark.security(15)
@pytest.mark.failure(32)
def test_an_old_protocol_is_refused_unsent(
    answering: Serve, connect: Connect, certificate: Certificate
) -> None:
    pair = certificate()
    context = tls_server(pair)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = answering(response(), tls=context)

    with pytest.raises(errors.TlsFailed):
        post(connect(server.url("https"), ca_bundle=str(pair[0])))

    assert server.received == b""


def test_an_unencrypted_server_behind_https_is_a_tls_failure(answering: Serve, connect: Connect) -> None:
    server = answering(b"HTTP/1.1 400 Bad\r\n\r\n")

    def babble(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server._behaviours[:] = [babble]

    with pytest.raises(errors.TlsFailed):
        post(connect(server.url("https")))


@pytest.mark.failure(32)
def test_a_server_whose_certificate_has_expired_is_sent_nothing(
    answering: Serve, connect: Connect, certificate: Certificate
) -> None:
    pair = certificate(days=-1)
    server = answering(response(), tls=tls_server(pair))

    with pytest.raises(errors.TlsFailed, match="not valid"):
        post(connect(server.url("https"), ca_bundle=str(pair[0])))

    assert server.received == b""


@pytest.mark.parametrize("reset", [True, False])
def test_a_handshake_that_is_cut_off_is_a_matter_of_the_line(
    serve: Serve, connect: Connect, *, reset: bool
) -> None:
    def cut(connection: socket.socket) -> None:
        connection.recv(10)
        if reset:
            _reset(connection)

    with pytest.raises(errors.Unreachable):
        post(connect(serve(cut).url("https")))


@pytest.mark.parametrize("limits", [{"connect_timeout": 0.3}, {"deadline": 0.3}])
def test_a_handshake_that_never_ends_is_unsent(
    serve: Serve, connect: Connect, limits: dict[str, float]
) -> None:
    def silent(_: socket.socket) -> None:
        server.hold()

    server = serve(silent)
    transport = connect(server.url("https"), **limits)

    assert seconds_of(lambda: post(transport), errors.Unreachable) < 1


@pytest.mark.security(15)
def test_tls_works_with_a_bundle_that_knows_the_certificate(
    answering: Serve, connect: Connect, certificate: Certificate
) -> None:
    pair = certificate()
    server = answering(response(b"{}"), tls=tls_server(pair))
    transport = connect(server.url("https"), ca_bundle=str(pair[0]))

    assert [transport.exchange("GET", "/customers").status for _ in range(3)] == [200, 200, 200]
    assert server.connections == 1


@pytest.mark.security(15)
@pytest.mark.failure(39)
def test_the_session_keys_are_not_written_for_sslkeylogfile(
    answering: Serve,
    connect: Connect,
    certificate: Certificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair, log = certificate(), tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    server = answering(response(), tls=tls_server(pair))

    connect(server.url("https"), ca_bundle=str(pair[0])).exchange("GET", "/customers")

    assert not log.exists()


# Time and size


@pytest.mark.security(17)
@pytest.mark.failure(24, 35)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("part", ["headers", "body", "chunks", "continue", "silence"])
def test_an_answer_that_drips_ends_at_the_deadline(
    serve: Serve, connect: Connect, certificate: Certificate, part: str, *, tls: bool
) -> None:
    heads = {
        "headers": b"",
        "body": b"HTTP/1.1 201 Created\r\nContent-Length: 5000\r\n\r\n",
        "chunks": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n",
        "continue": b"",
        "silence": b"",
    }
    drips = {
        "headers": b"HTTP/1.1 201 Created\r\nX: " + b"x" * 5000,
        "body": b"x" * 5000,
        "chunks": b"1\r\nx\r\n" * 1000,
        "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 500,
        "silence": b"",
    }

    def drip(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(heads[part])
        server.drip(connection, drips[part], every=0.02)
        server.hold()

    pair = certificate() if tls else None
    server = serve(drip, tls=tls_server(pair) if pair else None)
    transport = connect(
        server.url("https" if tls else "http"), deadline=0.5, ca_bundle=str(pair[0]) if pair else None
    )

    assert 0.4 < seconds_of(lambda: post(transport), errors.NoAnswer) < 1.0


@pytest.mark.failure(35)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_server_that_does_not_read_ends_at_the_deadline(
    serve: Serve, connect: Connect, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    def deaf(_connection: socket.socket) -> None:
        server.hold()

    connected = sockets._Connection.connect

    def narrowly(connection: Any) -> None:
        connected(connection)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024)

    # Buffers of the usual size take the whole request, and nobody would wait.
    monkeypatch.setattr(sockets._Connection, "connect", narrowly)
    pair = certificate() if tls else None
    server = serve(deaf, tls=tls_server(pair) if pair else None)
    server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    transport = connect(
        server.url("https" if tls else "http"), deadline=0.5, ca_bundle=str(pair[0]) if pair else None
    )

    body = {"firstName": "x" * 100_000}
    took = seconds_of(lambda: transport.exchange("POST", "/c", body=body), errors.NoAnswer)
    assert took < 1.0


@pytest.mark.failure(41)
@pytest.mark.security(17)
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["no length", "long", "endless chunk size"],
)
def test_an_endless_body_is_not_read_to_the_end(serve: Serve, connect: Connect, head: bytes) -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        server.request(connection)
        connection.sendall(head)
        while not server._over.is_set():
            sent += connection.send(b"1" * 65536)

    server = serve(flood)

    with pytest.raises(errors.Ambiguous):
        post(connect(server.url(), deadline=10))

    server.close()
    assert sent < BODY_CAP * 12  # what the buffers of two sockets swallow


@pytest.mark.failure(41)
@pytest.mark.parametrize("kind", ["bomb", "endless"])
def test_a_body_that_grows_costs_no_memory(serve: Serve, connect: Connect, kind: str) -> None:
    zeros = zlib.compressobj(wbits=31)
    bomb = b"".join([zeros.compress(b"\0" * 1_000_000) for _ in range(100)]) + zeros.flush()
    head = b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    chunk = b"10000\r\n" + b"1" * 65536 + b"\r\n"

    def answer(connection: socket.socket) -> None:
        server.request(connection)
        if kind == "bomb":
            connection.sendall(head + bomb)
            return
        connection.sendall(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            connection.sendall(chunk)

    server = serve(answer)
    transport = connect(server.url(), deadline=10)
    tracemalloc.start()

    with pytest.raises(errors.Unreadable):
        post(transport)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * BODY_CAP


def test_a_body_of_exactly_the_cap_is_read(answering: Serve, connect: Connect) -> None:
    server = answering(response(b"x" * BODY_CAP))

    assert len(connect(server.url()).exchange("GET", "/customers").body) == BODY_CAP


def test_a_body_of_one_byte_more_is_refused(answering: Serve, connect: Connect) -> None:
    server = answering(response(b"1" * (BODY_CAP + 1)))

    with pytest.raises(errors.Unreadable, match="1 MiB"):
        post(connect(server.url()))


def test_answers_that_are_not_final_end_at_the_cap(serve: Serve, connect: Connect) -> None:
    def flood(connection: socket.socket) -> None:
        server.request(connection)
        while not server._over.is_set():
            connection.sendall(b"HTTP/1.1 102 Processing\r\nX: " + b"x" * 60_000 + b"\r\n\r\n")

    server = serve(flood)

    assert seconds_of(lambda: post(connect(server.url(), deadline=10)), errors.Unreadable) < 5


@pytest.mark.failure(41)
def test_a_body_of_one_byte_more_than_the_cap_is_refused(answering: Serve, connect: Connect) -> None:
    server = answering(response(b"x" * (BODY_CAP + 1), status="201 Created"))

    with pytest.raises(errors.Unreadable, match="longer"):
        post(connect(server.url()))


@pytest.mark.failure(41)
@pytest.mark.security(17)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip"])
def test_a_compressed_answer_is_refused_without_a_look(
    answering: Serve, connect: Connect, encoding: str
) -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)
    server = answering(response(bomb, status="201 Created", headers=f"Content-Encoding: {encoding}\r\n"))

    with pytest.raises(errors.Unreadable, match="compressed"):
        post(connect(server.url()))


@pytest.mark.parametrize("headers", ["Content-Encoding: gzip\r\n", ""])
def test_a_failure_is_told_by_its_status_when_its_body_is_useless(
    answering: Serve, connect: Connect, headers: str
) -> None:
    body = gzip.compress(b"x") if headers else b"x" * (BODY_CAP + 1)
    server = answering(response(body, status="401 Unauthorized", headers=headers))

    answer = connect(server.url()).exchange("GET", "/customers")

    assert (answer.status, answer.body) == (401, b"")


def test_the_body_of_a_failure_may_break_off(serve: Serve, connect: Connect) -> None:
    def cut(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 50\r\n\r\nhalf")

    server = serve(cut)

    assert connect(server.url()).exchange("POST", "/customers", body={}).status == 503


@pytest.mark.failure(42)
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 201 Created\r\nContent-Le",
        b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n{",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\xff\xfe\x00\x01\r\n\r\n",
        b"HTTP/1.1 201 Created\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 201 Created\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_half_an_answer_or_none_is_ambiguous(serve: Serve, connect: Connect, answer: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(answer)

    server = serve(behave)

    with pytest.raises(errors.NoAnswer) as caught:
        post(connect(server.url()))

    assert caught.value.may_have_arrived
    assert server.requests == 1


@pytest.mark.failure(33)
def test_a_reset_after_the_request_is_ambiguous(serve: Serve, connect: Connect) -> None:
    def reset(connection: socket.socket) -> None:
        server.request(connection)
        _reset(connection)

    server = serve(reset)

    with pytest.raises(errors.NoAnswer, match="reset"):
        post(connect(server.url()))

    assert server.requests == 1


@pytest.mark.security(11)
def test_a_malformed_header_is_not_logged_with_the_address(
    answering: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno colon\r\nX: y\r\n\r\n{}")

    connect(server.url()).exchange("GET", "/customers", query="search=canary")

    assert "canary" not in "".join(r.getMessage() for r in caplog.records if r.levelname != "DEBUG")


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# Redirects


INTERIM = [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]


@pytest.mark.parametrize("interim", [INTERIM[0], INTERIM[1], b"".join(INTERIM * 3)])
def test_an_answer_that_is_not_final_is_never_taken_for_one_nor_mixed_with_the_next(
    serve: Serve, connect: Connect, interim: bytes
) -> None:
    def behave(connection: socket.socket) -> None:
        while request := server.request(connection):
            connection.sendall(interim)
            server.hold(0.02)
            connection.sendall(response(b"one" if b"/one " in request else b"two"))

    server = serve(behave)
    transport = connect(server.url())

    answers = [transport.exchange("POST", path, body={}) for path in ("/one", "/two")]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"one"), (200, b"two")]
    assert server.connections == 1


def test_answers_that_are_not_final_do_not_prolong_a_call(serve: Serve, connect: Connect) -> None:
    def behave(connection: socket.socket) -> None:
        server.request(connection)
        server.drip(connection, INTERIM[0] * 1000, every=0.005)

    server = serve(behave)
    started = time.monotonic()

    with pytest.raises(errors.NoAnswer):
        connect(server.url(), deadline=0.3).exchange("POST", "/customers", body={})

    assert time.monotonic() - started < 1


def test_a_connection_that_has_changed_its_protocol_is_not_used_again(serve: Serve, connect: Connect) -> None:
    def behave(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(
            response() if server.connections > 1 else b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
        )
        server.hold()

    server = serve(behave)
    transport = connect(server.url(), deadline=2)

    first = transport.exchange("POST", "/customers", body={})
    second = transport.exchange("POST", "/customers", body={})

    assert (first.status, second.status, server.connections) == (101, 200, 2)


@pytest.mark.security(14)
@pytest.mark.failure(36, 37)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308, 399])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_a_redirect_is_never_followed(answering: Serve, connect: Connect, status: int, method: str) -> None:
    sink = answering(response())
    bomb = gzip.compress(b"\0" * 1_000_000)
    headers = f"Location: {sink.url()}/x\r\nContent-Encoding: gzip\r\n"
    server = answering(response(bomb, status=f"{status} Moved", headers=headers))

    with pytest.raises(errors.Redirected) as caught:
        connect(server.url()).exchange(method, "/customers", body=None if method == "GET" else {"a": "b"})

    assert caught.value.status == status
    assert (server.requests, sink.connections) == (1, 0)


@pytest.mark.security(14)
@pytest.mark.failure(36)
def test_the_body_of_a_redirect_is_not_waited_for(serve: Serve, connect: Connect) -> None:
    def behave(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 999\r\n\r\nhalf")
        server.hold()

    server = serve(behave)
    transport = connect(server.url(), deadline=5)

    assert seconds_of(lambda: post(transport), errors.Redirected) < 1


# Kept connections


def test_a_connection_is_kept_for_the_next_call(answering: Serve, connect: Connect) -> None:
    server = answering(response())
    transport = connect(server.url())

    for _ in range(3):
        post(transport)

    assert (server.connections, server.requests) == (1, 3)


@pytest.mark.failure(40)
def test_a_connection_that_was_idle_too_long_is_not_used_again(answering: Serve, connect: Connect) -> None:
    server = answering(response())
    transport = connect(server.url())
    assert transport.idle_limit == 4.0
    transport.idle_limit = 0.1

    post(transport)
    time.sleep(0.15)
    post(transport)

    assert (server.connections, server.requests) == (2, 2)


@pytest.mark.failure(40)
def test_a_create_after_a_while_meets_no_connection_that_the_service_is_about_to_end(
    serve: Serve, connect: Connect
) -> None:
    server = serve(_dies_on_second_request(lambda: server, reset=True))
    transport = connect(server.url())
    transport.idle_limit = 0.1

    for _ in range(2):
        post(transport)
        time.sleep(0.15)

    assert (server.connections, server.requests) == (2, 2)


def test_a_connection_with_bytes_nobody_asked_for_is_not_used_again(
    answering: Serve, connect: Connect
) -> None:
    server = answering(response(b"{}") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    transport = connect(server.url())

    bodies = [transport.exchange("GET", "/customers").body for _ in range(3)]

    assert bodies == [b"{}"] * 3


def test_a_record_of_tls_with_an_answer_nobody_asked_for_is_not_read_on(
    answering: Serve, connect: Connect, certificate: Certificate
) -> None:
    asked_for = response(b"{}")
    # What lies beyond the first 8192 bytes of a record waits in the TLS layer: no socket shows it.
    beyond = b" " * (io.DEFAULT_BUFFER_SIZE - len(asked_for))
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    pair = certificate()
    server = answering(asked_for + beyond + forged, tls=tls_server(pair))
    transport = connect(server.url("https"), ca_bundle=str(pair[0]))

    bodies = [transport.exchange("GET", "/customers").body for _ in range(2)]

    assert bodies == [b"{}"] * 2


def _dies_on_second_request(
    server_of: Callable[[], Server], *, reset: bool
) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        server_of().request(connection)
        connection.sendall(response())
        server_of().request(connection)
        if reset:
            _reset(connection)

    return behave


@pytest.mark.parametrize("reset", [True, False])
def test_a_get_is_repeated_once_when_a_kept_connection_was_dead(
    serve: Serve, connect: Connect, *, reset: bool
) -> None:
    server = serve(_dies_on_second_request(lambda: server, reset=reset))
    transport = connect(server.url())

    statuses = [transport.exchange("GET", "/customers").status for _ in range(2)]

    assert (statuses, server.requests, server.connections) == ([200, 200], 3, 2)


def test_a_repeated_get_trusts_no_other_kept_connection(serve: Serve, connect: Connect) -> None:
    both = threading.Barrier(2)

    def dying(connection: socket.socket) -> None:
        server.request(connection)
        both.wait(5)
        connection.sendall(response())
        server.request(connection)
        _reset(connection)

    def living(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(response())

    server = serve(dying, dying, living)
    transport = connect(server.url())
    threads = [threading.Thread(target=transport.exchange, args=("GET", "/customers")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert transport.exchange("GET", "/customers").status == 200
    assert server.connections == 3


@pytest.mark.failure(40)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_nothing_but_a_get_is_repeated_on_a_dead_connection(
    serve: Serve, connect: Connect, method: str
) -> None:
    server = serve(_dies_on_second_request(lambda: server, reset=True))
    transport = connect(server.url())
    transport.exchange(method, "/customers", body={"a": "b"})

    with pytest.raises(errors.NoAnswer):
        transport.exchange(method, "/customers", body={"a": "b"})

    assert server.requests == 2


def test_a_get_is_not_repeated_on_a_new_connection(serve: Serve, connect: Connect) -> None:
    def hang_up(connection: socket.socket) -> None:
        server.request(connection)

    server = serve(hang_up)

    with pytest.raises(errors.NoAnswer):
        connect(server.url()).exchange("GET", "/customers")

    assert server.requests == 1


@pytest.mark.failure(24)
def test_threads_share_one_transport(answering: Serve, connect: Connect) -> None:
    server = answering(response(b'{"ok": 1}'))
    transport = connect(server.url(), pool_size=8)
    bodies: list[bytes] = []

    def work() -> None:
        bodies.extend(transport.exchange("GET", "/customers").body for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bodies == [b'{"ok": 1}'] * 80
    assert server.connections <= 8


@pytest.mark.failure(25)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_opens_its_own_connection_and_leaves_the_parents_alone(
    answering: Serve, connect: Connect
) -> None:
    server = answering(response())
    transport = connect(server.url())
    post(transport)

    child = os.fork()
    if child == 0:
        done = 1
        try:
            post(transport)
            transport.close()
            done = 0
        finally:
            os._exit(done)
    assert os.waitpid(child, 0)[1] == 0
    post(transport)

    assert (server.connections, server.requests) == (2, 3)


def test_a_closed_transport_opens_again_when_it_is_used(answering: Serve, connect: Connect) -> None:
    server = answering(response())
    transport = connect(server.url())
    post(transport)
    transport.close()
    transport.close()

    post(transport)

    assert server.connections == 2


# Addresses and keys


@pytest.mark.failure(73)
@pytest.mark.security(13)
@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.kohortpay.com",
        "ftp://api.kohortpay.com",
        "http://api.kohortpay.com",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "https://user:pw@api.kohortpay.com",
        "https://@api.kohortpay.com",
        "https://api.kohortpay.com?x=1",
        "https://api.kohortpay.com#x",
        "https://api.kohortpay.com:port",
        "https://api.kohort\npay.com",
        "https://api.kohortpay.com\\@evil.test",
        "https://api.kohortpäy.com",
        "https://",
    ],
)
def test_an_address_that_could_leak_the_key_is_refused(connect: Connect, base_url: str) -> None:
    with pytest.raises(ValueError, match=r"BASE_URL .*https://api\.kohortpay\.com"):
        connect(base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.kohortpay.com",
        "https://api.kohortpay.com:8443/",
        "HTTPS://API.kohortpay.com",
        "http://localhost:8000",
        "http://127.0.0.2:8000",
        "http://[::1]:8000",
    ],
)
def test_a_safe_address_is_taken(connect: Connect, base_url: str) -> None:
    assert KEY not in repr(connect(base_url))


@pytest.mark.failure(73)
@pytest.mark.security(13)
def test_a_live_key_never_goes_over_http(connect: Connect) -> None:
    with pytest.raises(ValueError, match="live key") as caught:
        connect("http://localhost:8000", key="sk_live_canary4711")

    assert "canary" not in str(caught.value)


@pytest.mark.failure(73)
@pytest.mark.security(3, 18)
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("pk_test_canary4711", "publishable"),
        (" pk_live_canary4711", "publishable"),
        ("canary", "secret key"),
        ("", "secret key"),
        ("sk_test_short", "secret key"),
        ("sk_prod_canary4711", "secret key"),
        ("sk_test_canary4711\nX-Evil: 1", "secret key"),
        ("sk_test_canary 4711", "secret key"),
        ("sk_test_canary4711é", "secret key"),
        ("SK_TEST_canary4711", "secret key"),
    ],
)
def test_a_key_that_cannot_be_right_is_refused_unquoted(connect: Connect, key: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        connect(key=key)

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://api.example.org", "https://api.example.com", "https://api.example.org:444", "https://evil.org"],
)
def test_the_key_is_for_one_address_alone(url: str) -> None:
    # Its twin is the session, which knows the way to that address alone.
    auth = _KeyForOrigin(Secret(KEY), origin=("https", "api.example.org", 443))

    at_home = requests.Request("GET", "https://api.example.org/customers", auth=auth).prepare()
    elsewhere = requests.Request("GET", f"{url}/customers", auth=auth).prepare()

    assert at_home.headers["Authorization"] == f"Bearer {KEY}"
    assert "Authorization" not in elsewhere.headers


@pytest.mark.failure(73)
def test_blanks_around_a_key_are_not_sent(answering: Serve, connect: Connect) -> None:
    server = answering(response())

    connect(server.url(), key=f" {KEY}\n").exchange("GET", "/customers")

    assert f"Authorization: Bearer {KEY}\r\n" in server.text


def test_a_ca_bundle_has_to_exist_and_to_be_one(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CA_BUNDLE"):
        connect(ca_bundle=str(tmp_path / "none.pem"))

    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(errors.TlsFailed, match="CA bundle"):
        connect(ca_bundle=str(tmp_path / "bad.pem")).exchange("GET", "/customers")


@pytest.mark.security(4)
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/customers",
        "http://api.kohortpay.test/customers",
        "https://api.kohortpay.test:8443/customers",
        "https://api.kohortpay.test.evil.test/customers",
        "https://api.kohortpay.test@evil.test/customers",
    ],
)
def test_the_key_is_added_to_no_request_for_another_place(connect: Connect, url: str) -> None:
    auth = connect("https://api.kohortpay.test")._auth

    elsewhere = requests.Request("GET", url, auth=auth).prepare()
    here = requests.Request("GET", "https://api.kohortpay.test/customers", auth=auth).prepare()

    assert "Authorization" not in elsewhere.headers
    assert here.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.security(8)
@pytest.mark.failure(78)
def test_nothing_prints_the_key_or_the_person(answering: Serve, connect: Connect) -> None:
    server = answering(response(EMAIL.encode()))
    transport = connect(server.url())

    printed = repr(transport) + str(transport) + repr(transport.exchange("GET", "/c")) + repr(DATA)

    assert KEY not in printed
    assert EMAIL not in printed
    assert Secret(KEY).fingerprint in printed
