"""What clients do, each for one kind of request, and what they enter in the books."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.reconciliation.books import Books

    Client = Callable[["Asking"], Awaitable[None]]

BROKEN = (aiohttp.ClientPayloadError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)


class Asking:
    """One request of one client.

    Attributes:
        path: what names it on both sides.
    """

    def __init__(self, session: aiohttp.ClientSession, port: int, path: str, books: Books) -> None:
        self.session = session
        self.port = port
        self.path = path
        self.books = books

    def request(self, method: str = "GET", data: Any = None) -> Any:
        return self.session.request(method, f"http://127.0.0.1:{self.port}{self.path}", data=data)

    def saw(self, outcome: str, reason: str) -> None:
        self.books.outcomes[outcome, reason] += 1

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Read what a function sent, to its end or to where it breaks off."""
        self.books.began += 1
        chunked = "Transfer-Encoding" in response.headers
        size, open_ = 0, 0
        try:
            async for data, end_of_chunk in response.content.iter_chunks():
                size += len(data)
                open_ += len(data)
                if end_of_chunk and open_:  # the terminating one is empty
                    open_ = 0
                    self.books.writes += chunked
                self.books.signs[self.path].set()
        finally:
            self.books.received += size
            self.books.writes += int(size > 0 and not chunked)


def whole(reason: str) -> Client:
    """It gets everything."""

    async def client(asking: Asking) -> None:
        async with asking.request() as response:
            assert response.status == 200
            await asking.read(response)
        asking.saw("completed", reason)

    return client


def upload(most: int, reason: str) -> Client:
    """It sends a body, and gets everything."""

    async def client(asking: Asking) -> None:
        body = b"u" * random.randrange(most // 2, most)
        asking.books.uploaded += len(body)
        async with asking.request("POST", body) as response:
            await asking.read(response)
        asking.saw("completed", reason)

    return client


async def head(asking: Asking) -> None:
    async with asking.request("HEAD") as response:
        assert await response.read() == b""
        asking.books.began += 1
    asking.saw("completed", "streamed")


def error(status: int, reason: str, method: str = "GET", size: int = 0) -> Client:
    """It gets an error of the gateway's."""

    async def client(asking: Asking) -> None:
        async with asking.request(method, b"x" * size or None) as response:
            assert response.status == status
            assert "error" in await response.json()
        asking.saw("failed", reason)

    return client


def broken(reason: str) -> Client:
    """It gets the beginning."""

    async def client(asking: Asking) -> None:
        with pytest.raises(BROKEN):
            async with asking.request() as response:
                await asking.read(response)
        asking.saw("failed", reason)

    return client


async def leaves(asking: Asking) -> None:
    """It leaves when it has seen the first bytes."""
    async with asking.request() as response:
        asking.books.began += 1
        data, end_of_chunk = await response.content.readchunk()
        while not end_of_chunk:
            more, end_of_chunk = await response.content.readchunk()
            data += more
        asking.books.received += len(data)
        asking.books.writes += 1
        response.close()
    asking.books.signs[asking.path].set()
    asking.saw("cancelled", "client_gone")


async def leaves_at_once(asking: Asking) -> None:
    """It leaves when the function has been called."""
    _, writer = await asyncio.open_connection("127.0.0.1", asking.port)
    writer.write(f"GET {asking.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await asking.books.signs[asking.path].wait()
    writer.close()
    await writer.wait_closed()
    asking.saw("cancelled", "client_gone")


def raw(text: str, status: int, failed: str | None = None) -> Client:
    """It sends something odd; `failed` is the reason if a route takes it all the same."""

    async def client(asking: Asking) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", asking.port)
        writer.write(text.format(path=asking.path).encode())
        line = await reader.readline()
        assert line.split()[1] == str(status).encode(), line
        await reader.read()
        writer.close()
        await writer.wait_closed()
        if failed is None:
            asking.books.refusals[str(status)] += 1
        else:
            asking.saw("failed", failed)

    return client


def refused(status: int) -> Client:
    """It is refused before it belongs to a route."""

    async def client(asking: Asking) -> None:
        async with asking.request() as response:
            assert response.status == status
            await response.read()
        asking.books.refusals[str(status)] += 1

    return client
