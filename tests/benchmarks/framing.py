"""What a chunk costs on the wire and in CPU time: dialback's frames, and JSON with base64."""

from __future__ import annotations

import base64
import json
import timeit
from typing import TYPE_CHECKING

from protocol.codec import decode, encode
from protocol.frames import Data
from tests.benchmarks import sections
from tests.benchmarks.results import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.results import Results

SIZES = {"100 B": 100, "1 KiB": 1 << 10, "64 KiB": 1 << 16}
OTHER = "JSON + base64"

SID, OFFSET = 12, 123_456_789
"""Of a stream that has been going for a while."""


def measure(results: Results, *, seconds: float) -> None:
    """Write and read one chunk of each size, again and again for so long."""
    for name, size in SIZES.items():
        chunk = bytes(byte % 256 for byte in range(size))
        ways: dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]] = {
            "dialback": (lambda c=chunk: encode(Data(SID, OFFSET, c)), decode),  # type: ignore[misc]  # a default argument has no type
            OTHER: (lambda c=chunk: as_json(c), from_json),  # type: ignore[misc]
        }
        for way, (write, read) in ways.items():
            message = write()
            results.put(
                Row(sections.FRAMING, f"bytes on the wire for {name}", "B"), way, on_wire(message)
            )
            results.put(Row(sections.FRAMING, f"to write {name}", "us"), way, timed(write, seconds))
            reading = timed(lambda r=read, m=message: r(m), seconds)  # type: ignore[misc]
            results.put(Row(sections.FRAMING, f"to read {name}", "us"), way, reading)


def as_json(chunk: bytes) -> bytes:
    text = base64.b64encode(chunk).decode()
    return json.dumps({"type": "data", "sid": SID, "offset": OFFSET, "data": text}).encode()


def from_json(message: bytes) -> bytes:
    return base64.b64decode(json.loads(message)["data"])


def on_wire(message: bytes) -> int:
    """With the head of a WebSocket frame from a client (RFC 6455, section 5.2): 2, 4 or 10, and a mask."""
    size = len(message)
    return size + (2 if size < 126 else 4 if size < 65536 else 10) + 4


def timed(work: Callable[[], object], seconds: float) -> float:
    """Microseconds; the fastest of some repetitions, as `timeit` recommends."""
    timer = timeit.Timer(work)
    once = timer.timeit(100) / 100
    number = max(1, int(seconds / 5 / once))
    return min(timer.repeat(5, number)) / number * 1e6
