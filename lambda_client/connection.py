"""One WebSocket to a gateway: websockets' sans-I/O client over an asyncio transport. No more.

Driving the sans-I/O client directly lets all frames that wait go to the kernel in one write, which
its asyncio front end does not offer; it sends small chunks at half the cost.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Protocol

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from protocol.connection import FunctionConnection
from protocol.limits import ATTACH_PATH, SUBPROTOCOL, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from websockets.uri import WebSocketURI

DIAL_SECONDS = 5.0
"""For one attempt: TCP, TLS and upgrade (protocol SPEC, attach and resume)."""


class Owner(Protocol):
    """Who a connection reports to."""

    def message(self, data: bytes) -> None:
        """A whole binary message came."""
        ...

    def lost(self, reason: str) -> None:
        """The connection is gone; it reports nothing more."""
        ...


class DialError(Exception):
    """A connection could not be opened; the text says at which URL and why."""


class Connection(asyncio.Protocol):
    """A connection that is open, or being opened by `dial`.

    Attributes:
        owner: who it reports to; None while it is parked.
        state: the protocol's side: streams, keepalive, park.
        closed: it is gone.
    """

    def __init__(self, uri: WebSocketURI, token: str, limits: Limits) -> None:
        self.owner: Owner | None = None
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self.state = FunctionConnection(limits, self._loop.time())
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._token = token
        self._fragments: list[bytes] = []
        self._socket = ClientProtocol(
            uri, subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=limits.max_message
        )
        self._transport: asyncio.Transport

    @classmethod
    async def dial(cls, url: str, token: str, limits: Limits) -> Connection:
        """Open a connection.

        Raises:
            DialError: TCP, TLS or the upgrade failed, or took more than `DIAL_SECONDS`.
        """
        uri = parse_uri(url.rstrip("/") + ATTACH_PATH)
        connection = cls(uri, token, limits)
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    uri.host,
                    uri.port,
                    ssl=ssl.create_default_context() if uri.secure else None,
                )
                await connection._opened
        except (OSError, TimeoutError, WebSocketException) as error:
            connection.abort()
            why = str(error) or f"no answer within {DIAL_SECONDS:g} s"
            raise DialError(f"{url}: {why}") from error
        return connection

    def send(self, messages: Iterable[bytes]) -> None:
        """Send binary messages, in one write; they wait in the transport if the peer is slow."""
        for message in messages:
            self._socket.send_binary(message)
        self._flush()

    def close(self, code: int = 1000) -> None:
        """Say goodbye, and do not wait for the answer."""
        if not self.closed:
            self._socket.send_close(code)
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection without a word."""
        if hasattr(self, "_transport"):
            self._transport.abort()

    # ------------------------------------------------------------ what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is for a TCP socket
        self._transport = transport
        request = self._socket.connect()
        request.headers["Authorization"] = f"Bearer {self._token}"
        self._socket.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes, report messages."""
        self._socket.receive_data(data)
        self._flush()
        for event in self._socket.events_received():
            if isinstance(event, Response):
                self._on_response()
            elif isinstance(event, Frame):
                self._on_frame(event)

    def eof_received(self) -> None:
        """Let the transport close: nothing comes after this."""
        self._socket.receive_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once."""
        self.closed = True
        reason = str(exc) if exc is not None else self._goodbye()
        if not self._opened.done():
            self._opened.set_exception(ConnectionError(reason))
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.lost(reason)

    # ------------------------------------------------------------ inside

    def _on_response(self) -> None:
        refusal = self._socket.handshake_exc
        if self._opened.done():
            return
        if refusal is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(refusal)

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._transport.close()
            return
        if frame.opcode not in (Opcode.BINARY, Opcode.CONT):
            return
        data = bytes(frame.data)
        if not frame.fin or self._fragments:
            self._fragments.append(data)
            if not frame.fin:
                return
            data = b"".join(self._fragments)
            self._fragments.clear()
        if self.owner is not None:
            self.owner.message(data)

    def _flush(self) -> None:
        parts = [part for part in self._socket.data_to_send() if part]
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)

    def _goodbye(self) -> str:
        code, reason = self._socket.close_code, self._socket.close_reason
        return (
            "the connection was closed" if code is None else f"closed with {code} {reason}".strip()
        )
