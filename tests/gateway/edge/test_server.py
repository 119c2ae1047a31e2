"""The edge's connections as a whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.edge.response import WRITE_HIGH_WATER
from tests.gateway.edge.serving import PLAIN, Client, edge

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink


async def test_connections_that_are_left_over_at_the_end_are_reset() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write((b"some of it",))
        await asyncio.Event().wait()

    async with edge(serve) as running, Client(running.port) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.until(b"some of it")).endswith(b"some of it")
        running.server.reset()
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await running.server.disconnected()


async def test_a_transport_holds_as_much_for_every_request_of_its_connection() -> None:
    limits: list[int] = []

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        (one,) = running.handler._open
        assert one._transport is not None
        limits.append(one._transport.get_write_buffer_limits()[1])
        sink.begin(204, (), length=None)
        sink.end()

    async with edge(serve) as running, Client(running.port) as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
            await client.head()
    assert limits == [WRITE_HIGH_WATER] * 2
