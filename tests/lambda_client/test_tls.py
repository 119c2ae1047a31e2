"""Whose certificates a function believes, and that nothing makes it speak without TLS."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from lambda_client import loop, streaming
from tests.certificates import authority, serving, write_authority
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import call, warm

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
