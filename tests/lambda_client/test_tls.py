"""Whose certificates a function believes, and that nothing makes it speak without TLS."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from lambda_client import loop, streaming
from lambda_client.tls_transport import TlsTransport
from lambda_client.transport import TcpTransport
from lambda_client.trust import client_context
from tests.certificates import authority, serving, write_authority, write_certificate
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import call, warm
from tests.lambda_client.test_transport import User

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.receipt import Receipt
    from tests.lambda_client.gateway import Exchange

BODY = b"x" * 500_000


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return write_authority(tmp_path / "ca.pem")


@pytest.fixture
def secured() -> Gateway:
    """A gateway that speaks TLS, not yet started."""
    gateway = Gateway()
    gateway.tls = serving()
    return gateway


def answer(exchange: Exchange) -> Receipt:
    return call(streaming(lambda e, c: {"statusCode": 200, "body": BODY}), exchange)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "DIALBACK_CA_FILE"])
def test_a_private_authority_is_trusted_when_a_variable_names_it(
    secured: Gateway, ca_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(ca_file))
    with secured as gateway:
        exchange = gateway.exchange()
        assert answer(exchange).dial is None
        assert exchange.body == BODY


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("unset", "CERTIFICATE_VERIFY_FAILED"),
        ("another authority", "CERTIFICATE_VERIFY_FAILED"),
        ("absent", "DIALBACK_CA_FILE: .*ca.pem: No such file"),
        ("nonsense", "DIALBACK_CA_FILE: .*ca.pem holds no certificate in PEM"),
    ],
)
def test_nobody_else_is_trusted(
    secured: Gateway,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    problem: str,
) -> None:
    if content != "unset":
        monkeypatch.setenv("DIALBACK_CA_FILE", str(ca_file))
        monkeypatch.setenv("SSL_CERT_FILE", str(write_authority(ca_file.with_name("system.pem"))))
        ca_file.unlink()
    if content == "another authority":
        trustme.CA().cert_pem.write_to_path(ca_file)
    elif content == "nonsense":
        ca_file.write_text(content)
    with secured as gateway:
        exchange = gateway.exchange()
        receipt = answer(exchange)
        assert receipt.dial is not None and re.search(problem, receipt.dial)
        assert gateway.requests == []


def test_the_name_in_the_certificate_is_checked(
    secured: Gateway, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIALBACK_CA_FILE", str(ca_file))
    secured.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("other.example").configure_cert(secured.tls)
    with secured as gateway:
        receipt = answer(gateway.exchange())
        assert receipt.dial is not None and "Hostname mismatch" in receipt.dial
        assert gateway.requests == []


def test_a_redirect_is_not_followed_and_no_token_goes_to_where_it_leads(
    secured: Gateway, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIALBACK_CA_FILE", str(ca_file))
    with Gateway() as plain, secured as gateway:
        gateway.refuse = lambda _: web.Response(
            status=307, headers={"Location": plain.url.replace("ws:", "http:") + "/v1/attach"}
        )
        receipt = answer(gateway.exchange())
        assert receipt.dial is not None and "HTTP 307" in receipt.dial
        assert plain.requests == []


def test_a_parked_connection_that_broke_just_now_is_not_taken(
    secured: Gateway, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIALBACK_CA_FILE", str(ca_file))
    found: list[bool] = []
    with secured as gateway:
        warm(gateway)
        io = loop.io_thread()
        connection = io._parked[gateway.url].connection

        def break_and_look() -> None:
            assert connection._transport is not None
            connection._transport.abort()
            assert not connection.closed  # the transport knows of it, the connection does not
            found.append(connection.untouched())

        io.submit(break_and_look)
        eventually(lambda: found)
    assert found == [False]


def test_a_peer_that_wants_another_handshake_loses_the_connection_and_no_write_is_dropped(
    ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is under way (TLS 1.2 only) OpenSSL takes no bytes; a connection that is lost is resumed."""
    monkeypatch.setenv("DIALBACK_CA_FILE", str(ca_file))
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    write_certificate(chain, key)
    options = ("-accept", "127.0.0.1:0", "-cert", chain, "-key", key, "-tls1_2")
    io, user = loop.io_thread(), User()
    with subprocess.Popen(
        ("openssl", "s_server", *options), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        said = next(line for line in server.stdout if line.startswith(b"ACCEPT"))
        near = socket.create_connection(("127.0.0.1", int(said.rpartition(b":")[2])))
        near.setblocking(False)
        tls = TlsTransport(client_context(), "127.0.0.1", user)
        io.submit(TcpTransport(io.loop, near, tls).start)
        eventually(lambda: tls._shaken)
        server.stdin.write(b"R\n")  # a command of its: renegotiate
        server.stdin.flush()
        try:
            eventually(lambda: user.told == ["lost"])
        finally:
            server.kill()
