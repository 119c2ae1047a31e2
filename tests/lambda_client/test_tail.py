"""A gateway that never comes back: what is complete returns with the receipt, user code is told."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from lambda_client import DeadlineReached, StreamLost, streamify_response, streaming
from lambda_client.running import running_session
from lambda_client.timing import Timing
from protocol.errors import CancelCode, ResetCode
from protocol.frames import Attach, Data, End, Head
from protocol.limits import RECEIPT_BODY_MAX
from tests.lambda_client.gateway import (
    Exchange,
    Gateway,
    context,
    event,
    eventually,
    receipt_of,
)
from tests.lambda_client.handlers import acquainted, attached, call
from tests.lambda_client.test_endings import CHUNK, IN_ALL, NEARLY
from tests.lambda_client.test_lost import never_back
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.receipt import Receipt
    from tests.lambda_client.conftest import Hurry, TimePasses

pytestmark = pytest.mark.fault(9)

USUAL = Timing()


def completed(exchange: Exchange, receipt: Receipt) -> bytes:
    """The body that the gateway has in the end, once it took the receipt."""
    records = exchange.stream.apply_receipt(receipt)
    assert isinstance(records[-1], End)
    return exchange.body + b"".join(r.data for r in records if isinstance(r, Data))


# ---------------------------------------------------------------- user code is done


def test_what_is_not_acknowledged_returns_with_the_receipt(gateway: Gateway, hurry: Hurry) -> None:
    hurry(tail=0.3)
    exchange = gateway.exchange(reading=False)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        yield b"the rest"
        eventually(lambda: len(gateway.requests) > 2)  # it does try

    began = time.monotonic()
    receipt = call(handler, exchange)
    assert 0.3 <= time.monotonic() - began < USUAL.tail
    assert (receipt.status, receipt.dial) == ("end", None)
    assert completed(exchange, receipt) == CHUNK + b"the rest"


def test_a_head_that_may_not_have_come_is_in_the_receipt(gateway: Gateway, hurry: Hurry) -> None:
    hurry(tail=0.2)
    exchange = gateway.exchange()

    def cut(_: Attach) -> None:
        gateway.refuse = lambda _: web.Response(status=502)
        transport = gateway.requests[-1].transport
        assert transport is not None
        transport.abort()

    exchange.reject = cut

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 203}
        yield b"x" * 70_000

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.tail) == ("end", (0, b"x" * 70_000))
    assert receipt.head is not None
    assert receipt.head[0] == 203


def test_patience_with_a_tail_is_capped_by_the_time_left(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        session = running_session()
        assert session is not None
        session.timing = replace(USUAL, share=0.02)  # only now: the first dial has its time
        never_back(gateway)

    began = time.monotonic()
    receipt = receipt_of(handler(event(exchange), context(exchange, seconds=30)))
    assert time.monotonic() - began < USUAL.share * 30
    assert receipt.status == "end"


def test_more_than_a_receipt_can_carry_is_lost(
    gateway: Gateway, hurry: Hurry, caplog: pytest.LogCaptureFixture
) -> None:
    hurry(tail=0.2)
    exchange = gateway.exchange(window=RECEIPT_BODY_MAX + 1000, reading=False)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        yield bytes(RECEIPT_BODY_MAX)

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.code, receipt.tail) == ("lost", ResetCode.LOST, None)
    assert "response not delivered" in caplog.text


def test_a_reset_needs_no_gateway(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        eventually(lambda: len(gateway.requests) > 1)
        raise ValueError("the invocation fails with it")

    began = time.monotonic()
    with pytest.raises(ValueError, match="fails with it"):
        call(handler, exchange)
    assert time.monotonic() - began < USUAL.tail


def test_a_cancelled_exchange_is_not_dialled_for(gateway: Gateway, hurry: Hurry) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        exchange.cancel(CancelCode.CLIENT_GONE)
        session = running_session()
        eventually(lambda: session is not None and session.failure)
        gateway.cut()
        time.sleep(0.1)  # not for synchronisation: nothing may happen in this time
        yield CHUNK

    assert call(handler, exchange).status == "reset"
    assert len(gateway.requests) == 1


# ---------------------------------------------------------------- user code still runs


def test_a_writer_that_waits_for_credit_may_end_in_the_receipt(
    gateway: Gateway, hurry: Hurry
) -> None:
    """15 s after the loss the window holds it back no more: what it writes, the receipt carries."""
    hurry(tail=0.3)
    exchange = gateway.exchange(window=4096, reading=False)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        yield bytes(1_000_000)

    receipt = call(handler, exchange)
    assert receipt.status == "end"
    assert completed(exchange, receipt) == CHUNK + bytes(1_000_000)


def test_what_was_written_for_the_receipt_still_streams_when_the_gateway_is_back(
    gateway: Gateway, hurry: Hurry
) -> None:
    hurry(tail=0.2)
    exchange = gateway.exchange(window=65_536)
    body = bytes(range(256)) * 4000

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        yield body  # only goes in beyond the window once the tail is due
        gateway.refuse = lambda _: None
        eventually(lambda: len(exchange.body) > len(CHUNK))
        yield body

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.tail) == ("end", None)
    assert exchange.body == CHUNK + body + body


def test_user_code_is_told_when_the_gateway_waits_no_more(gateway: Gateway, hurry: Hurry) -> None:
    gateway.limits = replace(gateway.limits, resume_grace_ms=300)
    exchange = gateway.exchange(window=4096, reading=False)
    raised: list[BaseException] = []

    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(CHUNK)
        acquainted()
        never_back(gateway)
        try:
            stream.write(bytes(1_000_000))
        except StreamLost as error:
            raised.append(error)
            raise

    began = time.monotonic()
    receipt = call(streamify_response(handler), exchange)
    assert 0.3 <= time.monotonic() - began < USUAL.tail
    assert raised
    assert receipt.status == "lost"


# ---------------------------------------------------------------- the deadline


def test_a_complete_response_is_not_reset_near_the_deadline(
    gateway: Gateway, hurry: Hurry, time_passes: TimePasses
) -> None:
    hurry(end_ack=PATIENCE)
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        attached(exchange)

    def wait() -> None:
        eventually(lambda: exchange.stream.ended)
        time_passes(NEARLY)

    thread = threading.Thread(target=wait)
    thread.start()
    began = time.monotonic()
    receipt = receipt_of(handler(event(exchange), context(exchange, seconds=IN_ALL)))
    assert time.monotonic() - began < PATIENCE  # no END_ACK is waited for any more
    thread.join()
    assert (receipt.status, receipt.final) == ("end", 1000)
    assert not exchange.resets


def test_a_response_that_ended_before_its_handler_is_not_reset_either(
    gateway: Gateway, hurry: Hurry, time_passes: TimePasses
) -> None:
    hurry(end_ack=PATIENCE)
    exchange = gateway.exchange(swallow_end=True)

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        attached_stream(stream)
        stream.end(CHUNK)
        session = running_session()
        eventually(lambda: exchange.stream.ended)
        time_passes(NEARLY)
        assert session is not None
        assert session.failure is None

    def attached_stream(stream: Any) -> None:
        stream.write(b"")
        attached(exchange)

    began = time.monotonic()
    receipt = receipt_of(handler(event(exchange), context(exchange, seconds=IN_ALL)))
    assert time.monotonic() - began < PATIENCE  # as above
    assert (receipt.status, receipt.final) == ("end", 1000)
    assert not exchange.resets


@pytest.mark.fault(40)
def test_an_incomplete_response_whose_gateway_is_away_ends_in_time(
    gateway: Gateway, time_passes: TimePasses
) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        eventually(lambda: len(gateway.requests) > 1)
        time_passes(NEARLY)
        while True:
            yield b"x"
            time.sleep(0.001)  # not for synchronisation: it is the pace of the handler

    began = time.monotonic()
    with pytest.raises(DeadlineReached):
        handler(event(exchange), context(exchange, seconds=IN_ALL))
    assert time.monotonic() - began < USUAL.tail


def test_a_reset_that_the_kernel_does_not_take_delays_nothing(
    gateway: Gateway, hurry: Hurry
) -> None:
    hurry(flush=0.2)
    exchange = gateway.exchange(window=32 << 20)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        transport = gateway.requests[-1].transport
        gateway.call(transport.pause_reading)  # type: ignore[union-attr]
        yield bytes(24 << 20)
        raise ValueError("late")

    began = time.monotonic()
    with pytest.raises(ValueError, match="late"):
        call(handler, exchange)
    assert time.monotonic() - began < USUAL.end_ack
    assert not any(isinstance(frame, Head) for frame in exchange.log[2:])
