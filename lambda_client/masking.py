"""One message as a WebSocket frame from a client (RFC 6455, section 5.2), for every chunk that leaves.

`websockets` does the same in nine calls, and asks the kernel for every mask. That is little for a loop
that is busy, but a chunk that comes after a pause finds nothing of it in the processor's caches.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

try:
    from websockets.speedups import apply_mask
except ImportError:  # installed without its extension
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHOLE_BINARY = 0x82
"""FIN, and the opcode of a binary message."""

_MASKED = 0x80
_TWO_BYTES, _EIGHT_BYTES = 126, 127
"""Lengths that say how many bytes follow which hold the length."""

_SHORT, _MEDIUM, _LONG = struct.Struct("!BB4s"), struct.Struct("!BBH4s"), struct.Struct("!BBQ4s")

POOL = 256
"""Random bytes taken at a time: masks for 64 frames."""

_MASKS = struct.Struct("4s" * (POOL // 4))


def masks() -> list[bytes]:
    """Return some masks, each from the system's own randomness and to be used once."""
    return list(_MASKS.unpack(os.urandom(POOL)))


def masked(parts: Sequence[bytes | memoryview], mask: bytes) -> list[bytes]:
    """Return a whole binary message as one frame: its header with the first part, and each other part, masked."""
    size = 0
    for part in parts:
        size += len(part)
    if size < _TWO_BYTES:
        header = _SHORT.pack(_WHOLE_BINARY, _MASKED | size, mask)
    elif size < 1 << 16:
        header = _MEDIUM.pack(_WHOLE_BINARY, _MASKED | _TWO_BYTES, size, mask)
    else:
        header = _LONG.pack(_WHOLE_BINARY, _MASKED | _EIGHT_BYTES, size, mask)
    before = parts[0]
    frame = [header + apply_mask(before, mask)]
    for part in parts[1:]:
        turn = len(before) % 4  # where in the mask this part begins
        mask = mask[turn:] + mask[:turn]
        frame.append(apply_mask(part, mask))
        before = part
    return frame
