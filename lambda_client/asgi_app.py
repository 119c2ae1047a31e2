"""Runs an ASGI application (HTTP and lifespan) inside a function, streaming what it sends.

After the ASGI specification, version 3.0, HTTP & Lifespan protocols.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from lambda_client.app_response import AppResponse
from lambda_client.entry import answer, entry_point
from lambda_client.errors import StreamClosed
from lambda_client.http_event import HttpRequest
from lambda_client.lifespan import Lifespan
from lambda_client.main_loop import main_loop, run_async
from lambda_client.request import request_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.lifespan import Application, Mode
    from lambda_client.request import RequestBody
    from lambda_client.response import Outlet

    Message = dict[str, Any]

logger = logging.getLogger("dialback")

DISCONNECT_GRACE = 0.5
"""Seconds between `http.disconnect` and the cancellation of an application that did not stop. The
gateway is told after two seconds in any case, and each of them is paid for."""

RETURN_PATIENCE = 0.002
"""Seconds that an application may take to return once it has said all. A small answer waits for that,
since it is cheapest as the return value; one with a background task behind it goes ahead. Unwinding
through middleware and dependencies takes less, and nobody sees 2 ms."""

_START, _BODY = "http.response.start", "http.response.body"
_HEADER = "a header of http.response.start"

_SPEC = {"version": "3.0", "spec_version": "2.4"}  # 2.4: `send` raises OSError once nobody listens


class ClientDisconnected(OSError):
    """Nobody takes the response any more: the client left, or the function's time is over."""


def asgi(app: Application, *, lifespan: Mode = "auto") -> Callable[[Any, Any], Any]:
    """Return a Lambda handler that runs an ASGI application.

    What the application sends leaves at once. When the client leaves, `receive` returns
    ``http.disconnect`` and `send` raises OSError; an application that goes on is cancelled. The
    event and the context are in the scope, as ``scope["aws.event"]`` and ``scope["aws.context"]``.

    Args:
        app: ASGI 3.
        lifespan: ``on``, ``off``, or ``auto``: run it if the application has one. It starts once
            in an environment, with the first invocation.

    Raises:
        ValueError: `lifespan` is something else.
    """
    once = Lifespan(app, lifespan)

    def handler(event: Any, context: Any = None) -> Any:
        def respond(outlet: Outlet) -> Any:
            cycle = _Cycle(app, event, context, outlet)
            run_async(cycle.run(once), cycle.watch)
            return outlet.finish()

        return answer(event, context, respond)

    return entry_point(handler)


class _Cycle:
    """One request and its response."""

    def __init__(self, app: Application, event: Any, context: Any, outlet: Outlet) -> None:
        self._app = app
        self._outlet = outlet
        self._request = HttpRequest.parse(event)
        self._response = AppResponse(outlet, self._request.method)
        self._extras = {"aws.event": event, "aws.context": context}
        self._body: RequestBody | None = request_body(event)
        self._lost: StreamClosed | None = None
        self._returned = False  # the application did
        self._over = False  # nobody listens any more, or nothing is left to say
        self._waits: asyncio.Event | None = None  # for that
        self._timers: list[asyncio.TimerHandle] = []

    # ------------------------------------------------------------ the run

    def watch(self, stop: Callable[[], None] | None) -> None:
        """Name what stops the application; it is told first, and stopped a little later."""
        if stop is None:
            self._outlet.watch(None)
            for timer in self._timers:
                timer.cancel()
        else:
            self._outlet.watch(lambda: self._tell(stop))

    def _tell(self, stop: Callable[[], None]) -> None:
        main_loop().call_soon_threadsafe(self._on_gone, stop)

    def _on_gone(self, stop: Callable[[], None]) -> None:
        self._lose(StreamClosed("nobody takes the response any more"))
        self._later(DISCONNECT_GRACE, stop)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, action))

    def _go_ahead(self) -> None:
        """The application has said all, and does not return: whatever it still does, its response shall leave."""
        if not self._returned:
            self._response.open()

    def _lose(self, why: StreamClosed) -> None:
        self._lost = self._lost or why
        self._end()

    def _end(self) -> None:
        self._over = True
        if self._waits is not None:
            self._waits.set()

    async def run(self, lifespan: Lifespan) -> None:
        """Let the application answer.

        Raises:
            StreamClosed: nobody takes the response any more.
            Exception: the application's own, after its response began.
        """
        await lifespan.ensure_started()
        try:
            await self._app(self._scope(lifespan), self._receive, self._send)
        except Exception as error:
            if self._response.complete:
                logger.exception("exception in the ASGI application, after its response")
            elif self._lost is not None:
                logger.info("the application stopped, since nobody listens: %r", error)
            elif self._response.started:
                raise
            else:
                logger.exception("exception in the ASGI application")
                self._response.fail()
        self._returned = True
        if not self._response.complete:
            self._give_up()

    def _give_up(self) -> None:
        """Answer for an application that did not."""
        if self._lost is not None:
            raise self._lost
        if self._response.started:
            raise RuntimeError("the ASGI application returned in the middle of its response")
        logger.error("the ASGI application returned without a response")
        self._response.fail()

    def _scope(self, lifespan: Lifespan) -> dict[str, Any]:
        request = self._request
        return {
            "type": "http",
            "asgi": _SPEC,
            "http_version": request.version,
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path.decode("utf-8", "replace"),
            "raw_path": request.raw_path,
            "query_string": request.query,
            "root_path": request.root_path.decode("utf-8", "replace"),
            "headers": list(request.headers),
            "client": None if request.client is None else (request.client, 0),
            "server": request.server,
            "state": lifespan.state.copy(),
            "extensions": {},
            **self._extras,
        }

    # ------------------------------------------------------------ what the application calls

    async def _receive(self) -> Message:
        body = self._body
        if body is not None and not self._over:
            try:
                chunk = await body.next_async()
            except StreamClosed as error:
                self._lose(error)
            else:
                more = bool(chunk) and body.streamed
                if not more:
                    self._body = None
                return {"type": "http.request", "body": chunk, "more_body": more}
        if not self._over:
            self._waits = self._waits or asyncio.Event()
            await self._waits.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind, response = message["type"], self._response
        if response.complete:
            raise RuntimeError(f"{kind!r} after the response was complete")
        if kind != (_BODY if response.started else _START):
            raise RuntimeError(f"{kind!r} is not what comes next in a response")
        try:
            if kind == _START:
                pairs = message.get("headers", ())
                headers = tuple(
                    [
                        (_bytes(name, _HEADER).lower(), _bytes(value, _HEADER))
                        for name, value in pairs
                    ]
                )
                response.start(message["status"], headers)
                response.announce(message["status"], headers)
                return
            more = message.get("more_body", False)
            piece = response.take(_bytes(message.get("body", b""), _BODY), more=more)
            if piece:
                await self._outlet.write_async(piece)
            elif more:
                self._outlet.flush()
            if not more:
                response.end()
                self._end()
            if not response.opened:
                self._later(RETURN_PATIENCE, self._go_ahead)
        except StreamClosed as error:
            self._lose(error)
            # The session keeps it, and with its traceback every frame above, whose generators would stay open.
            raise ClientDisconnected(str(error)) from error.with_traceback(None)


def _bytes(value: object, what: str) -> bytes:
    """Return what an application sends; a number would become as many zeros."""
    if type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"{what} is bytes, not {type(value).__name__}")
