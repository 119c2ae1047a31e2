"""The strict client: what is a clean end, and what is none."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.pipe import ABORT
from tests.settling import settle
from tests.soak.strict import Broken, request

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
SIZED = HEAD + b"content-length: 5\r\n\r\n"


@asynccontextmanager
async def server(answer: bytes, *, reset: bool) -> AsyncIterator[str]:
    """Send these bytes, and close, or reset, the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if reset:
            await reader.read(1)  # the client has it all: a reset would overtake what is on its way
            link: socket.socket = writer.get_extra_info("socket")
            link.setsockopt(1, 13, ABORT)
            writer.transport.abort()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    finally:
        listener.close()
        await listener.wait_closed()
        await settle()


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        SIZED + b"hello",
        HEAD + b"\r\nhello",
    ],
    ids=["chunked", "two chunks", "sized", "until close"],
)
async def test_a_clean_end(answer: bytes) -> None:
    async with server(answer, reset=False) as url, request(url) as response:
        assert (response.status, await response.read()) == (200, b"hello")


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n",
        SIZED + b"hell",
        HEAD,
    ],
    ids=["no last chunk", "half of it", "half a chunk", "a longer chunk", "short", "no head"],
)
async def test_no_clean_end(answer: bytes) -> None:
    async with server(answer, reset=False) as url:
        with pytest.raises(Broken):
            async with request(url) as response:
                await response.read()


async def test_a_reset_is_no_clean_end_where_a_close_is_one() -> None:
    async with server(HEAD + b"\r\nhello", reset=True) as url:
        with pytest.raises(Broken):
            async with request(url, method="POST", length=5, body=[b"hello"]) as response:
                await response.read()
