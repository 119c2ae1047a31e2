"""A lean HTTP/1.1 client on raw asyncio transports: it must cost less than what it measures.

One exchange at a time per connection, keep-alive, no redirects, no decoding. A request body is bytes
without meaning, sent as fast as they are taken.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = bytes(1 << 18)
"""Of a request body."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and its response, filled in as bytes arrive. Times are of `perf_counter`."""

    done: asyncio.Future[None]
    on_data: Callable[[bytes], object] | None
    sent: float = field(default_factory=time.perf_counter)
    status: int = 0
    size: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    end: str = "pending"

    @property
    def whole(self) -> bool:
        return self.status == 200 and self.end == "complete"

    @property
    def outcome(self) -> str:
        return f"{self.status} {self.end}, {self.size} bytes"

    def take(self, data: bytes, start: int, stop: int) -> None:
        if not self.first_at:
            self.first_at = time.perf_counter()
        self.size += stop - start
        if self.on_data is not None:
            self.on_data(data[start:stop])


class Connection(asyncio.Protocol):
    """Reads responses. `_read` is the reader of whatever comes next on the wire."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.closed = False
        self.exchange: Exchange | None = None
        self._rest = b""
        self._left = 0
        self._read = self._read_head
        self._to_send = 0
        self._paused = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has no such base

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._read == self._read_until_close and exc is None:
            self.finish("complete")
        else:
            self.finish("reset" if exc else "truncated")

    def get(self, target: str, host: str, on_data: Callable[[bytes], object] | None) -> Exchange:
        """Send a request, and return its exchange without waiting."""
        return self._begin(f"GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n", on_data)

    def post(
        self, target: str, host: str, size: int, on_data: Callable[[bytes], object]
    ) -> Exchange:
        """Send a request with a body of so many bytes, as `get` does without."""
        head = f"POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {size}\r\n\r\n"
        exchange = self._begin(head, on_data)
        self._to_send = size
        self._send()
        return exchange

    def _begin(self, head: str, on_data: Callable[[bytes], object] | None) -> Exchange:
        self._rest, self._read = b"", self._read_head
        done = asyncio.get_running_loop().create_future()
        self.exchange = exchange = Exchange(done, on_data)
        self.transport.write(head.encode())
        return exchange

    def _send(self) -> None:
        while self._to_send and not self._paused:
            size = min(self._to_send, len(BLOCK))
            self._to_send -= size
            self.transport.write(BLOCK if size == len(BLOCK) else BLOCK[:size])

    @override
    def pause_writing(self) -> None:
        self._paused = True

    @override
    def resume_writing(self) -> None:
        self._paused = False
        self._send()

    def finish(self, how: str) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.end, exchange.last_at = how, time.perf_counter()
            if not exchange.done.done():
                exchange.done.set_result(None)

    @override
    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        position = 0
        while (exchange := self.exchange) is not None and position < len(data):
            after = self._read(exchange, data, position)
            if after == position:
                break
            position = after
        self._rest = data[position:]

    def _read_head(self, exchange: Exchange, data: bytes, position: int) -> int:
        end = data.find(b"\r\n\r\n", position)
        if end < 0:
            return position
        first, *lines = data[position:end].decode("latin-1").lower().split("\r\n")
        exchange.status = int(first.split(" ", 2)[1])
        headers = {name.strip(): value.strip() for name, _, value in map(_colon, lines)}
        if "chunked" in headers.get("transfer-encoding", ""):
            self._left, self._read = 0, self._read_chunks
        elif "content-length" in headers:
            self._left, self._read = int(headers["content-length"]), self._read_length
            if not self._left:
                self.finish("complete")
        else:
            self._read = self._read_until_close
        return end + 4

    def _read_chunks(self, exchange: Exchange, data: bytes, position: int) -> int:
        # _left counts what is still to come of this chunk, with the line end behind it.
        while position < len(data):
            if self._left > 2:
                stop = position + min(self._left - 2, len(data) - position)
                exchange.take(data, position, stop)
            elif self._left:
                stop = position + min(self._left, len(data) - position)
            else:
                end = data.find(b"\r\n", position)
                if end < 0:
                    break
                length = int(data[position:end].partition(b";")[0], 16)
                if not length:
                    self._read = self._read_trailer
                    return end + 2
                self._left, position = length + 2, end + 2
                continue
            self._left -= stop - position
            position = stop
        return position

    def _read_trailer(self, exchange: Exchange, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position)
        if end == position:
            self.finish("complete")
        return position if end < 0 else end + 2

    def _read_length(self, exchange: Exchange, data: bytes, position: int) -> int:
        stop = position + min(self._left, len(data) - position)
        exchange.take(data, position, stop)
        self._left -= stop - position
        if not self._left:
            self.finish("complete")
        return stop

    def _read_until_close(self, exchange: Exchange, data: bytes, position: int) -> int:
        exchange.take(data, position, len(data))
        return len(data)


def _colon(line: str) -> tuple[str, str, str]:
    return line.partition(":")


class Client:
    """Asks one server for workloads by their names."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self.host, self.base = parts.netloc, parts.path.rstrip("/")
        self._address = parts.hostname or "127.0.0.1", parts.port or 80

    async def connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, *self._address)
        return connection

    async def fetch(
        self,
        work: str,
        *,
        connection: Connection,
        timeout: float = 60.0,
        on_data: Callable[[bytes], object] | None = None,
    ) -> Exchange:
        """One whole exchange on `connection`; a timeout shows as its end."""
        exchange = connection.get(f"{self.base}/{work}", self.host, on_data)
        return await self._finish(connection, exchange, timeout)

    async def upload_once(
        self, work: str, size: int, *, on_data: Callable[[bytes], object], timeout: float = 60.0
    ) -> Exchange:
        """One whole exchange with a request body of `size` bytes, on a connection of its own."""
        connection = await self.connect()
        try:
            exchange = connection.post(f"{self.base}/{work}", self.host, size, on_data)
            return await self._finish(connection, exchange, timeout)
        finally:
            connection.transport.close()

    async def _finish(self, connection: Connection, exchange: Exchange, timeout: float) -> Exchange:
        try:
            async with asyncio.timeout(timeout):
                await exchange.done
        except TimeoutError:
            connection.finish("timeout")
            connection.transport.abort()
        return exchange

    async def fetch_once(
        self,
        work: str,
        *,
        timeout: float = 60.0,
        on_data: Callable[[bytes], object] | None = None,
    ) -> Exchange:
        """One whole exchange on a connection of its own."""
        connection = await self.connect()
        try:
            return await self.fetch(work, connection=connection, timeout=timeout, on_data=on_data)
        finally:
            connection.transport.close()
