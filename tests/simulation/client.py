"""A client of the edge that believes nothing: every byte of the framing is checked.

It tells a clean end (the last chunk, the last byte of a Content-Length, the close of a body that is
delimited by it) from a broken one. What it does beside reading is in its `Habits`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable


PATIENCE = 1000.0
"""Seconds after which a client gives up: far beyond every timer of the gateway."""


STALL = 700.0
"""Seconds that a client stalls which does: longer than the gateway waits."""


class FramingError(Exception):
    """The gateway sent what no HTTP client would take."""


class Saw(Enum):
    """How a response ended, as its client saw it."""

    CLEAN = "clean"
    BROKEN = "broken"
    NOTHING = "nothing"
    """The connection ended before a status line."""


@dataclass
class Seen:
    """One response as it came.

    Attributes:
        status: of the final response, or None.
        headers: lower-case name and value; the last of a name counts.
        body: its bytes, without framing.
        end: how it ended; None as long as it has not.
        left: the client went away first.
        disturbed: its connection was not left alone by the network, or by the end of the gateway.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    end: Saw | None = None
    left: bool = False
    disturbed: bool = False


class ResponseParser:
    """Takes the bytes of one response.

    Args:
        bodiless: the request was a HEAD.

    Attributes:
        seen: what came so far.
        done: it ended cleanly.
        reusable: another request may follow.
    """

    def __init__(self, *, bodiless: bool) -> None:
        self.seen = Seen()
        self.done = False
        self.reusable = True
        self._bodiless = bodiless
        self._buffer = bytearray()
        self._state: Callable[[], bool] = self._head
        self._remaining = 0

    def feed(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            FramingError: they cannot be.
        """
        self._buffer += data
        while not self.done and self._state():
            pass
        if self.done and self._buffer:
            raise FramingError(f"bytes after the end: {bytes(self._buffer[:40])!r}")

    def close(self, *, said: bool) -> Saw:
        """The connection is over, `said` the server or not; tell how the response ended."""
        by_close = self._state == self._until_close and said
        if self.done or by_close:
            end = Saw.CLEAN
        else:
            end = Saw.NOTHING if self.seen.status is None else Saw.BROKEN
        self.seen.end = end
        return end

    # ------------------------------------------------------------ states: whether to go on

    def _line(self, limit: int) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > limit + 1:  # the CR may be the last that came
                raise FramingError(f"no line: {bytes(self._buffer[:40])!r}")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, status, _ = first.split(" ", 2)
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise FramingError(first)
        if status == "100":
            return True
        self.seen.status = int(status)
        for line in lines:
            name, colon, value = line.partition(": ")
            if not colon:
                raise FramingError(line)
            self.seen.headers[name.lower()] = value
        self._choose_body()
        return True

    def _choose_body(self) -> None:
        headers = self.seen.headers
        self.reusable = headers.get("connection") != "close"
        if self._bodiless or self.seen.status in (204, 304):
            self.done = True
        elif headers.get("transfer-encoding") == "chunked":
            if "content-length" in headers:
                raise FramingError("both framings")
            self._state = self._chunk_size
        elif "content-length" in headers:
            self._remaining = int(headers["content-length"])
            self._state = self._sized
            self.done = not self._remaining
        else:
            self._state, self.reusable = self._until_close, False

    def _take(self) -> None:
        taken = self._buffer[: self._remaining]
        self.seen.body += taken
        self._remaining -= len(taken)
        del self._buffer[: len(taken)]

    def _sized(self) -> bool:
        self._take()
        self.done = not self._remaining
        return False

    def _until_close(self) -> bool:
        self._remaining = len(self._buffer)
        self._take()
        return False

    def _chunk_size(self) -> bool:
        line = self._line(16)
        if line is None:
            return False
        self._remaining = int(line, 16)
        self._state = self._chunk if self._remaining else self._last_chunk
        return True

    def _chunk(self) -> bool:
        self._take()
        if self._remaining or len(self._buffer) < 2:
            return False
        if self._line(0) != b"":
            raise FramingError("a chunk is longer than it says")
        self._state = self._chunk_size
        return True

    def _last_chunk(self) -> bool:
        line = self._line(0)
        if line is None:
            return False
        if line:
            raise FramingError(f"a trailer: {line!r}")
        self.done = True
        return False


@dataclass
class Habits:
    """What a client does.

    Attributes:
        method: of its request.
        version: ``1.1`` or ``1.0``.
        upload: its body; None: none.
        sized: whether the body goes with its length, or in chunks.
        upload_pieces: how long each piece is, and how many seconds come before it.
        upload_stops: breaks the body off (by leaving) after so many pieces; None: never.
        rate: bytes a second that it reads; None: all that come.
        stalls_after: takes nothing for `STALL` seconds after so many body bytes; None: never.
        leaves_after: goes away after so many body bytes; None: never.
        leaves_at: goes away after so many seconds; None: never.
        leaves_by: ``abort`` (RST where bytes are unread), ``close``, or ``vanish``.
    """

    method: str = "GET"
    version: str = "1.1"
    upload: bytes | None = None
    sized: bool = True
    upload_pieces: list[tuple[int, float]] = field(default_factory=list)
    upload_stops: int | None = None
    rate: float | None = None
    stalls_after: int | None = None
    leaves_after: int | None = None
    leaves_at: float | None = None
    leaves_by: str = "abort"


class Visit(asyncio.Protocol):
    """One connection to the edge, and one request after the other on it.

    Attributes:
        seen: the response of the present request.
        over: done when it has ended.
        problem: what cannot be, or None.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.problem: str | None = None
        self._parser: ResponseParser | None = None
        self._habits = Habits()
        self._transport: asyncio.Transport
        self._lost = False
        self._whole = True  # the request was sent to its end
        self._said = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.over: asyncio.Future[None]
        self.vanish: Callable[[], None] = lambda: None

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return not self._lost and self._whole and (self._parser is None or self._parser.reusable)

    async def ask(self, habits: Habits, path: str = "/") -> Seen:
        """Send one request and take its response."""
        self._habits, self.over = habits, self._loop.create_future()
        self._parser = parser = ResponseParser(bodiless=habits.method == "HEAD")
        if self._lost:
            parser.close(said=False)
            return parser.seen
        limits = [self._loop.call_later(PATIENCE, self._leave, parser)]
        if habits.leaves_at is not None:
            limits.append(self._loop.call_later(habits.leaves_at, self._leave, parser))
        body = self._loop.create_task(self._send(habits, path))
        try:
            await self.over
        finally:
            self._whole = body.done()
            body.cancel()
            for limit in limits:
                limit.cancel()
        await asyncio.wait((body,))
        if parser.seen.end is None:
            parser.close(said=False)
        return parser.seen

    def close(self) -> None:
        """Say goodbye."""
        self._transport.close()

    # ------------------------------------------------------------ asking

    async def _send(self, habits: Habits, path: str) -> None:
        lines = [f"{habits.method} {path} HTTP/{habits.version}", "Host: gateway"]
        if habits.upload is not None:
            size = len(habits.upload)
            lines.append(
                f"Content-Length: {size}" if habits.sized else "Transfer-Encoding: chunked"
            )
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        if habits.upload is None:
            return
        at = 0
        for number, (size, pause) in enumerate(habits.upload_pieces):
            if pause:
                await asyncio.sleep(pause)
            if number == habits.upload_stops:
                self._leave(self._parser)
                return
            await self._write_body(habits.upload[at : at + size], sized=habits.sized)
            at += size
        if not habits.sized:
            self._transport.write(b"0\r\n\r\n")

    async def _write_body(self, piece: bytes, *, sized: bool) -> None:
        await self._writable.wait()
        if piece and not self._transport.is_closing():
            self._transport.write(piece if sized else b"%x\r\n%s\r\n" % (len(piece), piece))

    def _leave(self, parser: ResponseParser | None) -> None:
        """Go away in the middle of a response, unless it is over."""
        if parser is not self._parser or parser is None or self._lost or self.over.done():
            return
        parser.seen.left = True
        if self._habits.leaves_by == "close":
            self._transport.close()
        else:
            if self._habits.leaves_by == "vanish":
                self.vanish()
            self._transport.abort()

    # ------------------------------------------------------------ what the transport calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        parser = self._parser
        try:
            if parser is None or parser.done:
                raise FramingError(f"bytes that nobody asked for: {data[:40]!r}")
            parser.feed(data)
        except (FramingError, ValueError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            self._transport.abort()
            return
        self._go_on(parser, len(data))

    def _go_on(self, parser: ResponseParser, size: int) -> None:
        """Do what the habits say after `size` bytes more."""
        habits, received = self._habits, len(parser.seen.body)
        if parser.done:
            self._end()
        elif habits.leaves_after is not None and received >= habits.leaves_after:
            self._leave(parser)
        elif habits.stalls_after is not None and received >= habits.stalls_after:
            self._transport.pause_reading()
            self._loop.call_later(STALL, self._read_on)
        elif habits.rate is not None:
            self._transport.pause_reading()
            self._loop.call_later(size / habits.rate, self._read_on)

    @override
    def eof_received(self) -> None:
        self._said = True

    def _read_on(self) -> None:
        if not self._lost:
            self._transport.resume_reading()

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._writable.set()
        if self._parser is not None and self._parser.seen.end is None:
            self._parser.close(said=self._said)
            self._end()

    def _end(self) -> None:
        if self._parser is not None and self._parser.done:
            self._parser.seen.end = Saw.CLEAN
        if not self.over.done():
            self.over.set_result(None)
