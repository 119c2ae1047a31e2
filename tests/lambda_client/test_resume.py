"""A callback that is cut, at whatever byte, comes back and goes on: no byte lost, none doubled."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from lambda_client import request_body, streaming
from protocol.errors import CloseCode
from protocol.frames import Attach, AttachFlag, End, Head
from tests.faults.kinds import CLOSE, DOWN, HALF_OPEN, RESET, UP, Fault, Point
from tests.faults.proxy import Proxy, running_proxy
from tests.lambda_client.gateway import Exchange, Gateway, eventually
from tests.lambda_client.test_endings import CHUNK
from tests.lambda_client.test_streaming import attached, call, warm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from protocol.receipt import Receipt
    from tests.lambda_client.conftest import Hurry

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

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.mute = True
        gateway.cut()
        yield CHUNK
        eventually(lambda: len(attaches(exchange)) == 3)  # nobody answered the second
        gateway.mute = False
        yield CHUNK

    assert call(handler, exchange).status == "end"
    assert exchange.body == 3 * CHUNK
    second = exchange.log.index(attaches(exchange)[1])
    assert isinstance(exchange.log[second + 1], Attach)


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


@pytest.mark.fault(8)
def test_an_end_ack_that_was_lost_is_asked_for_again(gateway: Gateway) -> None:
    exchange = gateway.exchange(swallow_end=True)

    def cut() -> None:
        eventually(lambda: exchange.stream.ended)
        exchange.swallow_end = False
        gateway.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    receipt = streamed(exchange, asynchronous=False)
    thread.join()
    assert whole(exchange, receipt)
    assert sum(isinstance(frame, End) for frame in exchange.log) == 2


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
    for size in range(30_000, 150_000, 10_000):
        proxy.plan(Point((UP, DOWN)[size % 20_000 > 0], size, RESET, upgraded=True))
    exchange = gateway.exchange(urls=(proxy.url,), upload=BODY)

    @streaming
    async def echo(event: Any, context: Any) -> AsyncIterator[Any]:
        yield {"statusCode": 201}
        async for chunk in request_body(event):
            yield chunk

    assert whole(exchange, call(echo, exchange))
    assert len(proxy.faults) > 5


# ---------------------------------------------------------------- coming back


@pytest.mark.fault(1)
def test_dials_that_fail_are_repeated(gateway: Gateway) -> None:
    answers = iter([web.Response(status=502), web.Response(status=500), None, None])
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201}
        yield BODY[:1000]
        eventually(lambda: exchange.chunks)
        gateway.refuse = lambda _: next(answers)
        gateway.cut()
        yield BODY[1000:]

    assert whole(exchange, call(handler, exchange))
    assert len(gateway.requests) == 4


def test_a_dial_that_is_refused_for_good_ends_the_exchange(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.refuse = lambda _: web.Response(status=401)
        gateway.cut()
        while True:
            yield CHUNK

    assert call(handler, exchange).status == "lost"
    assert len(gateway.requests) == 2


@pytest.mark.fault(47)
def test_an_address_that_refuses_the_token_leaves_the_direct_one(gateway: Gateway) -> None:
    with Gateway() as other:
        other.refuse = lambda _: web.Response(status=401)
        exchange = gateway.exchange(urls=(gateway.url, other.url))
        answers = iter([web.Response(status=502), web.Response(status=502)])

        @streaming
        def handler(event: Any, context: Any) -> Iterator[Any]:
            yield {"statusCode": 201}
            yield BODY[:1000]
            eventually(lambda: exchange.chunks)
            gateway.refuse = lambda _: next(answers, None)
            gateway.cut()
            yield BODY[1000:]

        assert whole(exchange, call(handler, exchange))
        assert (len(gateway.requests), len(other.requests)) == (4, 1)


def test_a_gateway_that_asks_to_wait_is_heeded(gateway: Gateway, hurry: Hurry) -> None:
    hurry(backoff_max=0.4)  # bounds what is heeded, too
    times: list[float] = []

    def later(_: web.BaseRequest) -> web.Response | None:
        times.append(time.monotonic())
        return web.Response(status=503, headers={"Retry-After": "60"}) if len(times) == 1 else None

    gateway.refuse = later
    exchange = gateway.exchange()
    assert whole(exchange, streamed(exchange, asynchronous=False))
    assert 0.4 <= times[1] - times[0] < 2.0


@pytest.mark.parametrize(
    ("code", "back"),
    [
        (CloseCode.GOING_AWAY, True),
        (CloseCode.INTERNAL, True),
        (CloseCode.DRAINING, True),
        (CloseCode.DEAD_PEER, True),
        (CloseCode.WRITE_STALL, True),
        (CloseCode.NORMAL, True),
        (CloseCode.PROTOCOL, True),
        (CloseCode.FRAME_TOO_LARGE, True),
        (CloseCode.UNAUTHENTICATED, False),
        (CloseCode.FORBIDDEN, False),
        (CloseCode.VERSION, False),
        (CloseCode.NO_ATTACH, False),
        (CloseCode.SUPERSEDED, False),
        (CloseCode.TOO_FAST, False),
        (CloseCode.IDLE, False),
    ],
)
@pytest.mark.fault(11, 48, 64)
def test_a_close_code_says_whether_to_come_back(
    gateway: Gateway, code: CloseCode, back: bool
) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.close(code)
        if back:
            yield CHUNK
        else:
            while True:
                yield CHUNK

    receipt = call(handler, exchange)
    assert receipt.status == ("end" if back else "lost")
    assert len(gateway.requests) == (2 if back else 1)


def test_a_reconnect_is_one_line_of_the_log(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201}
        yield BODY[:1000]
        eventually(lambda: exchange.chunks)
        gateway.cut()
        yield BODY[1000:]

    with caplog.at_level(logging.INFO, "dialback"):
        assert whole(exchange, call(handler, exchange))
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "goes on after 0." in record.message
    assert "lost" in record.message
    assert exchange.envelope.token not in caplog.text


def test_after_a_resume_the_connection_is_parked(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.cut()
        yield CHUNK

    assert call(handler, exchange).status == "end"
    eventually(lambda: gateway.parked == 1)
    warm(gateway)
    assert len(gateway.requests) == 2


@pytest.mark.parametrize("act", ["write", "read"])
def test_who_waits_while_the_connection_is_lost_goes_on(
    gateway: Gateway, act: str, hurry: Hurry
) -> None:
    exchange = gateway.exchange(window=4096, upload=b"first", upload_whole=False)

    def come_back() -> None:
        gateway.refuse = lambda _: None
        exchange.upload, exchange.upload_whole = b"second", True

    def refuse(_: web.BaseRequest) -> web.Response:
        refusals.append(None)
        if len(refusals) == 2:
            come_back()
        return web.Response(status=502)

    refusals: list[None] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        body: Iterator[bytes] = iter(request_body(event))
        assert next(body) == b"first"
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.refuse = refuse
        gateway.cut()
        if act == "read":
            assert next(body) == b"second"
        else:
            yield bytes(100_000)

    assert call(handler, exchange).status == "end"
    assert len(refusals) == 2


def test_the_window_holds_the_writer_while_the_connection_is_lost(
    gateway: Gateway, hurry: Hurry
) -> None:
    gateway.limits = replace(gateway.limits, resume_grace_ms=60_000)
    exchange = gateway.exchange(window=64 * 1024, reading=False)
    written: list[int] = []

    def refuse(_: web.BaseRequest) -> web.Response | None:
        tries.append(len(written))
        return web.Response(status=502) if len(tries) < 4 else None

    tries: list[int] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        exchange.reading = True
        gateway.refuse = refuse
        gateway.cut()
        for number in range(100):
            written.append(number)
            yield bytes(4096)

    assert call(handler, exchange).status == "end"
    assert max(tries) <= 64 * 1024 // 4096 + 1
