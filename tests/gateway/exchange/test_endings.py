"""The state of an exchange and what its client got never disagree about the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.exchange.forwarder import Forwarder
from gateway.exchange.run import ExchangeRun
from gateway.exchange.states import Event
from protocol.errors import ResetCode
from tests.gateway.exchange.asking import eventually
from tests.gateway.exchange.peer import Peer, gateway
from tests.gateway.exchange.test_hard_cases import connect, leave
from tests.patience import PATIENCE

EVENTS = ((b"content-type", b"text/event-stream"),)


async def short_stream(peer: Peer) -> Any:
    await peer.dial()
    await peer.start()
    await peer.write(b"all of it")
    return await peer.end()


async def received(reader: asyncio.StreamReader) -> bytes:
    """The body, up to its end, whichever way it ends."""
    try:
        return (await reader.read()).partition(b"\r\n\r\n")[2]
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("loss", ["abort", "client"])
async def test_a_connection_lost_right_before_the_end_is_no_completed_exchange(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(short_stream) as running, asyncio.timeout(PATIENCE):

        def lose(forwarder: Forwarder) -> None:
            (sink,) = running.handler._open
            if loss == "abort":
                running.handler.abort()
            elif sink._transport is not None:
                sink._transport.abort()
            original(forwarder)

        original = Forwarder._end
        monkeypatch.setattr(Forwarder, "_end", lose)
        reader, writer = await connect(running, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert not (await received(reader)).endswith(b"0\r\n\r\n")
        await eventually(lambda: running.states == ["cancelled"])
        await leave(writer)


async def test_an_abort_right_after_the_end_comes_too_late_to_break_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with gateway(short_stream) as running, asyncio.timeout(PATIENCE):

        def abort_then(run: ExchangeRun, event: Event, *args: Any) -> None:
            original(run, event, *args)
            if event is Event.FLUSHED:
                running.handler.abort()

        original = ExchangeRun.happen
        monkeypatch.setattr(ExchangeRun, "happen", abort_then)
        reader, writer = await connect(running, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await received(reader) == b"9\r\nall of it\r\n0\r\n\r\n"
        assert running.states == ["completed"]
        await leave(writer)


@pytest.mark.fault(40)
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ResetCode.HANDLER_ERROR, "the function failed"),
        (ResetCode.DEADLINE, "the function did not answer in time"),
    ],
)
async def test_the_reader_of_events_learns_that_the_function_failed_and_not_how(
    code: ResetCode, error: str
) -> None:
    """What the function sent right before it failed arrives, too."""

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(200, EVENTS)
        await peer.attached()
        await seen.wait()
        await peer.write(b"data: one\n\n")
        peer.stream.reset(code, "a secret of the function")
        await peer.flush()
        return peer.receipt()

    seen = asyncio.Event()
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        reader, writer = await connect(running, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        seen.set()
        body = await reader.read()
        exchange = running.driver.exchanges()[0].id
        event = f"event: error\ndata: {json.dumps({'error': error, 'exchange': exchange})}\n\n"
        assert event.encode() in body
        assert b"data: one\n\n" in body
        assert not body.endswith(b"0\r\n\r\n")
        assert running.states == ["failed"]
        await leave(writer)


async def test_half_an_event_is_followed_by_nothing() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(200, EVENTS)
        await peer.write(b"data: half")
        await seen.wait()
        peer.stream.reset(ResetCode.HANDLER_ERROR, "")
        await peer.flush()
        return peer.receipt()

    seen = asyncio.Event()
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        reader, writer = await connect(running, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"data: half\r\n")
        seen.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await leave(writer)
