"""One request of a client, as aiohttp's connection hands it over: what the edge asks of it, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import EMPTY_PAYLOAD

if TYPE_CHECKING:
    import asyncio

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage

    from gateway.edge.server import EdgeConnection


class ClientRequest:
    """Stands in for aiohttp's request, which makes what only applications want, and has a call for each look.

    Attributes:
        method: in upper case.
        version: of HTTP, major and minor.
        raw_path: the request target as it came.
        headers: by name, whatever its case.
        raw_headers: in their order, as they came.
        keep_alive: whether another request may follow on this connection, as far as its client goes.
        content: reads the body.
        has_body: whether there is one, however long.
        connection: that it came on.
        transport: of the connection; None if that is lost already.
        writer: waits for room in it.
    """

    __slots__ = (
        "_task",
        "connection",
        "content",
        "has_body",
        "headers",
        "keep_alive",
        "method",
        "raw_headers",
        "raw_path",
        "transport",
        "version",
        "writer",
    )

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        connection: EdgeConnection,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> None:
        self.method = message.method
        self.version = message.version
        self.raw_path = message.path
        self.headers = message.headers
        self.raw_headers = message.raw_headers
        self.keep_alive = not (message.should_close or connection.closing)
        self.content = payload
        self.has_body = payload is not EMPTY_PAYLOAD
        self.connection = connection
        self.transport = connection.transport
        self.writer = writer
        self._task = task  # aiohttp lets go of it, and reads it nowhere

    # ------------------------------------------------------------ what aiohttp's connection calls

    def _cancel(self, error: BaseException) -> None:
        """Nothing more of the body comes."""
        self.content.set_exception(error)

    def _finish(self) -> None:
        """The response is over: there is nothing to give back."""
