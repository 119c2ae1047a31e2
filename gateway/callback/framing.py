"""Messages as WebSocket frames from a server (RFC 6455, section 5.2), many in one write and none copied."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gateway.writing import write_parts
from protocol.codec import encode_parts

if TYPE_CHECKING:
    from asyncio import WriteTransport
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from protocol.frames import Frame

_WHOLE_BINARY = 0x82
"""FIN, and the opcode of a binary message."""

_TWO_BYTES, _EIGHT_BYTES = 126, 127
"""Lengths that say how many bytes follow which hold the length."""

_SHORT, _MEDIUM, _LONG = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")


def framed(parts: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """Return a whole binary message as one frame: its header, and its parts as they are."""
    size = sum(map(len, parts))
    if size < _TWO_BYTES:
        header = _SHORT.pack(_WHOLE_BINARY, size)
    elif size < 1 << 16:
        header = _MEDIUM.pack(_WHOLE_BINARY, _TWO_BYTES, size)
    else:
        header = _LONG.pack(_WHOLE_BINARY, _EIGHT_BYTES, size)
    return [header, *parts]


class FrameWriter:
    """What one WebSocket sends once it is open, but for its Close.

    Args:
        transport: of the connection.
        is_full: whether the transport holds enough.
        drain: waits until it does not.

    Attributes:
        drain: as given.
    """

    def __init__(
        self,
        transport: WriteTransport,
        is_full: Callable[[], bool],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._transport = transport
        self._is_full = is_full
        self._written = 0
        self.drain = drain

    @property
    def full(self) -> bool:
        """Whether the transport holds enough, and `drain` would wait."""
        return self._is_full()

    def send(self, frames: Iterable[Frame]) -> None:
        """Hand a message for each frame to the transport, in one write.

        Raises:
            ConnectionResetError: it takes nothing any more.
        """
        parts: list[bytes | memoryview] = []
        for frame in frames:
            parts += framed(encode_parts(frame))
        if not parts:
            return
        if self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._written += sum(map(len, parts))
        write_parts(self._transport, parts)

    @property
    def waiting(self) -> int:
        """Bytes that the transport holds."""
        return self._transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        """Bytes that the kernel took so far."""
        return self._written - self.waiting

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()
