"""A worker of the floor: a real awslambdaric process, frozen while it waits, and its Runtime API."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol, cast

from typing_extensions import override

from tests.system.running import REPOSITORY

if TYPE_CHECKING:
    from tests.benchmarks.floor.exchange import Exchange

BOOTSTRAP = REPOSITORY / "gateway/invoke/local/bootstrap.py"
"""Ours: the process is the same but for the handler."""

HANDLER = "tests.benchmarks.floor.function.handler"

NEXT = b"GET "
LENGTH = b"content-length:"
HEAD_END = b"\r\n\r\n"

ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"

EVENT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Lambda-Runtime-Aws-Request-Id: %b\r\nLambda-Runtime-Deadline-Ms: %d\r\nContent-Length: %d\r\n\r\n%b"
)

DEADLINE_MS = 120_000


class Pool(Protocol):
    """Who has the workers."""

    def idle(self, worker: Worker) -> None:
        """It waits for an invocation; left without one, it is frozen."""
        ...


class Worker(asyncio.Protocol):
    """One execution environment; it is the one connection to its own Runtime API, too."""

    _transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._received = b""
        self._exchange: Exchange | None = None
        self._pid = 0

    async def start(self) -> None:
        """Start the process; `Pool.idle` follows."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: self, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-P", BOOTSTRAP, str(os.getpid()), REPOSITORY, HANDLER],
            env={**os.environ, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"},
            start_new_session=True,
        )
        self._pid = process.pid

    def run(self, exchange: Exchange, event: bytes) -> None:
        """Give it an invocation while it waits."""
        self._exchange = exchange
        deadline = int(time.time() * 1000) + DEADLINE_MS
        request_id = exchange.token.encode()
        self._transport.write(EVENT % (request_id, deadline, len(event), event))
        os.killpg(self._pid, signal.SIGCONT)
        exchange.move("invoke")

    def freeze(self) -> None:
        os.killpg(self._pid, signal.SIGSTOP)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        data = self._received + data
        while data:
            head, found, body = data.partition(HEAD_END)
            size = 0 if head.startswith(NEXT) else int(_after(head.lower(), LENGTH))
            if not found or len(body) < size:
                break
            data = body[size:]
            self._take(head)
        self._received = data

    def _take(self, head: bytes) -> None:
        if head.startswith(NEXT):
            self._pool.idle(self)
            return
        self._transport.write(ACCEPTED)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.move("complete")


def _after(head: bytes, name: bytes) -> bytes:
    return head.partition(name)[2].partition(b"\r\n")[0]
