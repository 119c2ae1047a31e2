"""A TCP line between a function and the gateway that can be lost without either end being told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.exchange.peer import Peer


class Line:
    """Carries bytes both ways until it is lost: then it takes some more, and passes on nothing."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lose(self) -> None:
        """Pass on nothing from now on, not even the end of a connection."""
        self._whole.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._forward(source, sink)))

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._whole.wait()
                sink.write(data)
            await self._whole.wait()
        finally:
            sink.transport.abort()

    async def close(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def over_a_line(peer: Peer) -> AsyncIterator[Line]:
    """Let the peer dial through a line until the block ends."""
    envelope = peer.envelope
    line = Line(envelope.urls[0])
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    peer.envelope = replace(envelope, urls=(f"ws://127.0.0.1:{port}",))
    try:
        yield line
    finally:
        peer.envelope = envelope
        server.close()
        await line.close()
