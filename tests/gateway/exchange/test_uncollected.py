"""An exchange that is over needs no garbage collector: that one looks seldom at what lived for long."""

from __future__ import annotations

import gc
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import web

from gateway.callback.pump import Pump
from gateway.callback.websocket import WebSocket
from gateway.edge.compression import Gzip
from gateway.edge.response import Sink
from gateway.edge.sent import reset_on_close
from gateway.exchange.run import ExchangeRun
from gateway.invoke.base import InvokeResult
from gateway.timing import Timing
from protocol.errors import ProtocolError, ResetCode
from tests.gateway.exchange.asking import eventually
from tests.gateway.exchange.peer import Peer, gateway, inline
from tests.gateway.exchange.test_hard_cases import connect, leave

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator

EVENT_STREAM = ((b"content-type", b"text/event-stream"),)
ASK = (
    b"POST / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n"
)


async def streams(peer: Peer) -> Any:
    await peer.dial()
    await peer.start(200, EVENT_STREAM)
    await peer.write(b"data: x\n\n" * 500)
    return await peer.end()


async def answers_inline(peer: Peer) -> Any:
    return inline(peer, 200, b"small")


async def fails(peer: Peer) -> Any:
    return InvokeResult(b'{"errorType": "E", "errorMessage": "m"}', "Unhandled", "request")


async def breaks_off(peer: Peer) -> Any:
    await peer.dial()
    await peer.start(200, EVENT_STREAM)
    await peer.write(b"data: x\n\n")
    await peer.attached()
    peer.stream.reset(ResetCode.HANDLER_ERROR, "")
    await peer.flush()
    return {}


async def is_cut_off(peer: Peer) -> Any:
    await peer.dial()
    await peer.start(200, EVENT_STREAM)
    await peer.write(b"data: x\n\n")
    await peer.attached()
    await peer.cut()
    return {}


async def waits(peer: Peer) -> Any:
    await peer.dial()
    await peer.start(200, EVENT_STREAM)
    await peer.cancelled()
    return {}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def here() -> Counter[str]:
    """Count what belongs to one exchange each."""
    kinds = (ExchangeRun, Sink, Gzip, web.RequestHandler, web.BaseRequest, WebSocket, Pump)
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))


@pytest.mark.parametrize("body", [b"", bytes(500), bytes(100_000)], ids=["none", "inline", "sent"])
@pytest.mark.parametrize("function", [streams, answers_inline, fails, breaks_off, is_cut_off])
async def test_what_is_over_is_gone_at_once(
    function: Callable[[Peer], Awaitable[Any]], body: bytes, no_collector: None
) -> None:
    async with gateway(function, compress=True, sse_heartbeat=15.0) as running:
        before = here()
        for _ in range(3):
            reader, writer = await connect(running, ASK % len(body) + body)
            assert (await reader.read()).startswith(b"HTTP/1.1 ")
            await leave(writer)
        await eventually(lambda: here() <= before)


async def test_whose_client_left_and_who_was_refused_are_gone_at_once(no_collector: None) -> None:
    async with gateway(waits, concurrency=1, queue=0, sse_heartbeat=15.0) as running:
        before = here()
        reader, writer = await connect(running, ASK % 0)
        await reader.readuntil(b"\r\n\r\n")
        refused, other = await connect(running, ASK % 500 + bytes(500))
        assert (await refused.read()).startswith(b"HTTP/1.1 503 ")
        assert here() > before
        await leave(other)
        await leave(writer)
        await eventually(lambda: here() <= before)


POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
LONG, CHUNKED = b"content-length: 9999999\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"


async def floods(peer: Peer) -> Any:
    await peer.dial()
    await peer.start()
    with suppress(ProtocolError, ConnectionError):
        while True:
            await peer.write(bytes(100_000))
    return {}


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "reads nothing"])
async def test_who_resets_is_gone_at_once(*, reads: bool, no_collector: None) -> None:
    async with gateway(floods, request_body="stream") as running:
        before = here()
        for _ in range(5):
            reader, writer = await connect(running, POST + LONG + bytes(100_000))
            if reads:
                await reader.readexactly(1_000_000)
            else:
                await eventually(lambda: any(sink.blocked for sink in running.handler._open))
            reset_on_close(cast("asyncio.Transport", writer.transport))
            await leave(writer)
        await eventually(lambda: here() <= before)


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"content-length: 9\r\n\r\n",
        POST + LONG + bytes(400_000),
        POST + CHUNKED + b"zzz\r\n",
        b"G\0T / HTTP/1.1\r\n\r\n",
        POST + b"x: " + bytes(99_999),
    ],
    ids=["too slow", "too slow behind the answer", "nonsense in a body", "nonsense", "too long"],
)
async def test_whose_request_is_broken_off_is_gone_at_once(sent: bytes, no_collector: None) -> None:
    timing = Timing(upload_grace=0.1)
    async with gateway(answers_inline, timing=timing, request_body="stream") as running:
        before = here()
        for _ in range(3):
            reader, writer = await connect(running, sent)
            assert await reader.read()
            await eventually(lambda: not running.handler._open)
            await leave(writer)
        await eventually(lambda: here() <= before)


async def test_what_a_function_is_called_with_is_let_go_once_it_runs() -> None:
    async with gateway(waits) as running:
        reader, writer = await connect(running, ASK % 500 + bytes(500))
        await reader.readuntil(b"\r\n\r\n")
        (run,) = running.driver._runs
        assert run.invocation is None
        await leave(writer)
