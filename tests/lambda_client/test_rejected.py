"""What the function does when the gateway refuses its ATTACH: at first, and when it comes back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import ClientGone, StreamLost, cancelled, streamify_response, streaming
from protocol.codec import encode
from protocol.errors import CloseCode, GoawayCode, RejectCode, ResetCode
from protocol.frames import Attach, Goaway, Reject
from tests.lambda_client.gateway import Exchange, Gateway, eventually
from tests.lambda_client.handlers import call
from tests.lambda_client.test_connection import BINARY, CLOSING, FINAL
from tests.lambda_client.test_connection import frame as ws_frame
from tests.lambda_client.test_endings import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.receipt import Receipt
    from tests.lambda_client.conftest import Hurry

ELSEWHERE = [RejectCode.DRAINING, RejectCode.NOT_OWNER]
LATER = [RejectCode.OVERLOADED, RejectCode.DRAINING, RejectCode.LIMIT]


def refuse(
    exchange: Exchange,
    *codes: RejectCode,
    url: str | None = None,
    retry_ms: int | None = None,
) -> None:
    """Refuse as many ATTACHes from now on as there are codes."""
    left = iter(codes)

    def decide(frame: Attach) -> Reject | None:
        code = next(left, None)
        return None if code is None else Reject(frame.sid, code, retry_ms, "not now", url)

    exchange.reject = decide


@pytest.fixture
def other() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


def after_a_cut(
    gateway: Gateway, exchange: Exchange, *codes: RejectCode, **changes: Any
) -> tuple[Receipt, list[BaseException]]:
    """Cut in mid-stream, refuse what comes back; what user code saw."""
    seen: list[BaseException] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        refuse(exchange, *codes, **changes)
        gateway.cut()
        try:
            yield CHUNK
            eventually(lambda: len(exchange.chunks) > 1 or cancelled())
            yield CHUNK
        except GeneratorExit as error:
            seen.append(error)
            raise

    return call(handler, exchange), seen


# ---------------------------------------------------------------- elsewhere, or later


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("code", ELSEWHERE)
def test_it_goes_where_the_gateway_points_to(
    gateway: Gateway, other: Gateway, code: RejectCode, cut: bool
) -> None:
    exchange = gateway.exchange()
    other.exchanges[exchange.stream.xid] = exchange
    if cut:
        receipt, _ = after_a_cut(gateway, exchange, code, url=other.url)
    else:
        refuse(exchange, code, url=other.url)
        handler = streaming(lambda e, c: {"statusCode": 200, "body": CHUNK * 100})
        receipt = call(handler, exchange)
    assert (receipt.status, receipt.tail, receipt.final) == ("end", None, len(exchange.body))
    assert len(other.requests) == 1


def test_gateways_that_point_to_each_other_do_not_go_on_for_ever(
    gateway: Gateway, other: Gateway, hurry: Hurry
) -> None:
    hurry(patience=0.5)
    exchange = gateway.exchange()
    other.exchanges[exchange.stream.xid] = exchange
    refuse(exchange, *[RejectCode.NOT_OWNER] * 1000, url=other.url)
    receipt = call(streaming(lambda e, c: {"statusCode": 200, "body": CHUNK * 100}), exchange)
    assert (receipt.status, receipt.tail) == ("end", (0, CHUNK * 100))
    assert len(gateway.requests) + len(other.requests) < 30


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("code", LATER)
def test_it_comes_back_later(gateway: Gateway, code: RejectCode, cut: bool) -> None:
    exchange = gateway.exchange()
    if cut:
        receipt, _ = after_a_cut(gateway, exchange, code, code, retry_ms=50)
        assert len(gateway.requests) == 4
    else:
        refuse(exchange, code, code, retry_ms=50)
        handler = streaming(lambda e, c: {"statusCode": 200, "body": CHUNK * 100})
        receipt = call(handler, exchange)
        assert len(gateway.requests) == 3
    assert (receipt.status, receipt.tail, receipt.final) == ("end", None, len(exchange.body))


def test_an_address_that_does_not_know_it_leaves_the_others(
    gateway: Gateway, other: Gateway
) -> None:
    exchange = gateway.exchange(urls=(other.url, gateway.url))
    stranger = other.exchange()
    stranger.envelope = exchange.envelope
    other.exchanges[exchange.stream.xid] = stranger
    stranger.reject = lambda frame: Reject(frame.sid, RejectCode.UNKNOWN, None, "", None)
    receipt = call(streaming(lambda e, c: {"statusCode": 200, "body": CHUNK * 100}), exchange)
    assert (receipt.status, receipt.tail) == ("end", None)
    assert (len(other.requests), len(gateway.requests)) == (1, 1)


def test_a_stranger_and_an_address_that_nobody_answers_are_no_end(
    gateway: Gateway, other: Gateway, hurry: Hurry
) -> None:
    """The one that would know may only be out of reach: the receipt goes there another way."""
    hurry(patience=2.0)  # much longer than the way to the second address
    exchange = gateway.exchange(urls=(other.url, "ws://127.0.0.1:9"))
    stranger = other.exchange()
    stranger.envelope = exchange.envelope
    other.exchanges[exchange.stream.xid] = stranger
    refuse(stranger, *[RejectCode.UNKNOWN] * 10)
    receipt = call(streaming(lambda e, c: {"statusCode": 200, "body": CHUNK * 100}), exchange)
    assert (receipt.status, receipt.tail) == ("end", (0, CHUNK * 100))
    assert receipt.dial is not None
    assert len(other.requests) == 1


# ---------------------------------------------------------------- for good


@pytest.mark.parametrize(
    "code", [RejectCode.UNKNOWN, RejectCode.STALE, RejectCode.BAD_TOKEN, RejectCode.GAP]
)
@pytest.mark.fault(18, 44, 45)
def test_a_stream_that_is_not_taken_back_is_lost(gateway: Gateway, code: RejectCode) -> None:
    exchange = gateway.exchange()
    receipt, seen = after_a_cut(gateway, exchange, code)
    assert (receipt.status, receipt.code) == ("lost", ResetCode.LOST)
    assert seen
    assert len(gateway.requests) == 2


@pytest.mark.parametrize("code", [RejectCode.CANCELLED, RejectCode.TERMINAL])
def test_a_client_that_left_meanwhile_stops_the_handler(gateway: Gateway, code: RejectCode) -> None:
    exchange = gateway.exchange()
    receipt, seen = after_a_cut(gateway, exchange, code)
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)
    assert seen


def test_a_goodbye_in_one_read_with_the_rejection_is_no_failure(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    def decide(frame: Attach) -> Reject:
        rejection = Reject(frame.sid, RejectCode.CANCELLED, None, "nobody waits", None)
        going = CloseCode.GOING_AWAY.to_bytes(2, "big")
        transport = gateway.requests[-1].transport
        assert transport is not None
        transport.write(
            ws_frame(FINAL | BINARY, encode(rejection)) + ws_frame(FINAL | CLOSING, going)
        )
        return rejection

    exchange.reject = decide

    def handler(event: Any, stream: Any, context: Any) -> None:
        with pytest.raises(ClientGone):
            while True:
                stream.write(CHUNK)

    receipt = call(streamify_response(handler), exchange)
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)
    assert not caplog.records


def test_user_code_is_told_which_it_was(gateway: Gateway) -> None:
    for code, error in ((RejectCode.CANCELLED, ClientGone), (RejectCode.UNKNOWN, StreamLost)):
        exchange = gateway.exchange()

        def handler(event: Any, stream: Any, context: Any) -> None:
            stream.write(CHUNK)
            eventually(lambda: exchange.chunks)  # noqa: B023
            refuse(exchange, code)  # noqa: B023
            gateway.cut()
            with pytest.raises(error):  # noqa: B023
                while True:
                    stream.write(CHUNK)

        call(streamify_response(handler), exchange)


def test_an_exchange_that_is_over_after_its_end_is_delivered(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)

    def cut() -> None:
        eventually(lambda: exchange.stream.ended)
        refuse(exchange, RejectCode.TERMINAL)
        gateway.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    receipt = call(handler, exchange)
    thread.join()
    assert (receipt.status, receipt.final, receipt.tail) == ("end", 1000, None)
    assert not caplog.records


# ---------------------------------------------------------------- GOAWAY


def test_a_gateway_that_goes_away_lets_the_stream_end(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.say(encode(Goaway(GoawayCode.DRAINING, 10_000, None)))
        for _ in range(20):
            yield CHUNK

    assert call(handler, exchange).status == "end"
    assert len(gateway.requests) == 1
    eventually(lambda: gateway.sockets[0].close_code == 1000)


def test_a_connection_lost_after_goaway_moves_to_where_it_pointed(
    gateway: Gateway, other: Gateway
) -> None:
    exchange = gateway.exchange()
    other.exchanges[exchange.stream.xid] = exchange

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.say(encode(Goaway(GoawayCode.DRAINING, 10_000, other.url)))
        gateway.close(4503)
        yield CHUNK

    assert call(handler, exchange).status == "end"
    assert exchange.body == 2 * CHUNK
    assert (len(gateway.requests), len(other.requests)) == (1, 1)
