"""``request_body_max``: no request body beyond it reaches a function whole, however it is framed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from protocol.errors import CancelCode
from tests.gateway.exchange.asking import eventually, get
from tests.gateway.exchange.peer import Peer, gateway
from tests.gateway.exchange.test_hard_cases import connect, leave
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST = 2000
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
MODES = pytest.mark.parametrize("mode", ["inline", "spill", "stream"])


async def chunked(size: int, then: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """So many bytes, and one more once something has happened."""
    yield bytes(size)
    if then is not None:
        await then.wait()
        yield b"x"


async def takes_it(peer: Peer) -> Any:
    """Answers with the number of bytes; the invocation carries them, or the callback."""
    call = peer.invocation.call
    assert call is not None
    length = len(call.body)
    if peer.envelope.body == "stream":
        await peer.dial()
        await peer.attached()
        while not peer.stream.upload_ended or peer.stream.upload_waiting:
            length += sum(map(len, peer.stream.read()))
            await peer.flush()
            if not peer.stream.upload_ended:
                await peer.receive()
        await peer.start()
        await peer.write(b"%d" % length)
        return await peer.end()
    return {"statusCode": 200, "body": str(length)}


@MODES
@pytest.mark.parametrize("size", [1, 1024, MOST])
async def test_up_to_it_every_body_passes(mode: str, size: int) -> None:
    settings: dict[str, Any] = {
        "request_body": mode,
        "inline_body_max": MOST,
        "request_body_max": MOST,
    }
    async with gateway(takes_it, **settings) as running, asyncio.timeout(PATIENCE):
        for body in (bytes(size), chunked(size)):
            response, said = await get(running.url, "POST", data=body)
            assert (response.status, said) == (200, b"%d" % size)


@MODES
async def test_a_length_beyond_it_is_refused_before_anything_runs(mode: str) -> None:
    settings: dict[str, Any] = {"request_body": mode, "request_body_max": MOST}
    async with gateway(takes_it, **settings) as running, asyncio.timeout(PATIENCE):
        response, said = await get(running.url, "POST", data=bytes(MOST + 1))
        assert response.status == 413
        assert b"over the 2000 bytes that this route takes" in said
        assert running.invoker.invocations == 0


async def test_chunks_beyond_it_are_refused_before_anything_runs_where_they_go_inline() -> None:
    settings: dict[str, Any] = {
        "request_body": "inline",
        "inline_body_max": 9000,
        "request_body_max": MOST,
    }
    async with gateway(takes_it, **settings) as running, asyncio.timeout(PATIENCE):
        response, said = await get(running.url, "POST", data=chunked(MOST + 1))
        assert (response.status, b"over the 2000 bytes" in said) == (413, True)
        assert running.invoker.invocations == 0


@pytest.mark.parametrize("begun", [False, True], ids=["before the head", "behind the head"])
@pytest.mark.parametrize("mode", ["spill", "stream"])
async def test_chunks_beyond_it_stop_the_function_which_never_sees_their_end(
    mode: str, begun: bool
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        if begun:
            await peer.start()
        ready.set()
        seen.append((await peer.cancelled(), peer.stream.upload_ended))
        return peer.receipt()

    ready, seen = asyncio.Event(), list[tuple[int, bool]]()
    settings: dict[str, Any] = {"request_body": mode, "request_body_max": MOST}
    async with gateway(function, **settings) as running, asyncio.timeout(PATIENCE):
        if begun:
            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
                await get(running.url, "POST", data=chunked(MOST, ready))
        else:
            response, said = await get(running.url, "POST", data=chunked(MOST, ready))
            assert (response.status, b"over the 2000 bytes" in said) == (413, True)
        await eventually(lambda: seen == [(CancelCode.CLIENT_GONE, False)])
        assert running.states == ["failed"]


async def test_the_refusal_reaches_a_client_that_is_still_sending() -> None:
    settings: dict[str, Any] = {"inline_body_max": 9000, "request_body_max": MOST}
    async with (
        gateway(takes_it, request_body="inline", **settings) as running,
        asyncio.timeout(PATIENCE),
    ):
        reader, writer = await connect(running, CHUNKED + b"800000\r\n" + bytes(0x800000))
        await writer.drain()  # would be reset, had the connection been closed at once
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"over the 2000 bytes" in answer
        await leave(writer)
