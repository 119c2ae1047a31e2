"""The WebSocket itself: messages, keepalive."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import loop, streaming
from lambda_client.connection import Connection
from protocol.codec import encode
from protocol.frames import Ping, Pong
from protocol.limits import Limits
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import call, warm
from tests.lambda_client.test_endings import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        gateway.say_raw(
            frame(BINARY, message[:1]) + frame(CONTINUED, message[1:3]),
            frame(FINAL | PING, b"between"),
            frame(CONTINUED, b"") + frame(FINAL | CONTINUED, message[3:]),
        )
        eventually(lambda: answered(gateway, 7_000_000_000))

    assert while_streaming(gateway, act).status == "end"


def test_bytes_may_come_one_by_one(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[bytes] = []
    take = Connection.data_received

    def data_received(self: Connection, data: bytes) -> None:
        reads.append(data)
        take(self, data)

    def act() -> None:
        monkeypatch.setattr(Connection, "data_received", data_received)
        told = frame(FINAL | BINARY, encode(Ping(5)))
        pieces = iter(range(1, len(told) + 1))
        gateway.say_raw(
            *(bytes([byte]) for byte in told),
            heard=lambda: eventually(partial(has, next(pieces))),
        )
        eventually(lambda: answered(gateway, 5))

    def has(number: int) -> bool:
        return len(reads) >= number

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


def test_however_late_silence_is_death_it_is_asked_about_as_often(gateway: Gateway) -> None:
    gateway.limits = Limits(ping_ms=100, dead_ms=60_000)

    def pinged_twice() -> None:
        eventually(lambda: sum(isinstance(f, Ping) for f in gateway.frames) > 1)

    assert while_streaming(gateway, pinged_twice).status == "end"


def test_nobody_pings_a_parked_connection(gateway: Gateway) -> None:
    gateway.limits = Limits(ping_ms=200, dead_ms=60_000)
    warm(gateway)
    (parked,) = loop.io_thread()._parked.values()
    assert parked.connection.state.next_deadline() is None
    warm(gateway)
    assert len(gateway.requests) == 1
