"""An exchange that is over needs no garbage collector: that one looks seldom at what lived for long."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway.edge.compression import Gzip
from gateway.edge.response import Sink
from gateway.exchange.run import ExchangeRun
from gateway.invoke.base import InvokeResult
from protocol.errors import ResetCode
from tests.gateway.exchange.asking import eventually
from tests.gateway.exchange.peer import Peer, gateway, inline
from tests.gateway.exchange.test_hard_cases import connect, leave

if TYPE_CHECKING:
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
    kinds = (ExchangeRun, Sink, Gzip, web.WebSocketResponse)
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


async def test_what_a_function_is_called_with_is_let_go_once_it_runs() -> None:
    async with gateway(waits) as running:
        reader, writer = await connect(running, ASK % 500 + bytes(500))
        await reader.readuntil(b"\r\n\r\n")
        (run,) = running.driver._runs
        assert run.invocation is None
        await leave(writer)
