"""What aiohttp and the kernel are told about a response that a `Sink` has written itself."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web
from typing_extensions import override

if TYPE_CHECKING:
    import asyncio

    from aiohttp.abc import AbstractStreamWriter

    from gateway.edge.response import Sink

_LINGER_RESET = struct.pack("ii", 1, 0)
_LINGER_NEVER = struct.pack("ii", 0, 0)


class Sent(web.StreamResponse):
    """What aiohttp is told about a response that a `Sink` has sent already.

    aiohttp calls `prepare` and `write_eof` on whatever a handler returns, and reads `keep_alive`.
    Its own `prepare` would add Server and Content-Type, and send a second head.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__(status=sink.status or 500)
        self._sink = sink
        if not sink.keep_alive:
            self.force_close()
        else:
            self._keep_alive = True

    @override
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        await self._sink.leave()


def reset_on_close(transport: asyncio.Transport | None, *, wanted: bool = True) -> None:
    """Let the end of a connection be a TCP reset instead of a clean FIN; or, again, a FIN."""
    raw = None if transport is None else transport.get_extra_info("socket")
    if raw is not None:
        linger = _LINGER_RESET if wanted else _LINGER_NEVER
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
