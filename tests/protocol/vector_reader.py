"""Reads protocol/vectors.json with nothing of ours: the standard library and SPEC.md are enough."""

from __future__ import annotations

import io
import json
from typing import Any

WIDTHS = {base + step: 1 << step for base in (0xC4, 0xCC, 0xD0, 0xD9) for step in (0, 1, 2)}
WIDTHS |= {0xCF: 8, 0xD3: 8, 0xDC: 2, 0xDD: 4}
KINDS: dict[str, Any] = {
    "int": lambda v: type(v) is int,
    "id": lambda v: type(v) is int and v > 0,
    "crc": lambda v: type(v) is int and v < 2**32,
    "bin16": lambda v: type(v) is bytes and len(v) == 16,
    "data": lambda v: type(v) is bytes and len(v) > 0,
    "str256": lambda v: type(v) is str and len(v) <= 256,
    "str2048": lambda v: type(v) is str and len(v) <= 2048,
    "pairs": lambda v: type(v) is list and all([type(x) for x in p] == [bytes] * 2 for p in v),
    "limits": lambda v: len(v) >= 5 and {*map(type, v)} == {int} and 4096 <= v[0] <= 2**20,
}


def take(stream: io.BytesIO, count: int) -> bytes:
    data = stream.read(count)
    assert len(data) == count
    return data


def unpack(stream: io.BytesIO, depth: int = 3) -> Any:
    first = take(stream, 1)[0]
    if first < 0x80 or first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}.get(first, first)
    size = first & (0x0F if first < 0xA0 else 0x1F)
    if first >= 0xC0:
        size = int.from_bytes(take(stream, WIDTHS[first]), "big", signed=0xD0 <= first <= 0xD3)
    if 0xCC <= first <= 0xD3:
        assert 0 <= size < 2**63
        return size
    if 0xC4 <= first <= 0xC6 or 0xA0 <= first < 0xC0 or 0xD9 <= first <= 0xDB:
        return take(stream, size) if first in (0xC4, 0xC5, 0xC6) else take(stream, size).decode()
    assert first >= 0x90 and depth > 0
    assert size <= 256
    return [unpack(stream, depth - 1) for _ in range(size)]


def count(items: Any) -> int:
    return 1 + (sum(map(count, items)) if type(items) is list else 0)


def read(message: bytes, frames: dict[str, Any], max_frame: int) -> dict[str, Any]:
    """Return what a message means, in the words of the vectors."""
    if len(message) > max(max_frame, 65536) + 1024:
        return {"close": 4413}
    try:
        stream = io.BytesIO(message)
        items = unpack(stream)
        assert type(items) is list and message[0] != 0xDD and not stream.read()
        assert type(items[0]) is int and count(items) <= 1024
        if 64 <= items[0] <= 127:
            return {"ignored": True}
        frame, fields = frames[str(items[0])], {}
        for (name, kind), value in zip(frame["fields"], items[1:], strict=False):
            assert (kind.endswith("?") and value is None) or KINDS[kind.rstrip("?")](value)
            fields[name] = value[:5] if kind == "limits" else value
        assert len(fields) == len(frame["fields"])
        assert frame["name"] != "DATA" or items[2] + len(items[3]) < 2**63
    except (AssertionError, IndexError, KeyError, TypeError, ValueError):
        return {"close": 4400}
    if frame["name"] == "DATA" and len(items[3]) > max_frame:
        return {"close": 4413}
    return {"frame": frame["name"], "fields": json.loads(json.dumps(fields, default=bytes.hex))}
