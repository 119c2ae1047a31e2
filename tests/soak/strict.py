"""A strict HTTP/1.1 client: a response ended cleanly only if its framing says so.

Small on purpose: one request on one connection, no redirects, no decoding. It reads only when asked,
so that a slow reader is one on the wire, too.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

PIECE = 1 << 16
"""Bytes that are read at a time, and half of what waits here unread."""

LINE_MAX = 1 << 16
"""Bytes of one header or chunk-size line."""


class Broken(Exception):
    """The response did not come to a clean end; the text says how it ended."""


@dataclass
class Response:
    """A response whose head is here.

    Attributes:
        status: of the head.
        headers: names in lower case; of a repeated one the last.
    """

    status: int
    headers: dict[str, str]
    _reader: asyncio.StreamReader
    _transport: asyncio.WriteTransport

    def leave(self) -> None:
        """Hang up without a word, as the kernel does for a client that was killed."""
        self._transport.abort()

    async def read(self) -> bytes:
        """Return the whole body; raises `Broken`."""
        return b"".join([data async for data in self.body()])

    async def body(self, piece: int = PIECE) -> AsyncIterator[bytes]:
        """Yield the body as it comes, at most `piece` bytes at a time.

        Raises:
            Broken: it did not end cleanly.
        """
        try:
            if "chunked" in self.headers.get("transfer-encoding", ""):
                async for data in self._chunked(piece):
                    yield data
            elif "content-length" in self.headers:
                async for data in self._sized(int(self.headers["content-length"]), piece):
                    yield data
            else:  # a connection that is closed in order, and not reset, is its clean end
                while data := await self._reader.read(piece):
                    yield data
        except OSError as error:
            raise Broken(f"{type(error).__name__}: {error}") from error

    async def _chunked(self, piece: int) -> AsyncIterator[bytes]:
        while size := int((await self._line()).partition(b";")[0], 16):
            async for data in self._sized(size, piece):
                yield data
            await self._expect_blank()
        await self._expect_blank()

    async def _sized(self, left: int, piece: int) -> AsyncIterator[bytes]:
        while left:
            data = await self._reader.read(min(left, piece))
            if not data:
                raise Broken("closed inside the body")
            left -= len(data)
            yield data

    async def _line(self) -> bytes:
        line = await self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise Broken("closed without the last chunk")
        return line[:-2]

    async def _expect_blank(self) -> None:
        if line := await self._line():
            raise Broken(f"no blank line behind a chunk, but {line[:32]!r}")


@asynccontextmanager
async def request(
    url: str,
    *,
    method: str = "GET",
    body: Iterable[bytes] = (),
    length: int | None = None,
    receive_buffer: int | None = None,
    http10: bool = False,
) -> AsyncIterator[Response]:
    """Send a request and yield its response once the head is here; hangs up at the end of the block.

    Args:
        url: whole.
        method: of the request.
        body: sent while the response is read.
        length: bytes of `body`; None where there is none.
        receive_buffer: bytes that the kernel may hold for a reader that takes its time.
        http10: ask as HTTP/1.0 does: the body then ends with the connection.

    Raises:
        Broken: it ended before its head was here.
    """
    parts = urlsplit(url)
    reader, writer = await _connect(str(parts.hostname), parts.port or 80, receive_buffer)
    headers = {"host": parts.netloc} | ({} if length is None else {"content-length": str(length)})
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    writer.write(_head(method, target, headers, "1.0" if http10 else "1.1"))
    sending = asyncio.create_task(_send(writer, iter(body)))
    try:
        yield await _response(reader, writer.transport)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()


async def _connect(
    host: str, port: int, receive_buffer: int | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    link = socket.socket()
    link.setblocking(False)
    if receive_buffer is not None:  # before connecting: it settles the window
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.get_running_loop().sock_connect(link, (host, port))
        return await asyncio.open_connection(
            sock=link, limit=min(LINE_MAX, receive_buffer or LINE_MAX)
        )
    except BaseException:
        link.close()
        raise


async def _send(writer: asyncio.StreamWriter, body: Iterator[bytes]) -> None:
    for data in body:
        writer.write(data)
        await writer.drain()


def _head(method: str, target: str, headers: Mapping[str, str], version: str) -> bytes:
    lines = [
        f"{method} {target} HTTP/{version}",
        *(f"{k}: {v}" for k, v in headers.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


async def _response(reader: asyncio.StreamReader, transport: asyncio.WriteTransport) -> Response:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise Broken(f"closed before the head: {error.partial[:64]!r}") from None
    except OSError as error:
        raise Broken(f"before the head: {type(error).__name__}: {error}") from error
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Response(int(first.split(" ", 2)[1]), headers, reader, transport)
