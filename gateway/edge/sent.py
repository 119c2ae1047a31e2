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

LINGER_SECONDS = 1.0
"""How long a client that is still sending may take to notice the answer. Closing at once would
reset the connection, and on many systems the reset overtakes the answer (RFC 9112 section 9.6)."""

_LINGER_RESET = struct.pack("ii", 1, 0)
_LINGER_NEVER = struct.pack("ii", 0, 0)


class _Sent(web.StreamResponse):
    """What aiohttp is told about a response that a `Sink` has sent already: whether the connection goes on.

    aiohttp calls `prepare` and `write_eof` on whatever a handler returns, and reads `keep_alive`.
    Its own `prepare` would add Server and Content-Type, and send a second head.
    """

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    @override
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


SENT_LAST, SENT = _Sent(keep_alive=False), _Sent(keep_alive=True)
"""For every response, the first where no further request may follow: neither keeps anything of it."""


def reset_on_close(transport: asyncio.Transport | None, *, wanted: bool = True) -> None:
    """Let the end of a connection be a TCP reset instead of a clean FIN; or, again, a FIN."""
    raw = None if transport is None else transport.get_extra_info("socket")
    if raw is not None:
        linger = _LINGER_RESET if wanted else _LINGER_NEVER
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def half_close(transport: asyncio.Transport | None) -> bool:
    """Send a FIN behind what was written, and go on reading; False if there is nobody to send it to."""
    if transport is None or transport.is_closing() or not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:  # the client reset it, and the loop has yet to hear of it
        return False
    return True
