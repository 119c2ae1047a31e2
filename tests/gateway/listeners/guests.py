"""Clients that hold a place: those that ask and stay, and those that say nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from tests.gateway.edge.serving import Client, get
from tests.gateway.exchange.asking import eventually
from tests.settling import settle

if TYPE_CHECKING:
    from gateway.crowds import Crowd

KEPT = get("/", "Connection: keep-alive")


async def answered(client: Client) -> bool:
    """Whether a request on this connection is answered, not reset."""
    client.send(KEPT)
    try:
        head = await client.head()
        return b" 200 " in head and await client.exactly(2) == b"ok"
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


class Silent:
    """Connections that send nothing, or no more than a part of a head; they leave with the context."""

    def __init__(self, port: int, crowd: Crowd, says: bytes = b"") -> None:
        self._port = port
        self._says = says
        self._crowd = crowd
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for _, writer in self._open:
            writer.transport.abort()

    async def come(self, count: int) -> None:
        """Have so many more, one after the other."""
        for _ in range(count):
            before = len(self._crowd)
            self._open.append(await asyncio.open_connection("127.0.0.1", self._port))
            self._open[-1][1].write(self._says)
            await eventually(lambda before=before: len(self._crowd) == before + 1)

    async def cut(self) -> list[bool]:
        """Which of them were cut, oldest first."""
        await settle()
        return [reader.at_eof() for reader, _ in self._open]
