"""A connection that breaks, or that the gateway refuses, in the middle of a response."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import session, streaming
from protocol.errors import RejectCode, ResetCode
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.test_endings import CHUNK, refused
from tests.lambda_client.test_streaming import attached, call

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_cut_raises_from_write_and_is_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()
    seen: list[BaseException] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.cut()
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


def test_a_cut_after_everything_was_written_returns_the_tail(gateway: Gateway) -> None:
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        attached(exchange)
        yield CHUNK

    def cut() -> None:
        eventually(lambda: exchange.stream.ended)
        gateway.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    receipt = call(handler, exchange)
    thread.join()
    assert receipt.status == "end"
    assert receipt.tail is not None
    assert (receipt.tail[0] + len(receipt.tail[1]), receipt.final) == (1000, 1000)


def test_a_gateway_that_never_acknowledges_the_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "END_ACK_SECONDS", 0.1)
    monkeypatch.setattr(session, "RESET_SECONDS", 0.1)
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        attached(exchange)
        yield CHUNK

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.final) == ("end", 1000)
    assert receipt.tail is not None
    eventually(lambda: exchange.stream.bound is None)  # no connection may freeze half-way
    assert not gateway.parked


@pytest.mark.parametrize("code", [RejectCode.BAD_TOKEN, RejectCode.UNKNOWN, RejectCode.OVERLOADED])
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


def test_a_message_that_breaks_the_protocol_ends_the_connection(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.say(b"\xc1nonsense")
        while True:
            yield CHUNK

    with caplog.at_level(logging.WARNING, "dialback"):
        assert call(handler, exchange).status == "lost"
    assert "broke the protocol" in caplog.text
    eventually(lambda: gateway.sockets[0].close_code == 4400)


def test_a_text_message_is_refused(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.say("hello")
        while True:
            yield CHUNK

    assert call(handler, exchange).status == "lost"
    eventually(lambda: gateway.sockets[0].close_code == 1003)
