"""A parked connection may be dead without knowing: silence starts a dial beside it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from aiohttp import web
from websockets.utils import accept_key

from lambda_client import loop, streaming
from lambda_client.running import running_session
from lambda_client.timing import Timing
from protocol.errors import RejectCode
from protocol.frames import Attach, Reject
from protocol.limits import SUBPROTOCOL, Limits
from tests.faults.kinds import DOWN, HALF_OPEN, PAUSE, SWALLOW, UP, Point
from tests.faults.proxy import Proxy, running_proxy
from tests.lambda_client.gateway import Exchange, Gateway, eventually
from tests.lambda_client.handlers import acquainted, call
from tests.lambda_client.test_connection import CLOSING, FINAL, frame
from tests.lambda_client.test_endings import CHUNK
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lambda_client.conftest import Hurry

BIG = b"x" * 300_000

USUAL = Timing()

FOR_EVER = 2 * PATIENCE
"""Seconds: whoever waits for the end of that runs out of patience before."""


@pytest.fixture
def proxy(gateway: Gateway) -> Iterator[Proxy]:
    with running_proxy(("127.0.0.1", gateway.port)) as running:
        yield running


def stream(exchange: Exchange, act: Callable[[], object] = lambda: None) -> None:
    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        act()
        yield BIG

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.tail) == ("end", None)
    assert exchange.body == CHUNK + BIG


def warm(gateway: Gateway, proxy: Proxy) -> None:
    handler = streaming(lambda e, c: {"statusCode": 200, "body": b"x" * 70_000})
    call(handler, gateway.exchange(urls=(proxy.url,)))


def sockets(proxy: Proxy) -> int:
    """How many this process holds towards the proxy, as the kernel sees it."""
    return sum(
        bool(one.raddr) and one.raddr.port == proxy.port and one.status != psutil.CONN_TIME_WAIT
        for one in psutil.Process().net_connections("tcp")
    )


def struck(proxy: Proxy, number: int) -> None:
    """Wait until what was planned for a connection has happened: before its first byte that is nothing yet."""
    eventually(lambda: any(one.connection == number for one in [*proxy.faults]))


def epochs(exchange: Exchange) -> list[int]:
    return [frame.epoch for frame in exchange.log if isinstance(frame, Attach)]


@pytest.mark.fault(14)
def test_a_parked_connection_that_leads_nowhere_is_replaced(
    gateway: Gateway, proxy: Proxy, hurry: Hurry
) -> None:
    gateway.limits = Limits(dead_ms=int(FOR_EVER * 1000))
    warm(gateway, proxy)
    proxy.strike(HALF_OPEN)
    hurry(
        hedge=USUAL.hedge, attempt=FOR_EVER
    )  # neither silence nor the wait for ATTACHED finds it out
    began = time.monotonic()
    exchange = gateway.exchange(urls=(proxy.url,))
    stream(exchange)
    assert time.monotonic() - began >= USUAL.hedge
    assert epochs(exchange) == [2]
    assert len(gateway.sockets) == 2
    hurry(hedge=PATIENCE)
    warm(gateway, proxy)  # the one that won is the one that was kept
    assert len(gateway.sockets) == 2


@pytest.mark.fault(12)
def test_an_answer_on_the_parked_connection_stops_the_dial(
    gateway: Gateway, proxy: Proxy, hurry: Hurry
) -> None:
    hurry(attempt=FOR_EVER)  # the dial does not end by itself
    warm(gateway, proxy)
    (parked,) = proxy.connections
    proxy.strike(PAUSE, DOWN)
    proxy.plan(Point(UP, 0, SWALLOW))  # the dial beside it hangs

    def answer() -> None:
        eventually(lambda: len(proxy.connections) == 2)
        parked.resume()

    thread = threading.Thread(target=answer)
    thread.start()
    exchange = gateway.exchange(urls=(proxy.url,))
    hurry(hedge=USUAL.hedge)
    stream(exchange)
    thread.join()
    assert epochs(exchange) == [1]
    eventually(lambda: sockets(proxy) == 1)
    hurry(hedge=PATIENCE)
    warm(gateway, proxy)
    assert len(proxy.connections) == 2


@pytest.mark.fault(12)
def test_the_dial_wins_against_a_parked_connection_that_is_slow(
    gateway: Gateway, proxy: Proxy, hurry: Hurry
) -> None:
    warm(gateway, proxy)
    proxy.strike(PAUSE, DOWN)
    exchange = gateway.exchange(urls=(proxy.url,))
    hurry(hedge=USUAL.hedge)
    stream(exchange, lambda: eventually(lambda: epochs(exchange) == [1, 2]))
    eventually(lambda: sockets(proxy) == 1)
    hurry(hedge=PATIENCE)
    warm(gateway, proxy)
    assert len(proxy.connections) == 2


def test_a_parked_connection_that_answers_is_not_hedged(gateway: Gateway, proxy: Proxy) -> None:
    """The one alarm that would dial is cleared by the answer, however late that is."""

    def answered() -> None:
        acquainted()
        session = running_session()
        assert session is not None
        pump = session._pump
        assert pump is not None
        eventually(lambda: pump._reach._attempt not in pump.clock.alarms)

    for _ in range(3):
        warm(gateway, proxy)
    stream(gateway.exchange(urls=(proxy.url,)), answered)
    assert len(proxy.connections) == 1


def test_the_hedge_waits_for_three_round_trips(
    gateway: Gateway, proxy: Proxy, hurry: Hurry
) -> None:
    warm(gateway, proxy)
    (waiting,) = loop.io_thread()._parked.values()
    assert waiting.connection.state.rtt is not None  # measured from ATTACH to ATTACHED
    waiting.connection.state.rtt = 2.0  # the gateway is far away
    (parked,) = proxy.connections
    proxy.strike(PAUSE, DOWN)
    answer = threading.Timer(0.5, parked.resume)
    answer.start()
    hurry(hedge=USUAL.hedge)
    stream(gateway.exchange(urls=(proxy.url,)))
    answer.join()
    assert len(proxy.connections) == 1


@pytest.mark.parametrize("code", [RejectCode.UNKNOWN, RejectCode.LIMIT])
def test_a_parked_connection_that_leads_to_another_gateway_is_replaced(
    gateway: Gateway, code: RejectCode
) -> None:
    call(streaming(lambda e, c: {"statusCode": 200, "body": BIG}), gateway.exchange())
    eventually(lambda: gateway.parked)
    exchange = gateway.exchange()
    refusals = iter([code])

    def refuse(frame: Attach) -> Reject | None:
        refusal = next(refusals, None)
        return None if refusal is None else Reject(frame.sid, refusal, None, "", None)

    exchange.reject = refuse
    stream(exchange)
    assert len(gateway.requests) == 2


def test_a_connection_to_another_gateway_is_not_used(gateway: Gateway) -> None:
    call(streaming(lambda e, c: {"statusCode": 200, "body": BIG}), gateway.exchange())
    eventually(lambda: gateway.parked)
    with Gateway() as other:
        stream(other.exchange())
        assert sum(isinstance(frame, Attach) for frame in gateway.frames) == 1
        eventually(lambda: other.parked)
        stream(other.exchange())
        stream(gateway.exchange())  # each has its own, and who invokes next is nobody's choice
        assert len(other.requests) == 1
        assert len(gateway.requests) == 1


def test_of_too_many_that_wait_the_oldest_is_closed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PARKED_MAX", 2)
    with Gateway() as second, Gateway() as third:
        for one in (gateway, second, gateway, third):
            stream(one.exchange())
        eventually(lambda: second.sockets[0].closed)
        for one in (third, gateway, second):
            stream(one.exchange())
        assert [len(one.requests) for one in (gateway, second, third)] == [1, 2, 1]


def test_a_dial_left_behind_may_be_the_one_that_wins(
    gateway: Gateway, proxy: Proxy, hurry: Hurry
) -> None:
    hurry(attempt=FOR_EVER)  # neither of them ends by itself
    proxy.plan(Point(DOWN, 0, PAUSE))  # the answer to the first dial is late
    proxy.plan(Point(UP, 0, SWALLOW))  # that to the second one never comes

    @streaming
    def small(event: Any, context: Any) -> Iterator[bytes]:
        yield b"small"
        eventually(lambda: proxy.connections)

    def answer() -> None:
        eventually(lambda: len(proxy.connections) == 2)
        struck(proxy, 0)
        proxy.connections[0].resume()

    assert call(small, gateway.exchange(urls=(proxy.url,))).tail == (0, b"small")
    thread = threading.Thread(target=answer)
    thread.start()
    exchange = gateway.exchange(urls=(proxy.url,))
    stream(exchange)
    thread.join()
    assert len(proxy.connections) == 2
    eventually(lambda: sockets(proxy) == 1)


def test_a_dial_left_behind_that_was_closed_at_once_is_not_taken(
    gateway: Gateway, proxy: Proxy, hurry: Hurry
) -> None:
    hurry(attempt=FOR_EVER)  # neither of them ends by itself
    proxy.plan(Point(DOWN, 0, PAUSE))
    proxy.plan(Point(DOWN, 0, PAUSE))
    gateway.refuse = lambda request: (
        None if len(gateway.requests) > 1 else upgrade_and_close(request)
    )

    @streaming
    def small(event: Any, context: Any) -> Iterator[bytes]:
        yield b"small"
        eventually(lambda: gateway.requests)

    def answer() -> None:
        eventually(lambda: len(gateway.requests) == 2)
        struck(proxy, 0)
        proxy.connections[0].resume()
        eventually(lambda: sockets(proxy) < 2)
        struck(proxy, 1)
        proxy.connections[1].resume()

    assert call(small, gateway.exchange(urls=(proxy.url,))).tail == (0, b"small")
    thread = threading.Thread(target=answer)
    thread.start()
    stream(gateway.exchange(urls=(proxy.url,)))
    thread.join()
    assert len(proxy.connections) == 2


def upgrade_and_close(request: web.BaseRequest) -> web.Response:
    """Say yes and goodbye in one write."""
    accept = accept_key(request.headers["Sec-WebSocket-Key"])
    assert request.transport is not None
    request.transport.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()
        + frame(FINAL | CLOSING, b"\x03\xe9")
    )
    request.transport.close()
    return web.Response()


def test_a_dial_left_behind_for_another_gateway_is_not_taken(
    gateway: Gateway, proxy: Proxy
) -> None:
    proxy.plan(Point(DOWN, 0, PAUSE))

    @streaming
    def small(event: Any, context: Any) -> Iterator[bytes]:
        yield b"small"
        eventually(lambda: proxy.connections)

    assert call(small, gateway.exchange(urls=(proxy.url,))).tail == (0, b"small")
    with Gateway() as other:
        release = threading.Event()

        def late(_: Any) -> None:
            struck(proxy, 0)
            proxy.connections[0].resume()
            eventually(lambda: gateway.sockets)
            release.wait(0.2)

        other.refuse = late
        stream(other.exchange())
    assert not any(isinstance(frame, Attach) for frame in gateway.frames)


def test_a_connection_parked_for_half_of_its_time_is_not_tried(gateway: Gateway) -> None:
    gateway.limits = Limits(park_ttl_ms=200)
    call(streaming(lambda e, c: {"statusCode": 200, "body": BIG}), gateway.exchange())
    eventually(lambda: gateway.parked)
    eventually(lambda: idle() > 0.1)
    stream(gateway.exchange())
    assert len(gateway.requests) == 2


def idle() -> float:
    (waiting,) = loop.io_thread()._parked.values()
    return time.monotonic() - waiting.monotonic
