"""One request on its way through the pipe: its state, and its response."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from transitions import Machine

if TYPE_CHECKING:
    import asyncio

    from aiohttp import web

MACHINE = Machine(
    model=None,
    states=["received", "invoked", "streaming", "ended", "acknowledged", "completed"],
    transitions=[
        ["invoke", "received", "invoked"],
        ["begin", "invoked", "streaming"],
        ["end", "streaming", "ended"],
        ["acknowledge", "ended", "acknowledged"],
        ["complete", "acknowledged", "completed"],
    ],
    initial="received",
    auto_transitions=False,
)
"""One for all exchanges; each makes these five moves."""

JSON = msgspec.json.Encoder()


class Exchange:
    """A request of a client, and what comes back for it.

    Attributes:
        state: for `MACHINE`.
        token: by which the callback names it.
        request: of the client.
        done: resolved once the client's response is written.
        parts: of the response, which leave at the next `flush`.
    """

    __slots__ = ("_transport", "done", "parts", "request", "state", "token")

    def __init__(self, request: web.BaseRequest, done: asyncio.Future[None]) -> None:
        self.state = "received"
        self.token = secrets.token_hex(16)
        self.request = request
        self.done = done
        self.parts: list[bytes] = []
        self._transport = request.transport

    def move(self, event: str) -> None:
        """Make one of the five moves."""
        MACHINE.events[event].trigger(self)

    def event(self, port: int) -> bytes:
        """What the function is called with; callbacks come to this port."""
        path, _, query = self.request.raw_path.partition("?")
        event: dict[str, Any] = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query,
            "queryStringParameters": dict(parse_qsl(query)),
            "headers": dict(self.request.headers),
            "requestContext": {"http": {"method": self.request.method, "path": path}},
            "callback": {"port": port, "token": self.token},
        }
        return JSON.encode(event)

    # ------------------------------------------------------------ the response

    def begin(self, status: int, headers: dict[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.parts.append(
            f"HTTP/1.1 {status} OK\r\n{lines}transfer-encoding: chunked\r\n\r\n".encode()
        )
        self.move("begin")

    def write(self, data: bytes) -> None:
        self.parts += (b"%x\r\n" % len(data), data, b"\r\n")

    def end(self) -> None:
        self.parts.append(b"0\r\n\r\n")
        self.move("end")

    def flush(self) -> None:
        """Hand to the client's connection what there is, in one write."""
        parts, self.parts = self.parts, []
        if parts and self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(parts)
        if self.state == "ended" and not self.done.done():
            self.done.set_result(None)
