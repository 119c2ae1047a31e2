"""One HTTP request at the edge: name it, find its route, let the driver serve it, log it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Protocol

from gateway.edge.access import AccessLog
from gateway.edge.entrance import enter
from gateway.edge.hangup import HangupWatch
from gateway.edge.origin import Proxies
from gateway.edge.refusal import check_request_head
from gateway.edge.request import StreamedBody, read_request
from gateway.edge.response import Outcome, Sink
from gateway.edge.sent import LINGER_SECONDS, SENT, SENT_LAST
from gateway.edge.slices import SlicingSink
from gateway.errors import Draining, GatewayError
from gateway.writing import half_close

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.edge.client_request import ClientRequest
    from gateway.messages import EdgeRequest, ResponseSink
    from gateway.routes import Route, RouteTable
    from gateway.telemetry import Telemetry
    from gateway.timing import Timing

log = logging.getLogger("dialback.edge")

DISCARD_MAX = 64 * 1024
"""Bytes of an unwanted request body that are read to keep a connection: a new one costs about as
much as these (nginx and Go's net/http stop at 64 and 256 KiB)."""

RETRY_AFTER_SECONDS = 1
"""For a refusal that comes with no better advice."""


class Driver(Protocol):
    """Who serves a request once the edge has named and routed it."""

    async def serve(
        self, request: EdgeRequest, route: Route, sink: ResponseSink, exchange_id: str
    ) -> None:
        """Serve one exchange to its end.

        Raises:
            gateway.errors.GatewayError: it failed before the response head; the edge answers.
            asyncio.CancelledError: the client is gone; nothing more can be sent.
        """
        ...


class EdgeHandler:
    """The handler of the edge listener; one object for all requests.

    Attributes:
        access: writes a line for each.
    """

    def __init__(
        self,
        routes: RouteTable,
        driver: Driver,
        telemetry: Telemetry,
        timing: Timing,
        proxies: Proxies | None = None,
        *,
        log_query: bool = False,
    ) -> None:
        """Take the parts; without `proxies`, every client is one."""
        self.access = AccessLog(query=log_query)
        self._proxies = proxies or Proxies()
        self._routes = routes
        self._driver = driver
        self._telemetry = telemetry
        self._upload_grace = timing.upload_grace
        self._draining = False
        self._hangups = HangupWatch()
        self._loop = asyncio.get_running_loop()
        self._open: dict[Sink, asyncio.Task[object] | None] = {}
        self._idle: asyncio.Event | None = None  # once somebody waits for it

    def drain(self) -> None:
        """Refuse what comes from now on, and close each connection after its response."""
        self._draining = True
        for sink in self._open:
            sink.close_after()

    async def idle(self) -> None:
        """Wait until nothing is being served."""
        while self._open:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()

    def close(self) -> None:
        """Let go of what the handler holds beside its requests."""
        self._hangups.close()
        self.access.close()

    def abort(self) -> None:
        """End everything that is being served: refused if its head has not left, else broken."""
        for sink, task in self._open.items():
            if not sink.deserted:
                _shut_down(sink)
            if task is not None:
                task.cancel()

    async def handle(self, request: ClientRequest) -> web.StreamResponse:
        """Serve one request, whatever becomes of it."""
        sink = Sink(request, os.urandom(16).hex(), keep_alive=not self._draining)
        body = StreamedBody(request, lambda: sink.started, self._upload_grace)
        self._open[sink] = asyncio.current_task(self._loop)
        try:
            if not request.has_body or body.complete:
                await self._serve(request, body, sink)
            else:
                with self._hangups.watching(request.transport):
                    await self._serve(request, body, sink)
                await _settle(request, body, sink)
        except Exception:
            if not sink.started:
                raise
            # aiohttp would answer with an error page, behind what has been sent already.
            log.exception("serving failed", extra={"exchange": sink.exchange_id})
            sink.abort()
            sink.close_after()
        finally:
            if request.has_body:
                body.close()
            sink.close()
            del self._open[sink]
            if self._idle is not None and not self._open:
                self._idle.set()
                self._idle = None
        if sink.keep_alive:
            return SENT
        await sink.leave()
        return SENT_LAST

    async def _serve(self, request: ClientRequest, body: StreamedBody, sink: Sink) -> None:
        edge_request = read_request(request, body, self._proxies, sink.exchange_id)
        try:
            self._admit(request, sink)
            found = enter(self._routes, edge_request, sink)
        except GatewayError as error:
            self._telemetry.refused(error.status)
            _refuse(sink, body, error)
            self.access.refused(sink, error, edge_request)
            return
        if found is None:
            self._telemetry.preflights += 1
            self.access.preflight(sink, edge_request)
        else:
            await self._exchange(*found, body, sink)

    def _admit(self, request: ClientRequest, sink: Sink) -> None:
        if self._draining:
            raise Draining
        try:
            check_request_head(request)
        except GatewayError:
            sink.close_after()
            raise

    async def _exchange(
        self, route: Route, edge_request: EdgeRequest, body: StreamedBody, sink: Sink
    ) -> None:
        """Let the driver serve, answer what it raises, and have it all logged."""
        begun = time.monotonic()
        sink.tell_events, sink.heartbeat = route.sse_error_event, route.sse_heartbeat
        sink.compress = route.compress
        body.most = route.request_body_max
        note, if_open = "", "failed"
        try:
            to = SlicingSink(sink) if route.compress else sink
            await self._driver.serve(edge_request, route, to, sink.exchange_id)
        except asyncio.CancelledError:
            # Our own reset comes back as a lost connection, and that as a cancellation.
            if_open = "cancelled"
            raise
        except GatewayError as error:
            note = _end_with(sink, body, error)
        except Exception as error:  # a bug of ours must not leave a client without an end
            log.exception("serving failed", extra={"exchange": sink.exchange_id})
            note = _end_with(sink, body, _internal(error))
        else:
            if sink.outcome is Outcome.OPEN:
                note = _end_with(sink, body, _internal(RuntimeError("left without an end")))
        finally:
            outcome = if_open if sink.outcome is Outcome.OPEN else sink.outcome
            seconds = time.monotonic() - begun
            self.access.served(sink, edge_request, route.label, outcome, note, seconds)


def _shut_down(sink: Sink) -> None:
    if not sink.started:
        sink.close_after()
        sink.send_error(503, Draining.public, RETRY_AFTER_SECONDS)
    elif not sink.tell(Draining.public):
        sink.abort()


def _end_with(sink: Sink, body: StreamedBody, error: GatewayError) -> str:
    """End with an error: as a response if there is none yet, else visibly broken."""
    if sink.started:
        sink.abort()
    else:
        _refuse(sink, body, error)
        sink.outcome = Outcome.FAILED
    return f"{type(error).__name__}: {error}"


def _refuse(sink: Sink, body: StreamedBody, error: GatewayError) -> None:
    retry_after = error.retry_after
    if retry_after is None and error.status == 503:
        retry_after = RETRY_AFTER_SECONDS
    if not body.complete and (body.awaits_continue or (body.length or DISCARD_MAX) >= DISCARD_MAX):
        sink.close_after()  # the head says what `_settle` will do
    sink.send_error(error.status, error.public, retry_after, error.headers)


def _internal(error: Exception) -> GatewayError:
    failure = GatewayError(f"{type(error).__name__}: {error}", public="the gateway failed")
    failure.status = 500
    return failure


async def _settle(request: ClientRequest, body: StreamedBody, sink: Sink) -> None:
    """Deal with a request body that nobody read: little of it is thrown away, more ends the line."""
    if body.complete:
        return
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            if sink.keep_alive and not body.awaits_continue and await body.discard(DISCARD_MAX):
                return
    except (TimeoutError, GatewayError) as error:
        log.debug("unread request body: %s", error)
    sink.close_after()
    if half_close(request.transport):
        await _linger(body)


async def _linger(body: StreamedBody) -> None:
    """Take what a client still sends, for a while: many read the answer only afterwards."""
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            await body.discard(None)
            await asyncio.sleep(LINGER_SECONDS)  # cut short by the client's own close
    except (TimeoutError, GatewayError) as error:
        log.debug("unread request body: %s", error)
