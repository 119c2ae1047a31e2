"""The function's end of the pipe: one WebSocket on an I/O thread, dialled once and used by every invocation."""

from __future__ import annotations

import asyncio
import threading
from functools import cache
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # it ships no types
from typing_extensions import override
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from tests.benchmarks.floor.frames import DATA, END, HEAD

HIGH_WATER = 128 * 1024
"""Bytes that wait in the transport, or for it, before whoever writes has to wait himself."""


@cache
def connection_to(port: int) -> Connection:
    """Dial, and start the I/O thread, when it is asked for the first time."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    dial = loop.create_connection(lambda: Connection(loop, port), "127.0.0.1", port)
    _, connection = asyncio.run_coroutine_threadsafe(dial, loop).result()
    connection.opened.wait()
    return connection


class Connection(asyncio.Protocol):
    """Sends what the handler's thread writes; everything that waits leaves together.

    Attributes:
        opened: set once the upgrade is answered.
    """

    _transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.opened = threading.Event()
        self._loop = loop
        self._socket = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/"), max_size=None)
        self._room = threading.Condition()
        self._acknowledged = threading.Event()
        self._head: list[Any] | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._woken = False
        self._paused = False

    # ------------------------------------------------------------ in the handler's thread

    def begin(self, token: str, status: int, headers: dict[str, str]) -> None:
        """Say the head; it leaves with what follows."""
        self._acknowledged.clear()
        self._head = [HEAD, token, status, headers]

    def write(self, chunk: bytes) -> None:
        """Send bytes of the body; waits while too many do."""
        with self._room:
            while self._size >= HIGH_WATER:
                self._room.wait()
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._wake()

    def end(self) -> None:
        """Say the end, and wait until the gateway has everything."""
        with self._room:
            self._ended = True
            self._wake()
        self._acknowledged.wait()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._flush)

    # ------------------------------------------------------------ in the I/O thread

    def _flush(self) -> None:
        if self._paused:
            return
        with self._room:
            head, self._head = self._head, None
            chunks, self._chunks = self._chunks, []
            ended, self._ended = self._ended, False
            if self._size >= HIGH_WATER:
                self._room.notify()
            self._size = 0
            self._woken = False
        if head is not None:
            self._socket.send_binary(msgpack.packb(head))
        if chunks:
            self._socket.send_binary(msgpack.packb([DATA, b"".join(chunks)]))
        if ended:
            self._socket.send_binary(msgpack.packb([END]))
        self._transport.writelines(self._socket.data_to_send())

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._socket.send_request(self._socket.connect())
        self._transport.writelines(self._socket.data_to_send())

    @override
    def data_received(self, data: bytes) -> None:
        self._socket.receive_data(data)
        for _ in self._socket.events_received():
            if self.opened.is_set():
                self._acknowledged.set()  # the gateway says nothing else
            self.opened.set()

    @override
    def pause_writing(self) -> None:
        self._paused = True

    @override
    def resume_writing(self) -> None:
        self._paused = False
        self._flush()
