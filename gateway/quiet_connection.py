"""aiohttp's server side of a connection, which repeats nothing that a stranger sent, and holds little of it.

And which lets no trailer of one request pass for a header of the next. aiohttp's parser does (3.14): it keeps the
last one, and puts it before the headers of whatever follows. What trailers a body in chunks had, nobody is told.
So a connection goes on behind such a body only if there was nothing between its last chunk and the end of what
came; else it ends with the answer, as it may at any time (RFC 9112 section 9.6).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, cast

from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from typing_extensions import override

if TYPE_CHECKING:
    from collections import deque
    from logging import Logger

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter

THEIRS = (HttpProcessingError, web.RequestPayloadError, ClientPayloadError)
"""What aiohttp raises about bytes that a peer sent; the text holds some of them."""

_LAST_CHUNK = b"\r\n0\r\n\r\n"
"""Behind a head or a chunk: the end of a body that has no trailers (RFC 9112 section 7.1)."""

UNFINISHED_MAX = 128 * 1024
"""Bytes of a head that does not end, or of trailers: more than any listener lets through (80 KiB, at the edge). To
aiohttp's parser each of 128 lines may be as long as the longest, and takes half as much again: 3 MiB."""

TOO_MANY = "Too many headers"
"""How the parser's own words begin for more headers than there may be."""


class _TooMuch:
    """Takes the place of a parser that holds too much, and says so of whatever comes."""

    def feed_data(self, _: bytes) -> NoReturn:
        raise BadHttpMessage(TOO_MANY)

    def message_consumed(self) -> None:
        """There is room for no further request."""

    def pause_reading(self) -> None:
        """Nothing is read."""


class _Few(list[Any]):
    """Requests that wait on a connection, 32 at most: a deque takes 760 bytes when there is none."""

    def popleft(self) -> Any:
        return self.pop(0)


class Sent(web.StreamResponse):
    """What aiohttp is told about a response that was written past it: whether the connection goes on.

    aiohttp calls `prepare` and `write_eof` on whatever a handler returns, and reads `keep_alive`.
    Its own `prepare` would add Server and Content-Type, and send a second head.
    """

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    @override
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


class QuietConnection(web.RequestHandler):
    """aiohttp's own, mended: its log lines and error pages quote the request, tokens and all."""

    logger: Logger
    _body: StreamReader = EMPTY_PAYLOAD  # the newest request's, if its end has not come
    _in_chunks = False  # whether that has no length
    _last_bytes = b""  # of what came since it began
    _unfinished = 0  # bytes that came since something came of them

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._messages = cast("deque[Any]", _Few())

    @property
    def closing(self) -> bool:
        """Whether no further request is taken."""
        return self._close

    @override
    def data_received(self, data: bytes) -> None:
        known, body = len(self._messages), self._body
        before = body.total_bytes
        taken = body is not EMPTY_PAYLOAD and not (known and self._messages[-1][1] is body)
        super().data_received(data)
        if taken and body.is_eof() and self._parser is not None:
            # aiohttp counts a request as one that waits once it has ended, although a handler has had it for long:
            # its parser would stop one too early, and nobody have it go on.
            self._parser.message_consumed()
            super().data_received(b"")
        if len(self._messages) > known:
            self._unfinished = 0
            self._note_requests(known)
        elif body.total_bytes > before:
            self._unfinished = 0
        else:
            self._unfinished += len(data)
            if self._unfinished > UNFINISHED_MAX and not self._upgraded:
                self._parser = cast("Any", _TooMuch())
                super().data_received(b"")
        if self._body is not EMPTY_PAYLOAD:
            self._look_for_end(data)

    def _note_requests(self, known: int) -> None:
        """See what came; no request is taken behind a body in chunks that has ended in the same read.

        Args:
            known: how many requests waited before.
        """
        for place, (message, body) in enumerate(list(self._messages)[known:], known):
            if not isinstance(message, RawRequestMessage):
                self._body = EMPTY_PAYLOAD  # the parser gave up: that ends the connection
            elif self._body is not EMPTY_PAYLOAD and self._in_chunks:
                self._stop_before(place)
                return
            else:
                self._body, self._in_chunks, self._last_bytes = body, message.chunked, b""

    def _look_for_end(self, data: bytes) -> None:
        """Take no request behind the newest body if that has ended, unless it surely had no trailers."""
        size = len(_LAST_CHUNK)
        if self._in_chunks:
            self._last_bytes = (self._last_bytes + data[-size:])[-size:]
        if self._body.is_eof():
            self._body = EMPTY_PAYLOAD
            if self._in_chunks and (self._last_bytes != _LAST_CHUNK or self._buffer_paused):
                self._stop_before(len(self._messages))

    def _stop_before(self, place: int) -> None:
        """End the connection with the answer to what it is at, or is about to be."""
        while len(self._messages) > place:
            self._messages.pop()
        self._body = EMPTY_PAYLOAD
        self.close()

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None:
            # aiohttp keeps it with the request; its frames hold that, and what was being written: a circle.
            exc.__traceback__ = None
        super().connection_lost(exc)
        self._body = EMPTY_PAYLOAD  # one that was broken off knows us: a circle as well

    def idle_since(self) -> float | None:
        """When the last answer was given, if the kernel has all of it and no other request came (see `gateway.crowds`).

        A head that is not whole is none: it may be dribbling.
        """
        waits = self._waiter is not None and not self._waiter.done()
        if not waits or self.transport is None or self.transport.get_write_buffer_size():
            return None
        return self._next_keepalive_close_time - self.keepalive_timeout

    def give_way(self) -> None:
        """End at once (see `gateway.crowds`): by a clean close, unless something is still to be written."""
        if self.idle_since() is not None:
            self.force_close()
        elif self.transport is not None:
            self.transport.abort()

    @override
    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        if isinstance(error, THEIRS):
            self.logger.info("request refused: %s", type(error).__name__)
        else:
            super().log_exception(*args, **kw)

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        self.log_exception("serving failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        reason = "bad request" if status < 500 else "the gateway failed"
        answer = web.Response(
            status=status,
            body=json.dumps({"error": reason}).encode(),
            content_type="application/json",
        )
        answer.force_close()
        return answer
