"""An ASGI application without any framework: the same file behind uvicorn and behind dialback.

/tiny, /held, /ticks, /bulk    as in `streamed`
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from lambda_client import asgi

# As in `streamed`: what a function has by itself.
sys.modules["zlib_ng"] = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Message = dict[str, Any]
    Query = dict[str, str]

LOOK_SECONDS = 0.01

HEADERS = [(b"content-type", b"application/octet-stream")]


async def tiny(query: Query) -> AsyncIterator[bytes]:
    yield b"hello\n"


async def held(query: Query) -> AsyncIterator[bytes]:
    yield b"hello\n"
    while not os.path.exists(query["gate"]):
        await asyncio.sleep(LOOK_SECONDS)


async def ticks(query: Query) -> AsyncIterator[bytes]:
    size, interval = int(query["size"]), int(query["ms"]) / 1000
    start = time.monotonic()
    for number in range(1, int(query["n"]) + 1):
        yield (b"m%d" % time.monotonic_ns()).ljust(size - 1) + b"\n"
        await asyncio.sleep(max(0.0, start + number * interval - time.monotonic()))


async def bulk(query: Query) -> AsyncIterator[bytes]:
    chunk, total = int(query["chunk"]), int(query["total"])
    block = (b"abcdefghijklmnopqrstuvwxyz012345" * (chunk // 32 + 1))[:chunk]
    for _ in range(0, total, chunk):
        yield block


WORKS = {"tiny": tiny, "held": held, "ticks": ticks, "bulk": bulk}


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    work = WORKS[scope["path"].rpartition("/")[2]]
    query = {name: value for name, [value] in parse_qs(scope["query_string"].decode()).items()}
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    async for chunk in work(query):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


handler = asgi(app, lifespan="off")
