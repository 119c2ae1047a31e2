"""The response side of HTTP/1: our own framing, written straight to the transport.

aiohttp's writer is a coroutine for each chunk; ours is a plain call, so that what a callback appends
reaches the kernel in the same turn of the event loop. aiohttp keeps the connection: parsing,
pipelining, keep-alive, and the transport's flow control.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from typing_extensions import override

from protocol.headers import content_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiohttp.abc import AbstractStreamWriter

    from protocol.headers import HeaderList

EXCHANGE_HEADER = b"x-dialback-exchange"

WRITE_HIGH_WATER = 128 * 1024
"""Bytes that the transport may hold for one client: two of the largest DATA frames, so that one is
on its way while the next arrives. The kernel's own send buffer (up to 4 MiB) comes before it."""

_LAST_CHUNK = b"0\r\n\r\n"
_LINGER_RESET = struct.pack("ii", 1, 0)
# They ask proxies to pass an event stream on as it comes; what the function says goes first.
_FOR_EVENT_STREAMS = (
    (b"x-accel-buffering", b"X-Accel-Buffering: no"),
    (b"cache-control", b"Cache-Control: no-transform"),
)
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
# Headers that the edge itself decides about.
_OURS = frozenset({b"content-length", b"transfer-encoding", b"connection", EXCHANGE_HEADER})


class Outcome(Enum):
    """How a response ended."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"


class _Framing(Enum):
    """How the end of the body shows (RFC 9112 section 6.3)."""

    NONE = "none"
    SIZED = "sized"
    CHUNKED = "chunked"
    CLOSE = "close"


class Sink:
    """One response to one aiohttp request, as `gateway.messages.ResponseSink`.

    Args:
        request: what it answers.
        exchange_id: sent as ``x-dialback-exchange``.
        keep_alive: False to close the connection after this response whatever the client wants.

    Attributes:
        exchange_id: 32 hex digits.
        status: the status sent, or None.
        body_bytes: body bytes handed to the transport.
        outcome: how it ended.
    """

    def __init__(
        self, request: web.BaseRequest, exchange_id: str, *, keep_alive: bool = True
    ) -> None:
        self._request = request
        self._transport = request.transport
        self._loop = asyncio.get_running_loop()
        self.exchange_id = exchange_id
        self._keep_alive = keep_alive and request.keep_alive
        self._framing = _Framing.NONE
        self._remaining = 0
        self._last_byte = b""
        self._head = b""
        self._head_timer: asyncio.Handle | None = None
        self.status: int | None = None
        self.body_bytes = 0
        self.outcome = Outcome.OPEN
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    @property
    def started(self) -> bool:
        """Whether the head is on its way: too late for another response."""
        return self.status is not None

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._keep_alive

    def close_after(self) -> None:
        """Let no further request follow on this connection."""
        self._keep_alive = False

    # ------------------------------------------------------------ gateway.messages.ResponseSink

    async def start(self, status: int, headers: HeaderList, *, length: int | None) -> None:
        """Send the response head; it waits for this turn's body bytes, if there are any."""
        self.begin(status, headers, length=length)

    def begin(self, status: int, headers: HeaderList, *, length: int | None) -> None:
        """Do what `start` does, without a coroutine."""
        if self.started:
            raise RuntimeError("the response head is sent already")
        self._head = self._render_head(status, headers, length)
        self.status = status
        self._head_timer = self._loop.call_soon(self._flush_head)

    def write(self, parts: Sequence[bytes], *, last: bool = False) -> None:
        """Hand body bytes to the transport; all `parts` make one chunk."""
        if self._framing is _Framing.NONE or self.outcome is not Outcome.OPEN:
            return
        if self._framing is _Framing.SIZED:
            parts = self._within_length(parts, last=last)
        size = sum(map(len, parts))
        if not size:
            return
        self.body_bytes += size
        if self._framing is _Framing.CHUNKED:
            parts = (b"%x\r\n" % size, *parts, b"\r\n")
        self._send(parts)

    @property
    def blocked(self) -> bool:
        """Whether the transport holds more than `WRITE_HIGH_WATER`, or takes nothing any more."""
        return self._request.protocol.writing_paused or not self._alive

    @property
    def pending(self) -> int:
        """Bytes that the transport holds."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    async def drained(self) -> bool:
        """Wait until the transport holds little again, or the client left: then False."""
        try:
            await self._request.writer.drain()
        except ConnectionError:
            return False
        return self._alive

    async def finish(self) -> None:
        """End the body cleanly, or visibly not, if bytes of its promised length are missing."""
        self.end()
        await self.drained()

    def end(self) -> None:
        """Do what `finish` does, without waiting for the transport."""
        if self.outcome is not Outcome.OPEN:
            return
        if self._framing is _Framing.SIZED and self._remaining:
            self.abort()
            return
        self.outcome = Outcome.COMPLETED
        if self._framing is _Framing.CHUNKED:
            self._send((_LAST_CHUNK,))
        elif self._last_byte:
            self.body_bytes += 1
            self._send((self._last_byte,))
        else:
            self._flush_head()

    def abort(self) -> None:
        """Reset the connection.

        A plain close after a body that is delimited by close looks complete (HTTP/1.0; curl exits
        0); a reset is an error for every client, with every framing.
        """
        if self.outcome is not Outcome.OPEN:
            return
        self.outcome = Outcome.FAILED
        self._keep_alive = False
        if self._head_timer is not None:
            self._head_timer.cancel()
        if self._transport is not None and self._alive:
            reset_on_close(self._transport)
            self._transport.abort()

    # ------------------------------------------------------------ inside

    @property
    def _alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def _send(self, parts: Iterable[bytes]) -> None:
        if self._head:
            parts = (self._take_head(), *parts)
        if self._transport is not None and self._alive:
            self._transport.writelines(parts)

    def _flush_head(self) -> None:
        if self._head:
            self._send(())

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        if self._head_timer is not None:
            self._head_timer.cancel()
        return head

    def _within_length(self, parts: Sequence[bytes], *, last: bool) -> Sequence[bytes]:
        """Cut what exceeds the promised length: it would be read as the next response.

        Unless these parts are known to be the last, the byte that completes it waits for `end`.
        """
        kept = []
        for part in parts:
            whole = len(part) >= self._remaining > 0
            kept.append(part[: self._remaining])
            self._remaining -= len(kept[-1])
            if whole and not last:
                kept[-1], self._last_byte = kept[-1][:-1], kept[-1][-1:]
        return kept

    def _render_head(self, status: int, headers: HeaderList, length: int | None) -> bytes:
        promised = content_length(headers) if length is None else length
        framing = self._choose_framing(status, promised)
        version = self._request.version
        lines = [
            b"HTTP/%d.%d %d %s"
            % (version.major, version.minor, status, _REASONS.get(status, b"Unknown"))
        ]
        named = dict(headers)
        lines += [name + b": " + value for name, value in headers if name not in _OURS]
        lines += framing
        lines.append(EXCHANGE_HEADER + b": " + self.exchange_id.encode())
        if b"date" not in named:
            lines.append(b"Date: " + _date(int(time.time())))
        if named.get(b"content-type", b"").lower().startswith(b"text/event-stream"):
            lines += [line for name, line in _FOR_EVENT_STREAMS if name not in named]
        head = b"\r\n".join(lines)
        if not head.count(b"\r") == head.count(b"\n") == len(lines) - 1 or b"\0" in head:
            raise ValueError("a header would break the response head")
        return head + b"\r\n\r\n"

    def _choose_framing(self, status: int, promised: int | None) -> list[bytes]:
        """Decide how the body ends; return the headers that say so (RFC 9112 section 6)."""
        headers = []
        old = self._request.version < (1, 1)
        if status in (204, 304) or self._request.method == "HEAD":
            # RFC 9110 section 8.6: never with 204; otherwise what a GET would have had.
            if promised is not None and status != 204:
                headers.append(b"Content-Length: %d" % promised)
        elif promised is not None:
            self._framing, self._remaining = _Framing.SIZED, promised
            headers.append(b"Content-Length: %d" % promised)
        elif old:
            self._framing, self._keep_alive = _Framing.CLOSE, False
        else:
            self._framing = _Framing.CHUNKED
            headers.append(b"Transfer-Encoding: chunked")
        if self._keep_alive == old:
            headers.append(b"Connection: keep-alive" if old else b"Connection: close")
        return headers


class Sent(web.StreamResponse):
    """What aiohttp is told about a response that a `Sink` has sent already.

    aiohttp calls `prepare` and `write_eof` on whatever a handler returns, and reads `keep_alive`.
    Its own `prepare` would add Server and Content-Type, and send a second head.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__(status=sink.status or 500)
        if not sink.keep_alive:
            self.force_close()
        else:
            self._keep_alive = True

    @override
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        return


def reset_on_close(transport: asyncio.Transport) -> None:
    """Let the end of a connection be a TCP reset instead of a clean FIN."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


_last_date = (0, b"")


def _date(second: int) -> bytes:
    """Return the Date of a second, made once (RFC 9110 section 6.6.1)."""
    global _last_date  # noqa: PLW0603 - one small cache for the process
    if _last_date[0] != second:
        _last_date = (second, formatdate(second, usegmt=True).encode())
    return _last_date[1]
