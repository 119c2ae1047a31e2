"""Runs a WSGI application inside a function, streaming what it yields (PEP 3333)."""

from __future__ import annotations

import io
import logging
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lambda_client.app_response import AppResponse
from lambda_client.entry import answer, entry_point
from lambda_client.errors import StreamClosed
from lambda_client.http_event import NAMES_KEPT, HttpRequest
from lambda_client.request import request_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from lambda_client.request import RequestBody
    from lambda_client.response import Outlet
    from protocol.headers import HeaderList

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
    StartResponse = Callable[..., Callable[[bytes], None]]
    Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

logger = logging.getLogger("dialback")


def wsgi(app: Application) -> Callable[[Any, Any], Any]:
    """Return a Lambda handler that runs a WSGI application.

    Each piece that the application yields, or gives to `write`, leaves at once; its `close` is called
    whatever happens. When the client leaves, the iteration ends. The event and the context are in the
    environment as ``aws.event`` and ``aws.context``.
    """

    def handler(event: Any, context: Any = None) -> Any:
        def respond(outlet: Outlet) -> Any:
            _Cycle(app, event, context, outlet).run()
            return outlet.finish()

        return answer(event, context, respond)

    return entry_point(handler)


class _Cycle:
    """One request and its response."""

    def __init__(self, app: Application, event: Any, context: Any, outlet: Outlet) -> None:
        self._app = app
        self._outlet = outlet
        request = HttpRequest.parse(event)
        self._response = AppResponse(outlet, request.method)
        self._environ = _environ(request, request_body(event))
        self._environ |= {"aws.event": event, "aws.context": context}
        self._head: tuple[int, HeaderList] | None = None

    def run(self) -> None:
        """Let the application answer.

        Raises:
            StreamClosed: nobody takes the response any more.
            Exception: the application's own, after its response began.
        """
        try:
            self._serve()
        except Exception as error:
            if self._response.complete:
                logger.exception("exception in the WSGI application, after its response")
                return
            if self._response.started or isinstance(error, StreamClosed):
                raise
            logger.exception("exception in the WSGI application")
            self._response.fail()

    def _serve(self) -> None:
        pieces = self._app(self._environ, self._start_response)
        # What is in a list is all made already: nothing has to leave before the rest.
        more = not isinstance(pieces, list | tuple)
        try:
            for piece in pieces:
                self._write(piece, more=more)
                if self._response.bodiless:
                    break
            if not self._response.started:
                self._send_head()
            self._response.end()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    # ------------------------------------------------------------ what the application calls

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take status and headers; they leave with the first piece that is not empty."""
        if exc_info is not None and exc_info[1] is not None and self._response.started:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise AssertionError("start_response was called twice, without exc_info")
        pairs = [
            (name.encode("latin-1").lower(), value.encode("latin-1")) for name, value in headers
        ]
        self._head = int(status[:3]), tuple(pairs)
        self._response.announce(*self._head)
        return self._write

    def _write(self, piece: bytes, *, more: bool = True) -> None:
        if self._head is None:
            raise AssertionError("a body before start_response")
        if not isinstance(piece, bytes):
            raise TypeError(f"a WSGI application yields bytes, not {type(piece).__name__}")
        if not piece:
            return
        if not self._response.started:
            self._send_head()
        piece = self._response.take(piece, more=more and not self._response.bodiless)
        if piece:
            self._outlet.write(piece)
        else:
            self._outlet.flush()

    def _send_head(self) -> None:
        if self._head is None:
            raise AssertionError("the application did not call start_response")
        self._response.start(*self._head)


class _Input(io.RawIOBase):
    """``wsgi.input``: the request body as a raw file; a BufferedReader makes lines of it."""

    def __init__(self, body: RequestBody) -> None:
        super().__init__()
        self._body = body
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what has come, waiting for the first byte; 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._body, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _environ(request: HttpRequest, body: RequestBody) -> dict[str, Any]:
    name, port = request.server
    path = request.path.removeprefix(request.root_path)
    target = request.raw_path + (b"?" + request.query if request.query else b"")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": request.root_path.decode("latin-1"),
        "PATH_INFO": path.decode("latin-1"),  # PEP 3333: bytes, as latin-1
        "QUERY_STRING": request.query.decode("latin-1"),
        "REQUEST_URI": target.decode("latin-1"),
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": io.BufferedReader(_Input(body)),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if request.client is not None:
        environ["REMOTE_ADDR"] = request.client
    for header, value in request.headers:
        if key := _variable(header):
            text = value.decode("latin-1")
            if key in environ:
                text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
            environ[key] = text
    if body.length:
        environ["CONTENT_LENGTH"] = str(body.length)  # a client that sent chunks named none
    return environ


@lru_cache(maxsize=NAMES_KEPT)
def _variable(header: bytes) -> str | None:
    # An underscore is indistinguishable from a dash: a way to forge headers (as nginx drops them).
    if b"_" in header:
        return None
    key = header.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
