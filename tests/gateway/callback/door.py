"""The callback listener on a real socket, and a client of raw bytes that was let in."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.callback.endpoint import CallbackEndpoint
from gateway.callback.server import CallbackServer
from gateway.journal.store import JournalStore
from gateway.telemetry import Telemetry
from gateway.tls.connection import TlsConnection
from gateway.tls.handshakes import Handshakes
from gateway.tokens import Tokens
from protocol.limits import ATTACH_PATH, SUBPROTOCOL, Limits
from tests.certificates import serving
from tests.gateway.edge.serving import Client, over_tls
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.callback.connections import Connections
    from gateway.callback.pump import Pump


@dataclass
class Door:
    """Where functions knock.

    Attributes:
        server: for its crowd.
        connections: those that are open.
    """

    port: int
    server: CallbackServer
    connections: Connections
    _tokens: Tokens

    @property
    def pump(self) -> Pump:
        """That of the one connection there is."""
        (pump,) = self.connections._open
        return pump

    def knock(self, *headers: str) -> bytes:
        """A request to be upgraded, with the key of RFC 6455 section 1.3."""
        token = self._tokens.mint(bytes(16), 1, now=time.time(), lifetime=60)
        lines = [
            f"GET {ATTACH_PATH} HTTP/1.1",
            "Host: gateway",
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Sec-WebSocket-Protocol: other, {SUBPROTOCOL}",
            f"Authorization: Bearer {token}",
        ]
        return "\r\n".join([*lines, *headers, "\r\n"]).encode()

    @asynccontextmanager
    async def client(self, early: bytes = b"") -> AsyncIterator[Client]:
        """One that was let in, and sent something before it knew."""
        async with Client(self.port) as client:
            client.send(self.knock() + early)
            assert (await client.head()).startswith(b"HTTP/1.1 101 ")
            try:
                yield client
            finally:
                client.writer.transport.abort()  # TLS would wait for an answer to its goodbye


@asynccontextmanager
async def door(exchanges: int = 1000) -> AsyncIterator[Door]:
    """Listen on a free port, for so many exchanges at a time."""
    tokens = Tokens()
    endpoint = CallbackEndpoint(JournalStore(), tokens, Telemetry(), Limits())
    server = CallbackServer(endpoint.handle, exchanges, PATIENCE)
    factory: Callable[[], asyncio.BaseProtocol] = server
    if over_tls.get():
        context, handshakes = serving(), Handshakes(server.crowd)
        factory = lambda: TlsConnection(server, context, "callback", handshakes)  # noqa: E731
    listener = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    try:
        yield Door(listener.sockets[0].getsockname()[1], server, endpoint.connections, tokens)
    finally:
        listener.close()
        await settle()
        endpoint.connections.close()
        await endpoint.connections.ended()
        await server.shutdown(1.0)
        await settle()
