"""The floor to compare with: the same workloads from plain aiohttp, without any gateway.

python -m tests.benchmarks.direct PORT
"""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop
from aiohttp import web

from tests.benchmarks.peer import BYE, HELLO, Gate, serve


def number(request: web.Request, name: str, default: int) -> int:
    return int(request.query.get(name, default))


def stamp(size: int) -> bytes:
    return (b"m%d" % time.monotonic_ns()).ljust(size - 1) + b"\n"


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/octet-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


async def tiny(request: web.Request) -> web.StreamResponse:
    response = await begin(request)
    await response.write(b"hello\n")
    await asyncio.sleep(number(request, "stay", 0) / 1000)
    await response.write_eof()
    return response


async def ticks(request: web.Request) -> web.StreamResponse:
    count, size = number(request, "n", 200), number(request, "size", 100)
    interval = number(request, "ms", 10) / 1000
    response = await begin(request)
    start = time.monotonic()
    for tick in range(1, count + 1):
        await response.write(stamp(size))
        await asyncio.sleep(max(0.0, start + tick * interval - time.monotonic()))
    await response.write_eof()
    return response


async def bulk(request: web.Request) -> web.StreamResponse:
    chunk, total = number(request, "chunk", 65536), number(request, "total", 67108864)
    block = (b"abcdefghijklmnopqrstuvwxyz012345" * (chunk // 32 + 1))[:chunk]
    response = await begin(request)
    for _ in range(0, total, chunk):
        await response.write(block)
    await response.write_eof()
    return response


async def sink(request: web.Request) -> web.StreamResponse:
    size = 0
    async for data in request.content.iter_any():
        size += len(data)
    response = await begin(request)
    await response.write(b"%20d" % size)
    await response.write_eof()
    return response


async def quiet(request: web.Request, gate: Gate) -> web.StreamResponse:
    response = await begin(request)
    await response.write(HELLO)
    await gate.wait()
    await response.write(BYE)
    await response.write_eof()
    return response


async def main(port: int) -> None:
    app = web.Application()
    for work in (tiny, ticks, bulk):
        app.router.add_get(f"/api/{work.__name__}", work)
    app.router.add_post("/api/sink", sink)
    gate = Gate()
    app.router.add_get("/api/quiet", lambda request: quiet(request, gate))
    app.router.add_get("/release", gate.release)
    await serve(app, port)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
