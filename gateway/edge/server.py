"""The HTTP server of the edge: aiohttp's low-level one, with our answer to what it cannot parse."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from typing_extensions import override

from gateway.crowds import Crowd, CrowdServer
from gateway.edge.client_request import ClientRequest
from gateway.edge.response import WRITE_HIGH_WATER, Sink
from gateway.edge.sent import SENT_LAST, reset_on_close
from gateway.errors import BadRequest, GatewayError, HeadTooLarge, TargetTooLong
from gateway.quiet_connection import TOO_MANY, QuietConnection

if TYPE_CHECKING:
    from aiohttp.typedefs import RawHeaders

    from gateway.crowds import Handler
    from gateway.edge.handler import EdgeHandler
    from gateway.edge.origin import Origin
    from gateway.telemetry import Telemetry
    from gateway.timing import Timing

log = logging.getLogger("dialback.edge")

KEEP_ALIVE_SECONDS = 75.0
"""Longer than the idle time of the load balancers and CDNs that may stand before us (60 s at most by
default): whoever reuses a connection must be the one to close it first."""

FLUSH_STEP = 0.05
"""Seconds between two looks at what slow clients have left, while the gateway stops."""

FIELD_MAX = 16 * 1024
"""Bytes in a request header: what AWS load balancers let through."""

TARGET_MAX = 16 * 1024 - 64
"""Bytes in a request target: as much for its line, with room for method and version. aiohttp tells by the
limit alone what was over it, so the two must differ."""

HEADERS_MAX = 128
"""Headers of a request: as many as a response may have."""


class EdgeServer(CrowdServer):
    """Parses HTTP and hands every request to an `EdgeHandler`.

    A handler is cancelled when its client leaves; bodies are passed on as they came.
    """

    def __init__(
        self,
        handler: EdgeHandler,
        telemetry: Telemetry,
        timing: Timing,
        crowd: Crowd | None = None,
    ) -> None:
        """Take the parts; without `crowd`, any number of connections."""
        super().__init__(
            cast("Handler", handler.handle),
            Crowd("edge", sys.maxsize) if crowd is None else crowd,
            request_factory=ClientRequest,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            logger=log,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            # The handler deals with unread bodies itself; aiohttp would read on for 10 s.
            lingering_time=0,
            max_line_size=TARGET_MAX,
            max_field_size=FIELD_MAX,
            max_headers=HEADERS_MAX,
        )
        self.telemetry = telemetry
        self.access = handler.access
        self.request_head = timing.request_head
        self._write_stall = timing.write_stall
        self._look: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()
        self._gone.set()
        self._open: dict[web.RequestHandler, asyncio.Transport] = {}

    def reset(self) -> None:
        """End whatever is open by a TCP reset: bytes are missing, and a plain end could look clean."""
        for transport in list(self._open.values()):
            reset_on_close(transport)
            transport.abort()

    async def flushed(self) -> None:
        """Wait until the kernel has all that was written: slow clients of whole responses get theirs."""
        while any(  # noqa: ASYNC110 - transports tell nobody when they are empty
            transport.get_write_buffer_size() for transport in self._open.values()
        ):
            await asyncio.sleep(FLUSH_STEP)

    async def disconnected(self) -> None:
        """Wait until every connection has ended."""
        await self._gone.wait()

    def _look_for_stalled(self) -> None:
        """Reset who takes nothing of what is left of a response that has ended: no exchange waits for it."""
        for connection, transport in list(self._open.items()):
            if cast("EdgeConnection", connection).has_stalled(transport):
                log.info("a client that took nothing of the end of its response was reset")
                reset_on_close(transport)
                transport.abort()
        self._look = self._loop.call_later(self._write_stall, self._look_for_stalled)

    @override
    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._open[handler] = transport
        self._gone.clear()
        if self._look is None:
            self._look_for_stalled()

    @override
    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._open.pop(handler, None)
        if not self._open:
            self._gone.set()
            if self._look is not None:
                self._look.cancel()
                self._look = None

    @override
    def __call__(self) -> web.RequestHandler:
        return EdgeConnection(self, loop=self._loop, **self._kwargs)


class EdgeConnection(QuietConnection):
    """aiohttp's connection, mended in five places.

    Its error page is text that repeats what the client sent; whoever reads a body that breaks the
    framing half-way is left waiting; one that gave up waiting for room cancels the wait of the next;
    a client that never sends a head may stay for ever; and it closes without asking whether a close is
    the end of a body.

    Attributes:
        peer: IP address of the other end; empty if it has none.
        scheme: ``http`` or ``https``.
        headers_before: those of a request that came here, and whose they are.
    """

    peer, scheme = "", "http"
    headers_before: tuple[RawHeaders, Origin] | None = None
    _first_head: asyncio.TimerHandle | None = None
    _ended: asyncio.Transport | None = None
    _left: tuple[int, int] | None = None  # bytes of a response, and which

    def has_stalled(self, transport: asyncio.Transport) -> bool:
        """Tell whether nothing was taken of the end of a response since this was asked the last time."""
        left, before = transport.get_write_buffer_size(), self._left
        ended = self._ended is not None or self._current_request is None
        self._left = (left, self._request_count) if left and ended else None
        return self._left is not None and self._left == before

    def end_cleanly(self, transport: asyncio.Transport) -> None:
        """Let a close be a FIN, once the kernel has all: however it comes to that, and not before.

        Args:
            transport: of this connection, to which the last byte was written.
        """
        transport.set_write_buffer_limits(high=0)
        if transport.get_write_buffer_size():
            self._ended = transport  # aiohttp forgets it when it closes it
        else:
            reset_on_close(transport, wanted=False)

    @override
    def resume_writing(self) -> None:
        if self._ended is not None:
            reset_on_close(self._ended, wanted=False)
        super().resume_writing()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=WRITE_HIGH_WATER)
        if self.peername:
            self.peer = str(self.peername[0])
        if self.ssl_context is not None:
            self.scheme = "https"
        if isinstance(self._manager, EdgeServer):
            self._first_head = self._loop.call_later(self._manager.request_head, self._no_head)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting_for_head()
        super().connection_lost(exc)

    def _no_head(self) -> None:
        log.debug("a connection without a request was closed")
        self.force_close()

    def _stop_waiting_for_head(self) -> None:
        if self._first_head is not None:
            self._first_head.cancel()
            self._first_head = None

    @override
    async def _drain_helper(self) -> None:
        if self._drain_waiter is not None and self._drain_waiter.cancelled():
            self._drain_waiter = None
        try:
            await super()._drain_helper()
        except ConnectionError as error:
            error.__traceback__ = None  # the frame of super's holds what holds the error: a circle
            raise

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._first_head is not None and self._messages:
            self._stop_waiting_for_head()
            if isinstance(self._manager, EdgeServer):
                self._manager.crowd.knows(self)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._messages[-1][0].exc.__traceback__ = None  # its frames hold the messages: a circle
            # The parser gave up: in the body of the request before, unless that had ended.
            if len(self._messages) > 1:
                body = self._messages[-2][1]
            elif self._current_request is not None:
                body = self._current_request.content
            else:
                return
            if not body.is_eof():
                body.set_exception(web.RequestPayloadError("malformed framing"))

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        error = _named(status, exc)
        sink = Sink(cast("ClientRequest", request), secrets.token_hex(16), keep_alive=False)
        sink.send_error(error.status, error.public)
        if isinstance(self._manager, EdgeServer):
            self._manager.telemetry.refused(error.status)
            self._manager.access.refused(sink, error)
        return SENT_LAST


def _named(status: int, exc: BaseException | None) -> GatewayError:
    """Return our own error for what aiohttp could not parse, or for a bug."""
    if isinstance(exc, LineTooLong):
        return HeadTooLarge() if FIELD_MAX in exc.args else TargetTooLong()
    if isinstance(exc, HttpProcessingError):
        return HeadTooLarge() if exc.message.startswith(TOO_MANY) else BadRequest()
    failure = GatewayError(public=BadRequest.public if status < 500 else "the gateway failed")
    failure.status = status
    return failure
