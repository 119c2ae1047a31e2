"""Whole exchanges over real sockets that go well, the function's side driven frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from gateway.edge.response import Sink
from gateway.invoke.base import InvokeOutcomeUnknown
from gateway.journal.memory import MemoryJournal
from protocol.errors import CancelCode, ResetCode
from protocol.limits import INITIAL_WINDOW
from tests.gateway.exchange.asking import eventually, fetch, get
from tests.gateway.exchange.peer import Peer, gateway, inline
from tests.patience import PATIENCE


async def test_a_stream_arrives_chunk_by_chunk() -> None:
    go_on = asyncio.Event()

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"first")
        await go_on.wait()
        await peer.write(b"second")
        return await peer.end()

    async with gateway(function) as running, aiohttp.ClientSession() as session:
        async with session.get(running.url) as response:
            assert await response.content.readany() == b"first"
            assert running.states == ["streaming"]
            go_on.set()
            assert await response.read() == b"second"
        assert running.states == ["completed"]
        assert running.data_frames == 2
        assert len(running.store) == 0


async def test_what_comes_with_its_attach_reaches_the_client_before_the_answer_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def noted(owner: type, method: str) -> None:
        original = getattr(owner, method)

        def note(*args: Any, **settings: Any) -> Any:
            order.append(method)
            return original(*args, **settings)

        monkeypatch.setattr(owner, method, note)

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"all of it")
        return await peer.end()

    noted(Sink, "begin")
    noted(Sink, "end")
    noted(MemoryJournal, "frames_to_send")
    async with gateway(function) as running:
        assert (await get(running.url))[1] == b"all of it"
    assert order[:3] == ["begin", "end", "frames_to_send"]


async def test_a_body_of_many_windows_is_whole_and_flow_controlled() -> None:
    body = bytes(range(256)) * 4 * 1024 * 8

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(body)
        return await peer.end()

    status, got = await fetch(function)
    assert (status, got == body) == (200, True)


@pytest.mark.fault(26)
async def test_a_client_that_reads_nothing_stops_the_function() -> None:
    stopped = asyncio.Event()
    sent = 0

    async def function(peer: Peer) -> Any:
        nonlocal sent
        await peer.dial()
        await peer.start()
        piece = bytes(64 * 1024)
        while True:
            try:
                async with asyncio.timeout(1):
                    await peer.write(piece)
            except TimeoutError:
                sent = peer.stream.receipt().final
                stopped.set()
                raise InvokeOutcomeUnknown("the test is over") from None

    async with gateway(function) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await stopped.wait()
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    kernel_buffers = 12 * 1024 * 1024  # send and receive buffers of loopback
    assert sent < kernel_buffers + 2 * INITIAL_WINDOW


async def test_an_inline_receipt_is_served_without_a_socket() -> None:
    async def function(peer: Peer) -> Any:
        return inline(peer, 203, b"small")

    async with gateway(function) as running:
        response, body = await get(running.url)
        assert (response.status, body) == (203, b"small")
        assert response.headers["content-length"] == "5"
        assert running.data_frames == 0


async def test_an_inline_receipt_beats_an_attach_without_a_head() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        return {"statusCode": 200, "body": "ordinary"}

    assert await fetch(function) == (200, b"ordinary")


async def test_a_connection_is_reused_by_the_next_exchange() -> None:
    first: Peer | None = None

    async def function(peer: Peer) -> Any:
        nonlocal first
        if first is None:
            first = peer
            await peer.dial()
        else:
            peer.socket, peer._connection = first.socket, first._connection
            await peer.attach()
        await peer.start()
        await peer.write(b"hello")
        receipt = await peer.end()
        peer._connection.release(peer.stream._sid, 0)
        return receipt

    async def keep_open(peer: Peer) -> Any:
        peer_close, peer.close = peer.close, _nothing  # type: ignore[method-assign]
        if first is not None:
            await peer_close()
        return await function(peer)

    async with gateway(keep_open) as running:
        for _ in range(3):
            assert (await get(running.url))[1] == b"hello"
        assert running.telemetry.attaches["accepted"] == 3
        assert first is not None
        await first.socket.close()
        await first._session.close()


async def _nothing() -> None: ...


@pytest.mark.fault(6)
async def test_a_cut_stream_goes_on_where_it_was() -> None:
    async def function(peer: Peer) -> Any:
        await peer.begin_and_lose(b"before ")
        await peer.dial()
        await peer.attached()
        await peer.write(b"and after")
        return await peer.end()

    assert await fetch(function) == (200, b"before and after")


@pytest.mark.fault(9)
async def test_a_tail_in_the_receipt_completes_a_cut_stream() -> None:
    async def function(peer: Peer) -> Any:
        await peer.begin_and_lose(b"before ")
        peer.stream.write(b"and the tail")
        peer.stream.end()
        return peer.receipt()

    assert await fetch(function) == (200, b"before and the tail")


async def test_an_upload_goes_to_the_function_with_its_end() -> None:
    body = bytes(range(256)) * 4096

    async def function(peer: Peer) -> Any:
        await peer.dial()
        got = bytearray()
        while not (peer.stream.upload_ended and len(got) == len(body)):
            await peer.receive()
            got += b"".join(peer.stream.read())
            await peer.flush()
        await peer.start()
        await peer.write(str(got == body).encode())
        return await peer.end()

    assert await fetch(function, "POST", data=body) == (200, b"True")


# ---------------------------------------------------------------- bodies that are none


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_where_no_body_belongs_the_function_is_told_to_stop(method: str, status: int) -> None:
    cancelled: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(status, ((b"content-length", b"400"),))
        cancelled.append(await peer.cancelled())
        peer.stream.reset(ResetCode.CANCELLED, "no body wanted")
        await peer.flush()
        return peer.receipt()

    async with gateway(function) as running:
        response, body = await get(running.url, method)
        assert (response.status, body) == (status, b"")
        await eventually(lambda: cancelled == [CancelCode.NO_BODY])
        assert running.states == ["completed"]
