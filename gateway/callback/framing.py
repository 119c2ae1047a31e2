"""Messages as WebSocket frames from a server (RFC 6455, section 5.2), many in one write and none copied."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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
