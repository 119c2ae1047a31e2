"""WebSocket frames as a client may send them, well formed or not."""

from __future__ import annotations

import struct

from websockets.utils import apply_mask

CONT, TEXT, BINARY, CLOSE, PING, PONG, FIN = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA, 0x80
MASK = b"\x37\xfa\x21\x3d"


def frame(first: int, data: bytes = b"", *, mask: bytes = MASK, long: int = 0) -> bytes:
    """Return a frame.

    Args:
        first: its first byte: FIN, reserved bits, opcode.
        data: what it holds.
        mask: b"" to send it as it is.
        long: 1 or 2, to write its length in more bytes than it needs.
    """
    size, masked = len(data), 0x80 if mask else 0
    if long > 1 or size >= 1 << 16:
        header = struct.pack("!BBQ", first, masked | 127, size)
    elif long or size > 125:
        header = struct.pack("!BBH", first, masked | 126, size)
    else:
        header = bytes((first, masked | size))
    return header + mask + (apply_mask(data, mask) if mask else data)
