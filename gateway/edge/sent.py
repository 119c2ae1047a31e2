"""What aiohttp and the kernel are told about a response that a `Sink` has written itself."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from gateway.quiet_connection import Sent

if TYPE_CHECKING:
    import asyncio

LINGER_SECONDS = 1.0
"""How long a client that is still sending may take to notice the answer. Closing at once would
reset the connection, and on many systems the reset overtakes the answer (RFC 9112 section 9.6)."""

_LINGER_RESET = struct.pack("ii", 1, 0)
_LINGER_NEVER = struct.pack("ii", 0, 0)

SENT_LAST, SENT = Sent(keep_alive=False), Sent(keep_alive=True)
"""For every response, the first where no further request may follow: neither keeps anything of it."""


def reset_on_close(transport: asyncio.Transport | None, *, wanted: bool = True) -> None:
    """Let the end of a connection be a TCP reset instead of a clean FIN; or, again, a FIN."""
    raw = None if transport is None else transport.get_extra_info("socket")
    if raw is not None:
        linger = _LINGER_RESET if wanted else _LINGER_NEVER
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
