"""The Runtime API of one worker: what awslambdaric talks to.

After AWS's "Using the Lambda runtime API for custom runtimes" (version 2018-06-01). Each worker has
a listening port of its own, so that a request tells by where it arrives which process speaks.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final, Protocol, cast

from gateway.invoke.local.http1 import BadHttp, Request, RequestReader
from gateway.invoke.local.limits import RESPONSE_MAX

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

_PREFIX: Final = b"/2018-06-01/runtime/"
_NEXT: Final = _PREFIX + b"invocation/next"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# Up to this size head and event go out in one write; beyond it the copy costs more than a second.
_JOIN_MAX: Final = 64 * 1024


def _answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


def _refusal(status: bytes, error_type: str, message: str) -> bytes:
    return _answer(status, f'{{"errorMessage":"{message}","errorType":"{error_type}"}}\n'.encode())


_ACCEPTED: Final = _answer(b"202 Accepted", b'{"status":"OK"}\n')
_NOT_FOUND: Final = _refusal(b"404 Not Found", "NotFound", "no such resource")
_INVALID_ID: Final = _refusal(b"400 Bad Request", "InvalidRequestID", "Invalid request ID")
_TOO_LARGE: Final = _refusal(
    b"413 Request Entity Too Large",
    "RequestEntityTooLarge",
    f"Exceeded maximum allowed payload size ({RESPONSE_MAX} bytes).",
)


class RuntimeListener(Protocol):
    """The worker, as its Runtime API sees it."""

    def next_requested(self) -> None:
        """The runtime waits for an invocation; `RuntimeApi.send` reaches it from now on."""
        ...

    def answered(self, request_id: bytes, body: bytes | None, *, failed: bool) -> bool:
        """The handler of an invocation returned, or raised.

        Args:
            request_id: which invocation.
            body: what it returned, or AWS's error object; None: it was over the limit.
            failed: whether it raised.

        Returns:
            Whether this is the invocation that the worker has been given; if not, nothing changed.
        """
        ...

    def init_failed(self, body: bytes) -> None:
        """The runtime could not import the handler; `body` is AWS's error object."""
        ...

    def next_lost(self) -> None:
        """The connection on which the runtime waited has gone."""
        ...

    def disconnected(self) -> None:
        """The last connection has gone."""
        ...


class RuntimeApi:
    """One listening port on loopback, and the connections to it."""

    def __init__(self, listener: RuntimeListener) -> None:
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._waiting: asyncio.Transport | None = None
        self.address = ""

    async def start(self) -> None:
        """Listen on a free loopback port; `address` is ``host:port`` afterwards."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return bool(self._connections)

    def send(self, head: bytes, event: bytes) -> None:
        """Answer the waiting ``GET /next``: `head` is the whole HTTP head of the answer."""
        transport, self._waiting = self._waiting, None
        if transport is None:
            return
        if len(event) <= _JOIN_MAX:
            transport.write(head + event)
        else:
            transport.write(head)
            transport.write(event)

    def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._waiting = None
        for connection in tuple(self._connections):
            connection.transport.abort()

    def _connect(self) -> _Connection:
        return _Connection(self)

    def opened(self, connection: _Connection) -> None:
        """Note a connection."""
        self._connections.add(connection)

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if connection.transport is self._waiting:
            self._waiting = None
            self._listener.next_lost()
        if not self._connections:
            self._listener.disconnected()

    def serve(self, transport: asyncio.Transport, request: Request) -> bytes | None:
        """Act on a request; return the whole HTTP answer, or None if it comes later."""
        if request.path == _NEXT and request.method == b"GET":
            self._waiting = transport
            self._listener.next_requested()
            return None
        if not request.path.startswith(_PREFIX):
            return _NOT_FOUND
        match request.method, request.path[len(_PREFIX) :].split(b"/"):
            case b"POST", [b"invocation", request_id, (b"response" | b"error") as kind]:
                body = request.body
                if not self._listener.answered(request_id, body, failed=kind == b"error"):
                    return _INVALID_ID
                return _TOO_LARGE if body is None else _ACCEPTED
            case b"POST", [b"init", b"error"]:
                self._listener.init_failed(request.body or b"{}")
                return _ACCEPTED
            case _:
                return _NOT_FOUND


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._reader = RequestReader(RESPONSE_MAX)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._api.opened(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._api.closed(self)

    @override
    def data_received(self, data: bytes) -> None:
        try:
            requests = self._reader.feed(data)
        except BadHttp:
            self.transport.abort()
            return
        if self._reader.expects_continue:
            self._reader.expects_continue = False
            self.transport.write(_CONTINUE)
        for request in requests:
            answer = self._api.serve(self.transport, request)
            if answer is not None:
                self.transport.write(answer)
