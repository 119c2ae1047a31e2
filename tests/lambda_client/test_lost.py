"""A connection that breaks, or that the gateway refuses, in the middle of a response."""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from lambda_client import streaming
from protocol.errors import RejectCode, ResetCode
from protocol.frames import Attach
from protocol.limits import Limits
from tests.lambda_client.gateway import Exchange, Gateway, eventually
from tests.lambda_client.handlers import acquainted, attached, call
from tests.lambda_client.test_endings import CHUNK, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lambda_client.conftest import Hurry


def attaches(exchange: Exchange) -> int:
    return sum(isinstance(frame, Attach) for frame in exchange.log)


def never_back(gateway: Gateway) -> None:
    """Cut, and refuse whoever dials again, in a way that may pass."""
    gateway.refuse = lambda _: web.Response(status=502)
    gateway.cut()


def test_a_cut_for_longer_than_the_gateway_waits_raises_from_write_and_is_logged(
    gateway: Gateway, hurry: Hurry, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.limits = replace(gateway.limits, resume_grace_ms=200)
    exchange = gateway.exchange()
    seen: list[BaseException] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        acquainted()
        never_back(gateway)
        try:
            while True:
                yield CHUNK
                time.sleep(0.001)  # not for synchronisation: it is the pace of the handler
        except GeneratorExit as error:
            seen.append(error)
            raise

    with caplog.at_level(logging.ERROR, "dialback"):
        receipt = call(handler, exchange)
    assert seen
    assert (receipt.status, receipt.code) == ("lost", ResetCode.LOST)
    assert "StreamLost" in caplog.text
    assert not exchange.stream.ended


def test_a_cut_after_everything_was_written_returns_the_tail(
    gateway: Gateway, hurry: Hurry, caplog: pytest.LogCaptureFixture
) -> None:
    hurry(tail=0.2)
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        attached(exchange)
        yield CHUNK

    def cut() -> None:
        eventually(lambda: exchange.stream.ended)
        never_back(gateway)

    thread = threading.Thread(target=cut)
    thread.start()
    with caplog.at_level(logging.WARNING, "dialback"):
        receipt = call(handler, exchange)
    thread.join()
    assert receipt.status == "end"
    assert receipt.tail is not None
    assert (receipt.tail[0] + len(receipt.tail[1]), receipt.final) == (1000, 1000)
    assert not caplog.records  # nothing is lost: the receipt carries it


def test_a_gateway_that_never_acknowledges_the_end(gateway: Gateway, hurry: Hurry) -> None:
    hurry(end_ack=0.1)
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        attached(exchange)
        yield CHUNK

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.final) == ("end", 1000)
    assert receipt.tail is not None
    eventually(lambda: gateway.sockets[0].closed)  # no connection may freeze half-way


@pytest.mark.parametrize(
    "code", [RejectCode.BAD_TOKEN, RejectCode.UNKNOWN, RejectCode.STALE, RejectCode.GAP]
)
def test_a_refused_attach_is_a_lost_stream(
    gateway: Gateway, code: RejectCode, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()
    refused(exchange, code)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        while True:
            yield CHUNK

    with caplog.at_level(logging.ERROR, "dialback"):
        assert call(handler, exchange).status == "lost"
    assert code.name in caplog.text
    assert exchange.envelope.token not in caplog.text
    assert len(gateway.requests) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [(b"\xc1nonsense", 4400), ("text", 1003), (bytes(Limits().max_message + 1), 1009)],
    ids=["malformed", "text", "too large"],
)
@pytest.mark.fault(49)
def test_a_gateway_that_breaks_the_protocol_gets_three_more_tries(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, message: bytes | str, code: int
) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        for tries in range(1, 5):
            yield CHUNK
            eventually(lambda tries=tries: attaches(exchange) == tries)  # type: ignore[misc]
            eventually(lambda tries=tries: len(exchange.chunks) == tries)  # type: ignore[misc]
            gateway.say(message)
        while True:
            yield CHUNK

    with caplog.at_level(logging.WARNING, "dialback"):
        assert call(handler, exchange).status == "lost"
    assert attaches(exchange) == 4
    # A goodbye is lost when the gateway has just sent something more: the kernel resets then.
    assert {socket.close_code for socket in gateway.sockets} - {None, 1006} <= {code}
    assert re.search(f"broke the protocol|closed with {code}", caplog.text)
    assert "not delivered" in caplog.text
