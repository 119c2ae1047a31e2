"""The pipe as a whole: who waits for a worker, and which workers wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import web
from typing_extensions import override

from tests.benchmarks.floor.callback import Callback
from tests.benchmarks.floor.exchange import Exchange
from tests.benchmarks.floor.worker import Worker

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

HIGH_WATER = 128 * 1024
"""Bytes that a client's transport may hold, as at dialback's edge."""


class Sent(web.StreamResponse):
    """What aiohttp is told of a response that is written already."""

    def __init__(self) -> None:
        super().__init__()
        self._keep_alive = True

    @override
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


SENT = Sent()


class Edge(web.Server):
    """aiohttp's server, with dialback's limit for what clients have yet to take."""

    @override
    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)


class Gateway:
    """Gives each request to an idle worker, the last that became so, or to the next that does."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._all_idle = asyncio.Event()
        self._waiting: deque[Exchange] = deque()
        self._called: dict[str, Exchange] = {}  # by token, until their callback
        self._callback_port = 0

    async def start(self, port: int, workers: int) -> None:
        """Serve at this port; returns once so many workers wait for an invocation."""
        callbacks = await self._loop.create_server(lambda: Callback(self._called), "127.0.0.1", 0)
        self._callback_port = callbacks.sockets[0].getsockname()[1]
        self._workers = [Worker(self) for _ in range(workers)]
        await asyncio.gather(*(worker.start() for worker in self._workers))
        await self._all_idle.wait()
        await self._loop.create_server(Edge(self._serve, access_log=None), "127.0.0.1", port)

    def idle(self, worker: Worker) -> None:
        """See `worker.Pool`."""
        if self._waiting:
            self._run(worker, self._waiting.popleft())
            return
        self._idle.append(worker)
        worker.freeze()
        if len(self._idle) == len(self._workers):
            self._all_idle.set()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = Exchange(request, self._loop.create_future())
        if self._idle:
            self._run(self._idle.pop(), exchange)
        else:
            self._waiting.append(exchange)
        await exchange.done
        return SENT

    def _run(self, worker: Worker, exchange: Exchange) -> None:
        self._called[exchange.token] = exchange
        worker.run(exchange, exchange.event(self._callback_port))
