"""A callback that is cut, at whatever byte, comes back and goes on: no byte lost, none doubled."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from lambda_client import request_body, streaming
from protocol.codec import encode
from protocol.errors import CloseCode
from protocol.frames import Attach, AttachFlag, End, EndAck, Head
from tests.faults.kinds import CLOSE, DOWN, HALF_OPEN, RESET, UP, Fault, Point
from tests.faults.proxy import Proxy, running_proxy
from tests.lambda_client.gateway import Exchange, Gateway, eventually
from tests.lambda_client.handlers import attached, call
from tests.lambda_client.test_connection import BINARY, CLOSING, FINAL
from tests.lambda_client.test_connection import frame as ws_frame
from tests.lambda_client.test_endings import CHUNK
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from protocol.frames import Frame
    from protocol.receipt import Receipt
    from tests.lambda_client.conftest import Hurry, TimePasses

BODY = random.Random(11).randbytes(900_001)


@pytest.fixture
def proxy(gateway: Gateway) -> Iterator[Proxy]:
    with running_proxy(("127.0.0.1", gateway.port)) as running:
        yield running


def pieces(body: bytes = BODY) -> Iterator[bytes]:
    source = random.Random(12)
    while body:
        size = source.choice([1, 255, 4097, 65_536, 65_537])
        yield body[:size]
        body = body[size:]


def streamed(exchange: Exchange, *, asynchronous: bool) -> Receipt:
    """Stream BODY, once attached: so that nothing goes inline."""

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201}
        yield from pieces()

    @streaming
    async def handler_async(event: Any, context: Any) -> AsyncIterator[Any]:
        yield {"statusCode": 201}
        for piece in pieces():
            yield piece
            await asyncio.sleep(0)

    return call(handler_async if asynchronous else handler, exchange)


def attaches(exchange: Exchange) -> list[Attach]:
    return [frame for frame in exchange.log if isinstance(frame, Attach)]


def whole(exchange: Exchange, receipt: Receipt) -> bool:
    """The client has the body exactly, and the receipt does not repeat it."""
    same = exchange.body == BODY and exchange.stream.ended and exchange.head.status == 201
    return same and (receipt.status, receipt.final, receipt.tail) == ("end", len(BODY), None)


# ---------------------------------------------------------------- where a cut can be


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("fault", [RESET, CLOSE])
@pytest.mark.parametrize(
    "offset", [1, 300, 400, 1000, 66_000, 200_000, 444_444, 900_000], ids=lambda n: f"after {n}"
)
@pytest.mark.fault(6)
def test_a_response_survives_a_cut(
    gateway: Gateway, proxy: Proxy, asynchronous: bool, fault: Fault, offset: int
) -> None:
    proxy.plan(Point(UP, offset, fault, upgraded=True))
    exchange = gateway.exchange(urls=(proxy.url,))
    receipt = streamed(exchange, asynchronous=asynchronous)
    assert whole(exchange, receipt)
    assert len(proxy.faults) == 1


@pytest.mark.fault(6)
def test_a_response_survives_many_cuts(gateway: Gateway, proxy: Proxy) -> None:
    for size in range(20_000, 160_000, 10_000):
        proxy.plan(Point(UP, size, RESET, upgraded=True))
    exchange = gateway.exchange(urls=(proxy.url,))
    receipt = streamed(exchange, asynchronous=False)
    assert whole(exchange, receipt)
    assert len(proxy.faults) > 5
    epochs = [frame.epoch for frame in attaches(exchange)]
    assert epochs == sorted(set(epochs))


@pytest.mark.fault(2)
def test_a_cut_after_the_upgrade_before_attach(gateway: Gateway, proxy: Proxy) -> None:
    proxy.plan(Point(DOWN, 0, RESET, upgraded=True))
    exchange = gateway.exchange(urls=(proxy.url,))
    assert whole(exchange, streamed(exchange, asynchronous=False))
    assert len(proxy.faults) == 1
    assert len(gateway.sockets) == 2
    assert len(attaches(exchange)) == 1  # the first one, if it was sent, never came


@pytest.mark.fault(4)
def test_a_cut_after_attach_before_attached(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    at_attach(gateway, exchange, epoch=1)
    assert whole(exchange, streamed(exchange, asynchronous=False))
    assert attaches(exchange)[1].epoch == 2
    assert not attaches(exchange)[1].flags & AttachFlag.FRESH


def at_attach(gateway: Gateway, exchange: Exchange, epoch: int) -> None:
    """Cut as soon as this ATTACH came in, so that its answer gets nowhere."""

    def cut(frame: Attach) -> None:
        transport = gateway.requests[-1].transport
        if frame.epoch == epoch and transport is not None:
            transport.abort()

    exchange.reject = cut


@pytest.mark.fault(4)
def test_nothing_but_attach_leaves_before_attached_on_a_resume(
    gateway: Gateway, hurry: Hurry
) -> None:
    hurry(attempt=0.3)
    exchange = gateway.exchange()
    before: list[Frame] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.mute = True
        gateway.cut()
        before.extend(exchange.log)
        yield CHUNK
        eventually(lambda: len(exchange.log) > len(before) + 1)
        gateway.mute = False
        yield CHUNK

    assert call(handler, exchange).status == "end"
    assert exchange.body == 3 * CHUNK
    unanswered = exchange.log[len(before) :][:2]
    assert [type(frame) for frame in unanswered] == [Attach, Attach]


@pytest.mark.fault(5)
def test_a_cut_after_the_head(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201}
        eventually(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        attached(exchange)
        gateway.cut()
        yield from pieces()

    assert whole(exchange, call(handler, exchange))
    assert sum(isinstance(frame, Head) for frame in exchange.log) == 1  # it is known


@pytest.mark.fault(7)
def test_a_cut_before_the_end_came(gateway: Gateway, proxy: Proxy) -> None:
    exchange = gateway.exchange(urls=(proxy.url,))

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201}
        yield from pieces()
        eventually(lambda: exchange.body == BODY)
        proxy.strike(HALF_OPEN, UP)  # what is sent now, the END, gets nowhere

    def cut() -> None:
        eventually(lambda: proxy.connections and proxy.connections[0].up.sent and struck())
        proxy.strike(RESET)

    def struck() -> bool:
        return any(fault.fault is HALF_OPEN for fault in proxy.faults)

    thread = threading.Thread(target=cut)
    thread.start()
    receipt = call(handler, exchange)
    thread.join()
    assert whole(exchange, receipt)
    assert sum(isinstance(frame, End) for frame in exchange.log) == 1


def take_the_end(exchange: Exchange) -> None:
    exchange.swallow_end = False


@pytest.mark.fault(8)
def test_an_end_ack_that_was_lost_is_asked_for_again(gateway: Gateway) -> None:
    exchange = gateway.exchange(swallow_end=True)

    def cut() -> None:
        eventually(lambda: exchange.stream.ended)
        gateway.cut(lambda: take_the_end(exchange))

    thread = threading.Thread(target=cut)
    thread.start()
    receipt = streamed(exchange, asynchronous=False)
    thread.join()
    assert whole(exchange, receipt)
    assert sum(isinstance(frame, End) for frame in exchange.log) == 2


@pytest.mark.fault(8)
def test_a_goodbye_in_one_read_with_the_end_ack_is_no_loss(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange(swallow_end=True)

    def say_goodbye() -> None:
        eventually(lambda: exchange.stream.ended)
        ack = encode(EndAck(attaches(exchange)[0].sid, len(CHUNK)))
        going = CloseCode.GOING_AWAY.to_bytes(2, "big")
        gateway.say_raw(ws_frame(FINAL | BINARY, ack) + ws_frame(FINAL | CLOSING, going))

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        attached(exchange)
        yield CHUNK

    thread = threading.Thread(target=say_goodbye)
    thread.start()
    receipt = call(handler, exchange)
    thread.join()
    assert (receipt.status, receipt.final, receipt.tail) == ("end", len(CHUNK), None)
    assert len(gateway.requests) == 1
    assert not caplog.records


@pytest.mark.fault(8)
def test_while_the_connection_is_lost_no_end_ack_is_awaited(
    gateway: Gateway, hurry: Hurry, time_passes: TimePasses
) -> None:
    # No machine stalls for so long; and the process was awake. A third of the function's minute is left for the tail.
    hurry(end_ack=10.0, tail=PATIENCE, late=PATIENCE)
    exchange = gateway.exchange(swallow_end=True)

    def cut() -> None:
        eventually(lambda: exchange.stream.ended)
        gateway.refuse = lambda _: web.Response(status=502)
        gateway.cut(lambda: take_the_end(exchange))
        eventually(lambda: len(gateway.requests) > 1)
        time_passes(11.0)
        gateway.refuse = lambda _: None

    thread = threading.Thread(target=cut)
    thread.start()
    receipt = streamed(exchange, asynchronous=False)
    thread.join()
    assert whole(exchange, receipt)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("offset", [1, 150, 70_000, 300_000, 899_000])
@pytest.mark.fault(34)
def test_an_upload_survives_a_cut(
    gateway: Gateway, proxy: Proxy, asynchronous: bool, offset: int
) -> None:
    proxy.plan(Point(DOWN, offset, RESET, upgraded=True))
    exchange = gateway.exchange(urls=(proxy.url,), upload=BODY)

    def digest(event: Any, context: Any) -> Any:
        return answer(request_body(event).read())

    async def digest_async(event: Any, context: Any) -> Any:
        return answer(await request_body(event).read_async())

    def answer(body: bytes) -> dict[str, Any]:
        return {"statusCode": 200, "body": hashlib.sha256(body).digest()}

    call(streaming(digest_async if asynchronous else digest), exchange)
    assert exchange.body == hashlib.sha256(BODY).digest()
    assert len(proxy.faults) == 1


@pytest.mark.fault(34)
def test_both_directions_survive_many_cuts(gateway: Gateway, proxy: Proxy) -> None:
    for size in range(10_000, 130_000, 10_000):
        proxy.plan(Point((UP, DOWN)[size % 20_000 > 0], size, RESET, upgraded=True))
    exchange = gateway.exchange(urls=(proxy.url,), upload=BODY)

    @streaming
    async def echo(event: Any, context: Any) -> AsyncIterator[Any]:
        yield {"statusCode": 201}
        async for chunk in request_body(event):
            yield chunk

    assert whole(exchange, call(echo, exchange))
    assert len(proxy.faults) > 3
