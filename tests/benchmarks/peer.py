"""One process that stands for thousands of functions: an Invoke API in front of the client library.

python -m tests.benchmarks.peer PORT

Five thousand workers would measure this machine's memory. So each invocation is a session of
`lambda_client` with a socket of its own, as a function has it, and they share a process and its I/O
thread. What the gateway sees is the same: one HTTP call that lasts, and one WebSocket, for each stream.

POST .../invocations      streams "hello\\n", is quiet, and streams "bye..\\n" once it is released
GET /release              lets every stream end that is quiet now
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from types import SimpleNamespace
from typing import Any

import uvloop
from aiohttp import web

from lambda_client.invocation import read_invocation
from lambda_client.session import Session

HELLO, BYE = b"hello\n", b"bye..\n"
HEADERS = ((b"content-type", b"application/octet-stream"),)
FUNCTION_SECONDS = 600.0


class Gate:
    """What quiet streams wait at."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    async def wait(self) -> None:
        await self._open.wait()

    async def release(self, request: web.Request) -> web.Response:
        self._open.set()
        self._open = asyncio.Event()
        return web.Response()


async def stream(session: Session, gate: Gate) -> dict[str, Any]:
    """Run one invocation; return its receipt."""
    session.start(200, HEADERS)
    session.open()
    await session.write_async(HELLO)
    session.flush()
    await gate.wait()
    await session.write_async(BYE)
    session.begin_finish()
    while not session.settled:
        await session.waiters.suspend(lambda: session.settled)
    return session.conclude()


async def invoke(request: web.Request, gate: Gate) -> web.Response:
    custom = json.loads(base64.b64decode(request.headers["X-Amz-Client-Context"]))["custom"]
    deadline = time.monotonic() + FUNCTION_SECONDS
    context = SimpleNamespace(
        client_context=SimpleNamespace(custom=custom),
        get_remaining_time_in_millis=lambda: (deadline - time.monotonic()) * 1000,
    )
    event = json.loads(await request.read())
    invocation = read_invocation(event, context, now=time.monotonic())
    assert invocation.envelope is not None, "called without a gateway"
    return web.json_response(await stream(Session(invocation, invocation.envelope), gate))


async def serve(app: web.Application, port: int) -> None:
    """Say when it is ready, and go on until somebody ends the process."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def main(port: int) -> None:
    app, gate = web.Application(), Gate()
    app.router.add_get("/release", gate.release)
    app.router.add_post("/2015-03-31/functions/{name}/invocations", lambda it: invoke(it, gate))
    await serve(app, port)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
