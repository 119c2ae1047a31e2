"""A body whose end is that of its connection (HTTP/1.0): a slow client gets the whole of it, and then a FIN.

A reset in place of the FIN destroys what the kernel still holds, and tells of a cut where there was none.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.edge.response import WRITE_HIGH_WATER, Sink
from gateway.timing import Timing
from tests.gateway.edge.serving import PLAIN, connect, edge, get
from tests.gateway.exchange.asking import eventually, stands_still
from tests.gateway.steering import pass_time
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.messages import EdgeRequest, ResponseSink
    from tests.gateway.edge.serving import Edge

PIECE = bytes(16_384)
HTTP_1_0 = get(version="1.0")
BUFFER = 32_768  # a size that is set does not grow: what the kernel did not take at once, it does not later
HELD = WRITE_HIGH_WATER // 2


class Slow:
    """Asked for a response, and took nothing of it while the gateway had given all that there is.

    Attributes:
        edge: where it asked.
        sent: bytes of the body.
        received: of the response, so far.
    """

    def __init__(self, edge: Edge, connection: socket.socket, sent: int) -> None:
        self.edge = edge
        self.connection = connection
        self.sent = sent
        self.received = b""

    async def takes_some(self) -> bool:
        """Read a little; False at the end. A reset raises ConnectionResetError."""
        some = await asyncio.to_thread(self.connection.recv, 8192)
        self.received += some
        return bool(some)

    async def takes_all(self) -> None:
        """Read to the end."""
        while await self.takes_some():
            pass
        assert len(self.received.partition(b"\r\n\r\n")[2]) == self.sent


@asynccontextmanager
async def slow_client(request: bytes = HTTP_1_0, write_stall: float = 300.0) -> AsyncIterator[Slow]:
    """Have one whose response has ended while the transport held some of it."""
    ended: list[int] = []

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        assert isinstance(sink, Sink)
        assert sink._transport is not None
        raw = sink._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        sink.begin(200, PLAIN, length=None)
        written = 0
        while await stands_still(lambda: sink.pending) < HELD:  # else the kernel may yet take it
            while sink.pending < HELD:
                sink.write([PIECE])
                written += len(PIECE)
                await settle()
        assert sink.end()
        ended.append(written)

    async with edge(serve, Timing(write_stall=write_stall)) as it:
        with await asyncio.to_thread(connect, it.port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            connection.sendall(request)
            await eventually(lambda: bool(ended))
            await it.handler.idle()
            yield Slow(it, connection, ended[0])


async def test_who_reads_late_gets_all() -> None:
    async with slow_client() as client:
        await client.takes_all()


@pytest.mark.fault(20)
async def test_a_gateway_that_stops_waits_no_longer_and_yet_resets_nobody_who_takes_the_rest() -> (
    None
):
    async with slow_client() as client:
        await client.edge.server.shutdown(0.1)
        await client.takes_all()


async def test_what_is_not_taken_when_the_time_is_over_looks_cut_off() -> None:
    async with slow_client() as client:
        await client.edge.server.shutdown(0.1)
        client.edge.server.reset()
        await settle()
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            await client.takes_all()


async def test_what_is_thrown_away_looks_cut_off() -> None:
    async with slow_client() as client:
        (transport,) = client.edge.server._open.values()
        transport.abort()
        await settle()
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            await client.takes_all()


async def test_who_has_said_all_that_it_has_to_say_gets_all() -> None:
    async with slow_client() as client:
        client.connection.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.05)  # however late it hears of it
        await client.takes_all()


async def test_who_says_more_than_it_should_gets_all() -> None:
    """Closing a socket with bytes that were not read is a reset, and so is what comes after."""
    async with slow_client() as client:
        reading = asyncio.create_task(client.takes_all())
        while not reading.done():
            client.connection.send(b"\r\n")
            await asyncio.sleep(0)
        await reading


@pytest.mark.parametrize(
    "request_",
    [HTTP_1_0, get(), get("/", "Connection: keep-alive")],
    ids=["ends by close", "closes", "is kept"],
)
async def test_who_takes_nothing_of_a_response_that_has_ended_is_reset(request_: bytes) -> None:
    async with slow_client(request_) as client:
        for _ in range(2):
            client.edge.server._look_for_stalled()
        await client.edge.server.disconnected()
        with pytest.raises(ConnectionResetError):
            await client.takes_all()


@pytest.mark.steered
async def test_who_takes_nothing_is_looked_for_all_the_time() -> None:
    async with slow_client(write_stall=300.0) as client:
        for _ in range(2):
            await pass_time(300.0)
        await client.edge.server.disconnected()


async def test_who_takes_a_little_at_a_time_is_not() -> None:
    async with slow_client() as client:
        (transport,) = client.edge.server._open.values()
        while left := transport.get_write_buffer_size():
            client.edge.server._look_for_stalled()
            while left == transport.get_write_buffer_size():
                await client.takes_some()
                await settle()
        client.edge.server._look_for_stalled()
        await client.takes_all()
