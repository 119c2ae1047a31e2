"""Clients that send a little, or nothing: of a head, of a body."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gateway.edge.pace import RATE_MIN, Pace
from gateway.edge.response import WRITE_HIGH_WATER, Sink
from gateway.errors import UploadTooSlow
from gateway.timing import Timing
from tests.gateway.edge.serving import PLAIN, Client, answer, edge, get, sized
from tests.gateway.edge.test_request import refusal
from tests.gateway.exchange.asking import eventually
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink

LINGER_RESET = struct.pack("ii", 1, 0)  # closing is a TCP reset (socket(7))
HASTY = Timing(upload_grace=0.2)


async def read_all(request: EdgeRequest, sink: ResponseSink) -> None:
    body, _ = await request.body.read_up_to(2**20)
    sink.begin(200, PLAIN, length=None)
    sink.write([b"%d bytes" % len(body)])
    sink.end()


@pytest.mark.fault(32)
async def test_a_body_that_does_not_come_is_408() -> None:
    async with edge(read_all, HASTY) as it, Client(it.port) as client:
        client.send(get("/", "Content-Length: 9", method="POST") + b"abc")
        status, fields = refusal(await client.rest())
    assert (status, fields["error"]) == (408, "the request body came too slowly")


@pytest.mark.fault(32)
async def test_a_trickle_is_408_although_it_never_stops() -> None:
    async with edge(read_all, HASTY) as it, Client(it.port) as client:
        client.send(get("/", "Content-Length: 999999", method="POST"))
        answered = asyncio.create_task(client.rest())
        while not answered.done():
            client.send(b"x")
            await asyncio.sleep(0.01)
        assert refusal(await answered)[0] == 408


@pytest.mark.fault(32)
@pytest.mark.steered
async def test_a_slow_body_is_taken_as_long_as_it_keeps_the_pace() -> None:
    pieces, piece = 4, b"x" * 20 * RATE_MIN  # each pays for the pause before it, and more
    read = 0

    async def count(request: EdgeRequest, sink: ResponseSink) -> None:
        nonlocal read
        async for chunk in request.body.chunks():
            read += len(chunk)
        await answer(b"%d bytes" % read)(request, sink)

    async with edge(count, Timing(upload_grace=20.0)) as it, Client(it.port) as client:
        client.send(get("/", f"Content-Length: {pieces * len(piece)}", method="POST"))
        await eventually(lambda: bool(it.driver.requests))
        for number in range(1, pieces + 1):  # all together last twice the grace
            await pass_time(10.0)
            client.send(piece)
            await eventually(lambda number=number: read == number * len(piece))
        assert b"80000 bytes" in await client.rest()


@pytest.mark.fault(32)
async def test_a_function_that_reads_late_is_not_its_clients_fault() -> None:
    async def read_late(request: EdgeRequest, sink: ResponseSink) -> None:
        body, _ = await request.body.read_up_to(3)
        await asyncio.sleep(2 * HASTY.upload_grace)
        rest = [chunk async for chunk in request.body.chunks()]
        sink.begin(200, PLAIN, length=None)
        sink.write([body, *rest])
        sink.end()

    async with edge(read_late, HASTY) as it, Client(it.port) as client:
        client.send(get("/", "Content-Length: 6", method="POST") + b"abcdef")
        assert b"abcdef" in (await client.rest()).replace(b"\r\n", b"")


@pytest.mark.fault(32)
async def test_a_body_that_stops_after_the_head_breaks_the_response() -> None:
    async def stream(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([b"so far"])
        await request.body.read_up_to(1000)

    async with edge(stream, HASTY) as it, Client(it.port) as client:
        client.send(get("/", "Content-Length: 9", method="POST") + b"abc")
        assert b"so far" in await client.until(b"so far\r\n")
        with pytest.raises(ConnectionResetError):
            await client.rest()


@pytest.mark.steered
async def test_the_pace_counts_waiting_only_and_the_bytes_that_came() -> None:
    slow: list[str] = []
    pace = Pace(300.0, lambda: slow.append("slow"))
    for _ in range(10):  # 400 s of waiting, each made up for; what is not waited for never counts
        pace.wait()
        await pass_time(40.0)
        pace.came(50 * RATE_MIN)
        await pass_time(40.0)
    assert not slow
    pace.wait()
    await pass_time(250.0)
    assert not slow
    await pass_time(50.0)
    assert slow == ["slow"]
    pace.close()


async def test_a_fast_beginning_buys_no_longer_silence_than_the_grace() -> None:
    slow: list[str] = []
    pace = Pace(0.05, lambda: slow.append("slow"))
    pace.wait()
    pace.came(3600 * RATE_MIN)
    pace.wait()
    await eventually(lambda: slow == ["slow"])
    pace.close()


async def test_nothing_is_told_after_the_close() -> None:
    slow: list[str] = []
    pace = Pace(0.01, lambda: slow.append("slow"))
    pace.wait()
    pace.close()
    await asyncio.sleep(0.05)
    assert slow == []


@pytest.mark.fault(32)
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: exa"])
async def test_a_connection_without_a_head_is_closed(sent: bytes) -> None:
    async with edge(sized(b"ok"), Timing(request_head=0.2)) as it, Client(it.port) as client:
        client.send(sent)
        with suppress(ConnectionResetError):  # closed before it was read
            assert await client.rest() == b""
        assert it.driver.requests == []


@pytest.mark.steered
async def test_a_connection_that_had_a_request_is_kept() -> None:
    timing = Timing(request_head=20.0)
    async with edge(sized(b"ok"), timing) as it, Client(it.port) as client:
        client.send(get("/", "Connection: keep-alive"))
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert await client.exactly(2) == b"ok"
        await pass_time(2 * timing.request_head)
        client.send(get("/next"))
        assert b"ok" in await client.rest()


@pytest.mark.steered
async def test_a_stream_that_is_longer_than_the_patience_for_heads_goes_on() -> None:
    timing = Timing(request_head=PATIENCE / 4)

    async def slowly(request: EdgeRequest, sink: ResponseSink) -> None:
        await pass_time(2 * timing.request_head)
        await answer(b"late")(request, sink)

    async with edge(slowly, timing) as it:
        assert b"late" in await it.ask(get())


def test_too_slow_is_a_body_error_of_its_own() -> None:
    assert UploadTooSlow.status == 408


async def test_the_byte_that_completes_a_body_waits_if_the_head_fills_the_transport() -> None:
    size = WRITE_HIGH_WATER - 1
    written: list[int] = []

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        assert isinstance(sink, Sink)
        assert sink._transport is not None
        raw = sink._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sink.begin(200, ((b"x-large", b"x" * 40_000),), length=size)
        sink.write([bytes(size)], last=True)
        written.append(sink.body_bytes)
        assert await sink.drained()
        sink.end()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get())
        body = (await client.rest()).partition(b"\r\n\r\n")[2]
    assert written == [size - 1]
    assert len(body) == size


async def test_an_end_by_close_is_a_reset_until_the_kernel_has_all_of_the_body() -> None:
    """Were the process killed before, the kernel would close, and what is held here would be lost."""
    sent, lingers = 0, []

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        nonlocal sent
        assert isinstance(sink, Sink)
        sink.begin(200, PLAIN, length=None)
        while not sink.pending:  # the kernel takes no more
            sink.write([bytes(16_384)])
            sent += 16_384
        assert sink._transport is not None
        assert sink.end()
        raw = sink._transport.get_extra_info("socket")
        lingers.append(raw.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(LINGER_RESET)))

    async with edge(serve) as it:
        with socket.create_connection(("127.0.0.1", it.port), PATIENCE) as client:
            client.sendall(get(version="1.0"))
            await eventually(lambda: bool(lingers))
            response = await asyncio.to_thread(
                lambda: b"".join(iter(lambda: client.recv(65_536), b""))
            )
    assert lingers == [LINGER_RESET]
    assert len(response.partition(b"\r\n\r\n")[2]) == sent
