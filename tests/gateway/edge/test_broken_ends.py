"""Ends that are no clean ones, and clients that read slowly or leave, over real sockets."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

import pytest

from gateway.edge.response import WRITE_HIGH_WATER
from gateway.errors import FunctionFailed
from tests.gateway.edge.serving import PLAIN, Client, answer, edge, get, unchunk
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink
    from tests.gateway.edge.serving import Serve

BODY = bytes(range(256)) * 3


def aborting(*parts: bytes) -> Serve:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        for part in parts:
            sink.write([part])
            await sink.drained()
            await asyncio.sleep(0)
        await sink.break_off("it broke off")
        await sink.break_off("it broke off")

    return serve


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_curl_sees_an_aborted_response_as_an_error(version: str) -> None:
    async with edge(aborting(b"part")) as it:
        done = await curl(f"--http{version}", it.url)
    assert done.returncode in (18, 56)
    assert done.stdout in (b"part", b"")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_curl_sees_a_whole_response_as_whole(version: str) -> None:
    async with edge(answer(BODY)) as it:
        done = await curl(f"--http{version}", it.url)
    assert (done.returncode, done.stdout) == (0, BODY)


async def curl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    argv = ["curl", "--silent", "--insecure", "--no-buffer", "--max-time", "10", *arguments]
    return await asyncio.to_thread(subprocess.run, argv, capture_output=True, check=False)


async def test_an_error_after_the_head_breaks_the_end() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        raise FunctionFailed("it raised")

    async with edge(serve) as it:
        with pytest.raises(ConnectionResetError):
            await it.ask(get())


async def test_a_driver_that_forgets_the_end_is_no_clean_end() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)

    async with edge(serve) as it:
        with pytest.raises(ConnectionResetError):
            await it.ask(get())


async def test_stopping_at_once_breaks_what_has_begun_and_refuses_the_rest() -> None:
    begun = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        if request.path == "/begun":
            sink.begin(200, PLAIN, length=None)
            sink.write([b"part"])
        else:
            begun.set()
        await asyncio.Event().wait()

    async with edge(serve) as it, Client(it.port) as one, Client(it.port) as other:
        one.send(get("/begun", version="1.0"))
        await one.head()
        other.send(get("/waiting"))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        it.handler.abort()
        with pytest.raises(ConnectionResetError):
            await one.rest()
        assert (await other.rest()).startswith(b"HTTP/1.1 503 ")
        await asyncio.wait_for(it.handler.idle(), PATIENCE)
        await asyncio.wait_for(it.server.disconnected(), PATIENCE)


# ---------------------------------------------------------------- slow readers, lost readers


async def test_a_slow_reader_blocks_the_sink_until_it_reads() -> None:
    blocked = asyncio.Event()
    blocked_later: list[bool] = []
    size = 0

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        nonlocal size
        sink.begin(200, PLAIN, length=None)
        while not sink.blocked:
            sink.write([bytes(65536)])
            size += 65536
        blocked.set()
        await sink.drained()
        blocked_later.append(sink.blocked)
        sink.end()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get())
        await asyncio.wait_for(blocked.wait(), PATIENCE)
        await client.head()
        assert sum(map(len, unchunk(await client.rest()))) == size
    assert size > WRITE_HIGH_WATER
    assert blocked_later == [False]


async def test_a_client_that_leaves_cancels_the_exchange() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([b"x"])
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            sink.write([b"y"])
            assert sink.blocked
            assert not await sink.drained()
            sink.end()
            await sink.break_off("too late")
            cancelled.set()
            raise

    async with edge(serve) as it:
        async with Client(it.port) as client:
            client.send(get())
            await begun.wait()
        await asyncio.wait_for(cancelled.wait(), PATIENCE)
        await asyncio.wait_for(it.handler.idle(), PATIENCE)


async def test_a_client_that_leaves_while_the_sink_is_blocked_cancels_the_exchange() -> None:
    blocked, cancelled = asyncio.Event(), asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        while not sink.blocked:
            sink.write([bytes(65536)])
        blocked.set()
        try:
            await sink.drained()
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get())
        await asyncio.wait_for(blocked.wait(), PATIENCE)
        client.writer.transport.abort()
        await asyncio.wait_for(cancelled.wait(), PATIENCE)


async def test_a_bug_after_the_end_adds_nothing_to_the_response() -> None:
    readers: list[asyncio.Future[object]] = []

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        # Whoever else reads the body makes the edge's own reading fail.
        readers.append(asyncio.ensure_future(anext(request.body.chunks())))
        await asyncio.sleep(0)
        await answer(b"whole")(request, sink)

    async with edge(serve) as running:
        request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"
        assert (await running.ask(request)).endswith(b"\r\n5\r\nwhole\r\n0\r\n\r\n")
        await asyncio.gather(*readers, return_exceptions=True)
