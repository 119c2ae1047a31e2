"""What passed through the proxy, as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.codec import decode

if TYPE_CHECKING:
    from protocol.frames import Frame
    from tests.faults.pipe import Pipe

BINARY, CLOSE = 0x2, 0x8


def frames(pipe: Pipe) -> list[Frame]:
    """The whole frames among the recorded bytes of one direction, after the upgrade."""
    return [
        frame
        for opcode, payload in _messages(pipe)
        if opcode == BINARY and (frame := decode(payload)) is not None
    ]


def close_code(pipe: Pipe) -> int | None:
    """The code of the WebSocket's Close, if one passed."""
    codes = [int.from_bytes(data[:2], "big") for opcode, data in _messages(pipe) if opcode == CLOSE]
    return codes[0] if codes else None


def _messages(pipe: Pipe) -> list[tuple[int, bytes]]:
    """Every whole WebSocket frame: opcode and payload (RFC 6455, section 5.2; never fragmented)."""
    start = pipe.upgrade
    data = bytes(pipe.record[start:]) if start is not None else b""
    found = []
    while (size := _size(data)) is not None and len(data) >= size[0] + size[1]:
        head, length = size
        payload = data[head : head + length]
        if data[1] & 0x80:
            mask = data[head - 4 : head]
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        found.append((data[0] & 0x0F, payload))
        data = data[head + length :]
    return found


def _size(data: bytes) -> tuple[int, int] | None:
    """Lengths of header and payload; None while the header is not whole."""
    if len(data) < 2:
        return None
    length, more = data[1] & 0x7F, {126: 2, 127: 8}.get(data[1] & 0x7F, 0)
    head = 2 + more + (4 if data[1] & 0x80 else 0)
    if len(data) < head:
        return None
    return head, int.from_bytes(data[2 : 2 + more], "big") if more else length
