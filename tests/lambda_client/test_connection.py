"""The WebSocket itself: messages, keepalive, TLS."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import loop, streaming
from protocol.codec import encode
from protocol.frames import Ping, Pong
from protocol.limits import Limits
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import call, warm
from tests.lambda_client.test_endings import CHUNK
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from protocol.receipt import Receipt
    from tests.lambda_client.conftest import Hurry

FINAL, BINARY, CONTINUED, CLOSING, PING, PONG = 0x80, 0x2, 0x0, 0x8, 0x9, 0xA
"""RFC 6455 section 5.2."""


def frame(first_byte: int, payload: bytes) -> bytes:
    """A WebSocket frame as a server sends it."""
    assert len(payload) < 126
    return bytes([first_byte, len(payload)]) + payload


def while_streaming(gateway: Gateway, act: Callable[[], None]) -> Receipt:
    """Do something to the connection between the first chunk and the last."""
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        act()
        yield CHUNK

    return call(handler, exchange)


def answered(gateway: Gateway, nonce: int) -> bool:
    return Pong(nonce) in gateway.frames


def test_fragments_are_joined(gateway: Gateway) -> None:
    message = encode(Ping(7_000_000_000))

    def act() -> None:
        gateway.say_raw(frame(BINARY, message[:1]) + frame(CONTINUED, message[1:3]))
        gateway.say_raw(frame(FINAL | PING, b"between"))
        gateway.say_raw(frame(CONTINUED, b"") + frame(FINAL | CONTINUED, message[3:]))
        eventually(lambda: answered(gateway, 7_000_000_000))

    assert while_streaming(gateway, act).status == "end"


def test_bytes_may_come_one_by_one(gateway: Gateway) -> None:
    def act() -> None:
        for byte in frame(FINAL | BINARY, encode(Ping(5))):
            gateway.say_raw(bytes([byte]))
        eventually(lambda: answered(gateway, 5))

    assert while_streaming(gateway, act).status == "end"


def test_a_ping_is_answered_although_the_handler_computes(gateway: Gateway) -> None:
    def act() -> None:
        gateway.say(encode(Ping(9)))
        while not answered(gateway, 9):
            pass  # never waits, never lets go of the interpreter by itself

    assert while_streaming(gateway, act).status == "end"


def test_a_ping_is_answered_while_parked(gateway: Gateway) -> None:
    warm(gateway)
    gateway.say(encode(Ping(11)))
    eventually(lambda: answered(gateway, 11))
    warm(gateway)
    assert len(gateway.requests) == 1


def test_a_type_that_may_be_ignored_is_ignored(gateway: Gateway) -> None:
    assert while_streaming(gateway, lambda: gateway.say(b"\x91\x40")).status == "end"


@pytest.mark.fault(10)
def test_silence_is_asked_about_and_then_believed(gateway: Gateway, hurry: Hurry) -> None:
    hurry(attempt=0.5)  # the next ATTACH may find the gateway deaf, too
    gateway.limits = Limits(ping_ms=100, dead_ms=100)
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        eventually(lambda: sum(isinstance(f, Ping) for f in gateway.frames) > 1)  # and answered
        gateway.deaf = True
        # Which of them is told depends on the machine: one that is slow is taken for dead before.
        eventually(lambda: 4504 in [socket.close_code for socket in gateway.sockets])
        gateway.deaf = False
        yield CHUNK

    assert call(handler, exchange).status == "end"
    assert len(gateway.requests) > 1
    assert exchange.body == 2 * CHUNK


def test_nobody_pings_a_parked_connection(gateway: Gateway) -> None:
    gateway.limits = Limits(ping_ms=200, dead_ms=200)
    warm(gateway)
    parked = loop.io_thread()._parked
    assert parked is not None
    assert parked.connection.state.next_deadline() is None
    warm(gateway)
    assert len(gateway.requests) == 1


@pytest.fixture
def certified(tmp_path: Path) -> tuple[Gateway, Path]:
    """A gateway that speaks TLS, not yet started, and its certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [
            require_program("openssl"),
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "2",
            *subject,
        ],
        check=True,
        capture_output=True,
    )
    gateway = Gateway()
    gateway.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    gateway.tls.load_cert_chain(certificate, key)
    return gateway, certificate


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_verified(
    certified: tuple[Gateway, Path], monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    gateway, certificate = certified
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with gateway:
        exchange = gateway.exchange()
        handler = streaming(lambda e, c: {"statusCode": 200, "body": b"x" * 500_000})
        receipt = call(handler, exchange)
        assert len(exchange.body) == (500_000 if trusted else 0)
        assert (receipt.dial is None) is trusted
        if not trusted:
            assert receipt.dial is not None
            assert "CERTIFICATE_VERIFY_FAILED" in receipt.dial


def test_tls_may_have_forgotten_its_socket_when_a_parked_connection_is_looked_at(
    certified: tuple[Gateway, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, certificate = certified
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    found: list[bool] = []
    with gateway:
        warm(gateway)
        io = loop.io_thread()
        assert io._parked is not None
        connection = io._parked.connection

        def break_and_look() -> None:
            assert connection._transport is not None
            connection._transport.abort()
            asyncio.get_running_loop().call_soon(look)  # TLS knows of it, the connection does not

        def look() -> None:
            assert not connection.closed
            found.append(connection.untouched())

        io.submit(break_and_look)
        eventually(lambda: found)
    assert found == [False]
