"""An edge on a real socket, in front of a driver that each test writes, and a client of raw bytes."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from gateway.edge import handler as handler_module
from gateway.edge import response as response_module
from gateway.edge.handler import EdgeHandler
from gateway.edge.server import EdgeServer
from gateway.routes import Route, RouteTable
from gateway.targets import LocalTarget
from gateway.telemetry import Telemetry
from gateway.timing import Timing
from gateway.tls.connection import TlsConnection
from gateway.tls.handshakes import Handshakes
from tests.certificates import serving, trusting
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.crowds import Crowd
    from gateway.messages import EdgeRequest, ResponseSink
    from protocol.headers import HeaderList

    Serve = Callable[[EdgeRequest, ResponseSink], Awaitable[None]]

PLAIN: HeaderList = ((b"content-type", b"text/plain"),)


over_tls = ContextVar("over_tls", default=False)
"""Whether edge and client speak TLS with each other."""


@pytest.fixture(autouse=True)
def lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late a client notices its answer: the time that it has for that is of another test."""
    for module in (handler_module, response_module):
        monkeypatch.setattr(module, "LINGER_SECONDS", PATIENCE)


class ScriptedDriver:
    """Serves every exchange with one function, as `gateway.edge.handler.Driver`."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.requests: list[EdgeRequest] = []
        self.served: list[tuple[str, str]] = []

    async def serve(
        self, request: EdgeRequest, route: Route, sink: ResponseSink, exchange_id: str
    ) -> None:
        self.requests.append(request)
        self.served.append((route.path, exchange_id))
        await self._serve(request, sink)


@dataclass
class Edge:
    """An edge that listens."""

    port: int
    handler: EdgeHandler
    server: EdgeServer
    driver: ScriptedDriver
    telemetry: Telemetry

    @property
    def url(self) -> str:
        return f"{'https' if over_tls.get() else 'http'}://127.0.0.1:{self.port}"

    async def ask(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own; return all that comes back until it ends."""
        async with Client(self.port) as client:
            client.send(request)
            return await client.rest()


class Client:
    """One TCP connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=trusting() if over_tls.get() else None
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def until(self, mark: bytes) -> bytes:
        """Read to the end of `mark`."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(mark)

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """Read until the server closes.

        Raises:
            ConnectionResetError: it reset the connection.
        """
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()


@asynccontextmanager
async def edge(
    serve: Serve, timing: Timing | None = None, crowd: Crowd | None = None, **route: Any
) -> AsyncIterator[Edge]:
    """Listen on a free port with routes ``/`` and ``/chat``."""
    async with listening(
        serve, _route("/", **route), _route("/chat"), timing=timing, crowd=crowd
    ) as it:
        yield it


@asynccontextmanager
async def listening(
    serve: Serve, *routes: Route, timing: Timing | None = None, crowd: Crowd | None = None
) -> AsyncIterator[Edge]:
    """Listen on a free port with these routes."""
    driver = ScriptedDriver(serve)
    telemetry, timing = Telemetry(), timing or Timing()
    handler = EdgeHandler(RouteTable(routes), driver, telemetry, timing)
    server = EdgeServer(handler, telemetry, timing, crowd)
    factory: Callable[[], asyncio.BaseProtocol] = server
    if over_tls.get():
        context = serving()
        handshakes = Handshakes(server.crowd)
        factory = lambda: TlsConnection(server, context, "edge", handshakes)  # noqa: E731
    listener = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    try:
        port = listener.sockets[0].getsockname()[1]
        yield Edge(port, handler, server, driver, telemetry)
    finally:
        listener.close()
        await settle()
        await server.shutdown(1.0)
        handler.close()
        await settle()


def answer(*parts: bytes, headers: HeaderList = PLAIN, status: int = 200) -> Serve:
    """A driver's way to serve: one head, these writes, a clean end."""

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(status, headers, length=None)
        for part in parts:
            sink.write([part])
        sink.end()

    return serve


def sized(body: bytes, status: int = 200) -> Serve:
    """A driver's way to serve: a body whose length the head tells."""

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(status, PLAIN, length=len(body))
        sink.write([body])
        sink.end()

    return serve


def get(path: str = "/", *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body; the connection closes after it unless a header says otherwise."""
    lines = [f"{method} {path} HTTP/{version}", "Host: example"]
    if not any(header.lower().startswith("connection") for header in headers):
        lines.append("Connection: close")
    return "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n"


def unchunk(body: bytes) -> list[bytes]:
    """The chunks of a body, up to and without the terminating one, which must be there."""
    chunks: list[bytes] = []
    while True:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            assert body == b"\r\n"
            return chunks
        chunks.append(body[: int(size, 16)])
        assert body[int(size, 16) :][:2] == b"\r\n"
        body = body[int(size, 16) + 2 :]


def _route(path: str, **changes: Any) -> Route:
    return Route(
        path=path,
        name="function",
        target=LocalTarget(Path("function.py"), "handler"),
        timeout=40,
        function_timeout=30,
        concurrency=16,
        queue=128,
        request_body="inline",
        inline_body_max=1024,
        **changes,
    )


def connect(port: int) -> socket.socket:
    """Connect, for a client that blocks."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    if not over_tls.get():
        return plain
    return trusting().wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
