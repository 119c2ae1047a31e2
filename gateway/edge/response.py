"""The response side of HTTP/1: our own framing, written straight to the transport.

aiohttp's writer is a coroutine for each chunk; ours is a plain call, so that what a callback appends reaches
the kernel in the same turn of the event loop. aiohttp keeps the connection: parsing, pipelining, keep-alive,
and the transport's flow control.
"""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway.edge.compression import negotiate
from gateway.edge.head import (
    EXCHANGE_HEADER,
    Framing,
    choose_framing,
    framing_lines,
    is_coded,
    is_event_stream,
    render_head,
)
from gateway.edge.heartbeat import COMMENT, Heartbeat
from gateway.edge.sent import LINGER_SECONDS, reset_on_close
from gateway.edge.sse import EventBoundary
from gateway.tls.transport import TlsTransport
from gateway.writing import half_close, write_parts
from protocol.headers import content_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.edge.client_request import ClientRequest
    from gateway.edge.compression import Gzip
    from gateway.messages import Served
    from protocol.headers import HeaderList

WRITE_HIGH_WATER = 128 * 1024
"""Bytes that the transport may hold for one client: two of the largest DATA frames, so that one is on its
way while the next arrives. The kernel's own send buffer (up to 4 MiB) comes before it."""

TELL_SECONDS = 1.0
"""How long a client may take to accept the event that tells why its stream breaks off."""

TELL_PAUSE = 0.1
"""Seconds between that event and the broken end: without, Chromium dropped one event of 25 unread."""

_LAST_CHUNK = b"0\r\n\r\n"


class Outcome(StrEnum):
    """How a response ended."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Sink:
    """One response to one request, as `gateway.messages.ResponseSink`.

    Args:
        request: what it answers.
        exchange_id: sent as ``x-dialback-exchange``.
        keep_alive: False to close the connection after this response whatever the client wants.

    Attributes:
        exchange_id: 32 hex digits.
        status: the status sent, or None.
        keep_alive: whether another request may follow on this connection.
        body_bytes: body bytes handed to the transport.
        outcome: how it ended.
        exchange: that it answers.
        compress: whether the body may be compressed.
        rewrite: what the route does to the headers of a response, ours included; None for nothing.
        tell_events: whether the reader of an event stream is told when it breaks off.
        heartbeat: seconds of silence in an event stream before a comment; 0 for none.
    """

    def __init__(
        self, request: ClientRequest, exchange_id: str, *, keep_alive: bool = True
    ) -> None:
        self._request = request
        self._transport = request.transport
        self._tls = self._transport if isinstance(self._transport, TlsTransport) else None
        self._loop = asyncio.get_running_loop()
        self.exchange_id = exchange_id
        self.keep_alive = keep_alive and request.keep_alive
        self._framing = Framing.NONE
        self._remaining = 0
        self._last_byte = b""
        self._held: tuple[bytes, ...] = ()  # for what follows in this turn of the loop
        self._flusher: asyncio.Handle | None = None
        self._boundary: EventBoundary | None = None
        self._heartbeat: Heartbeat | None = None
        self.tell_events = True
        self.heartbeat = 0.0
        self.compress = False
        self._gzip: Gzip | None = None
        self._frame: Callable[[Sink, Sequence[bytes], int], Sequence[bytes]] = Sink._as_they_are
        self.rewrite: Callable[[HeaderList], HeaderList] | None = None
        self.exchange: Served | None = None
        self.status: int | None = None
        self.body_bytes = 0
        self.outcome = Outcome.OPEN

    @property
    def started(self) -> bool:
        """Whether the head is on its way: too late for another response."""
        return self.status is not None

    def close_after(self) -> None:
        """Let no further request follow on this connection."""
        self.keep_alive = False

    # ------------------------------------------------------------ gateway.messages.ResponseSink

    def begin(self, status: int, headers: HeaderList, *, length: int | None) -> None:
        """Send the response head; it waits for this turn's body bytes, if there are any."""
        if self.status is not None:
            raise RuntimeError("the response head is sent already")
        if self.rewrite is not None:
            headers = self.rewrite(headers)
        promised = content_length(headers) if length is None else length
        events = is_event_stream(headers)
        readable = events and not is_coded(headers)
        if self.compress:
            headers, self._gzip = negotiate(self._request, status, headers, promised)
            promised = promised if self._gzip is None else None
        framing = choose_framing(self._request, status, promised)
        if self._tls is not None:
            self._tls.truncated = True  # until `end`, however it comes to be closed
        if self._request.connection.closing:  # what came behind this request: the head shall say so
            self.keep_alive = False
        if framing is Framing.CLOSE:
            self.keep_alive = False
            reset_on_close(self._transport)  # a FIN is the clean end, even if we are killed
        promised = None if status == 204 else promised  # RFC 9110 section 8.6; else as of a GET
        ours = framing_lines(framing, self._request, promised, keep_alive=self.keep_alive)
        ours.append(EXCHANGE_HEADER + b": " + self.exchange_id.encode())
        self._hold((render_head(self._request.version, status, headers, ours, events=events),))
        self._framing, self._remaining = framing, promised or 0
        if framing is Framing.CHUNKED:
            self._frame = Sink._as_chunk if self._gzip is None else Sink._as_coded_chunk
        if readable and framing is not Framing.NONE:
            self._follow_events()
        self.status = status

    def write(self, parts: Sequence[bytes], *, last: bool = False) -> None:
        """Hand body bytes to the transport, the last ones with the end; all `parts` make one chunk."""
        if self._framing is Framing.NONE or self.outcome is not Outcome.OPEN:
            return
        if self._heartbeat is not None:
            parts = self._heartbeat.pass_on(parts)
        size = sum(map(len, parts))
        # What the transport might not take at once may still be lost: then no end has been sent.
        last = last and self.pending + sum(map(len, self._held)) + size <= WRITE_HIGH_WATER
        if self._framing is Framing.SIZED:
            parts = self._within_length(parts, last=last)
            size = sum(map(len, parts))
        if not size:
            return
        self.body_bytes += size
        if self._boundary is not None:
            for part in parts:
                self._boundary.feed(part)
        if framed := self._frame(self, parts, size):
            (self._hold if last else self._send)(framed)

    @property
    def compressed(self) -> int | None:
        """Body bytes as they went out, if they were compressed."""
        return None if self._gzip is None else self._gzip.size

    @property
    def blocked(self) -> bool:
        """Whether the transport holds more than `WRITE_HIGH_WATER`, or takes nothing any more."""
        return self._request.connection.writing_paused or not self._alive

    @property
    def pending(self) -> int:
        """Bytes that the transport holds."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def deserted(self) -> bool:
        """Whether the client left before an end; see `gateway.messages.ResponseSink`."""
        return self.outcome is Outcome.OPEN and not self._alive

    async def drained(self) -> bool:
        """Wait until the transport holds little again, or the client left: then False."""
        try:
            await self._request.writer.drain()
        except ConnectionError:
            return False
        return self._alive

    def end(self) -> bool:
        """End the body cleanly; see `gateway.messages.ResponseSink`."""
        if self.outcome is not Outcome.OPEN:
            return False
        if not self._alive:
            self.outcome = Outcome.CANCELLED
            return False
        if self._framing is Framing.SIZED and self._remaining:
            self._send(())
            self.abort()
            return False
        if self._heartbeat is not None and (rest := self._heartbeat.rest()):
            self.write((rest,))
        self.outcome = Outcome.COMPLETED
        if self._tls is not None:
            self._tls.truncated = False
        if self._framing is Framing.CHUNKED:
            rest = b"" if self._gzip is None else self._gzip.finish()
            self._send(
                (b"%x\r\n" % len(rest), rest, b"\r\n", _LAST_CHUNK) if rest else (_LAST_CHUNK,)
            )
        else:
            self.body_bytes += len(self._last_byte)
            self._send((self._last_byte,) if self._last_byte else ())
        if self._framing is Framing.CLOSE and self._transport is not None:
            self._request.connection.end_cleanly(self._transport)
        return True

    def abort(self) -> None:
        """Reset the connection.

        A plain close after a body that is delimited by close looks complete (HTTP/1.0; curl exits
        0); a reset is an error for every client, with every framing.
        """
        if self.outcome is Outcome.OPEN:
            self._fail()
            self._reset()

    async def break_off(self, public: str) -> None:
        """End visibly broken; the reader of an event stream is told why, if none is half-sent.

        Args:
            public: what it may read.
        """
        if not self.tell(public):
            self.abort()
            return
        taken = await self._emptied(TELL_SECONDS)
        if taken:
            await asyncio.sleep(TELL_PAUSE)
        if self._transport is None or not self._alive:
            return
        # A reset could overtake the event. Without a terminating chunk, or with bytes missing, a
        # plain close is seen as well.
        if not taken or self._framing is Framing.CLOSE:
            self._reset()
        else:
            half_close(self._transport)

    def tell(self, public: str) -> bool:
        """Send an SSE error event in place of an end; False, and nothing is sent, where none fits.

        In the middle of an event there is no place: an empty line would dispatch the half of it. The
        connection must be closed afterwards, and the body is broken however that is done.
        """
        if not self.tell_events or not self._between_events:
            return False
        event = f"event: error\ndata: {self._describe(public)}\n\n".encode()
        if self._framing is Framing.SIZED and len(event) >= self._remaining:
            return False
        self._fail()
        self._insert(event)
        return True

    def send_error(
        self, status: int, public: str, retry_after: int | None = None, more: HeaderList = ()
    ) -> None:
        """Answer with ``{"error", "exchange"}``, which is all that a client learns of a failure."""
        text = self._describe(public) + "\n"
        headers: HeaderList = ((b"content-type", b"application/json"), *more)
        if retry_after is not None:
            headers += ((b"retry-after", b"%d" % retry_after),)
        self.begin(status, headers, length=len(text))
        self.write((text.encode(),), last=True)
        self.end()

    async def leave(self) -> None:
        """Send the end that is a FIN, where it is one, and hear the client out for a moment."""
        ended = self._framing is Framing.CLOSE and self.outcome is Outcome.COMPLETED
        if ended and await self._emptied(None) and half_close(self._transport):
            await asyncio.sleep(LINGER_SECONDS)  # cut short by the client's own close

    def close(self) -> None:
        """Nothing more is sent, however it ended."""
        if self._heartbeat is not None:
            self._heartbeat.close()
            self._heartbeat = None

    # ------------------------------------------------------------ inside

    def _follow_events(self) -> None:
        self._boundary = EventBoundary()
        # What the length of a sized body counts is the function's alone.
        if self.heartbeat and self._framing is not Framing.SIZED:
            self._heartbeat = Heartbeat(self.heartbeat, self._beat)

    def _beat(self) -> bool:
        """Send a comment, unless bytes are on their way yet: those would tell as much.

        And who takes nothing is found out by what the transport holds, which no comment may change.
        """
        fits = self._between_events and not self.pending
        if fits:
            self._insert(COMMENT)
        return fits

    @property
    def _between_events(self) -> bool:
        """Whether something of ours may stand here, in an event stream that goes on."""
        open_ = self.outcome is Outcome.OPEN and self._alive
        return open_ and self._boundary is not None and self._boundary.between_events

    def _insert(self, event: bytes) -> None:
        """Send what is not the function's."""
        self._send(self._frame(self, (event,), len(event)))

    @property
    def _alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def _emptied(self, seconds: float | None) -> bool:
        """Wait until the transport holds nothing any more; False if the client is too slow."""
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.timeout(seconds):
                return await self.drained()
        except TimeoutError:
            return False

    def _describe(self, public: str) -> str:
        return json.dumps({"error": public, "exchange": self.exchange_id})

    def _fail(self) -> None:
        self.outcome = Outcome.FAILED
        self.keep_alive = False

    def _reset(self) -> None:
        self._held = ()
        if self._transport is not None and self._alive:
            reset_on_close(self._transport)
            self._transport.abort()

    # How body bytes are framed: `_frame` is one of these, chosen once for each response.

    def _as_they_are(self, parts: Sequence[bytes], _: int) -> Sequence[bytes]:
        return parts

    def _as_chunk(self, parts: Sequence[bytes], size: int) -> Sequence[bytes]:
        return (b"%x\r\n" % size, *parts, b"\r\n")

    def _as_coded_chunk(self, parts: Sequence[bytes], _: int) -> Sequence[bytes]:
        coded = b"" if self._gzip is None else self._gzip.feed(parts)
        # A chunk of no bytes would be the clean end.
        return self._as_chunk((coded,), len(coded)) if coded else ()

    def _hold(self, parts: Sequence[bytes]) -> None:
        """Let bytes wait for those that follow in this turn of the loop: each write is a system call."""
        self._held = (*self._held, *parts)
        if self._flusher is None:
            self._flusher = self._loop.call_soon(self._send, ())

    def _send(self, parts: Sequence[bytes]) -> None:
        if self._held:
            parts, self._held = (*self._held, *parts), ()
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        if parts and self._transport is not None and self._alive:
            write_parts(self._transport, parts)

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
