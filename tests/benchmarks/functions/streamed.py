"""The function behind the benchmark: what `direct` serves without a gateway, streamed.

/tiny?stay=               one chunk, and the end `stay` milliseconds later: "hello\\n"
/held?gate=               the same, and the end once that file exists
/ticks?n=&ms=&size=       n chunks of `size` bytes, one each `ms` milliseconds. A chunk is the
                          letter m, CLOCK_MONOTONIC in ns, blanks, "\\n"
/bulk?chunk=&total=       `total` bytes of printable ASCII in writes of `chunk` bytes
/sink                     reads its request body; then its length in decimal, 20 bytes
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from lambda_client import request_body, streaming

# The gateway's extra `speedups` is installed here; measured is what a function has by itself.
sys.modules["zlib_ng"] = None  # type: ignore[assignment]  # what the import system takes for absent

if TYPE_CHECKING:
    from collections.abc import Iterator

    Query = dict[str, str]
    Chunks = Iterator[bytes]

LOOK_SECONDS = 0.01

HEAD = {"statusCode": 200, "headers": {"content-type": "application/octet-stream"}}


def tiny(query: Query) -> Chunks:
    yield b"hello\n"
    if stay := int(query.get("stay", "0")):  # sleep(0) would cost some 60 us (CPython 3.11 to 3.13)
        time.sleep(stay / 1000)


def held(query: Query) -> Chunks:
    yield b"hello\n"
    while not os.path.exists(query["gate"]):
        time.sleep(LOOK_SECONDS)


def ticks(query: Query) -> Chunks:
    count, size = int(query.get("n", "200")), int(query.get("size", "100"))
    interval = int(query.get("ms", "10")) / 1000
    start = time.monotonic()
    for number in range(1, count + 1):
        yield stamp(size)
        time.sleep(max(0.0, start + number * interval - time.monotonic()))


def bulk(query: Query) -> Chunks:
    chunk, total = int(query.get("chunk", "65536")), int(query.get("total", "67108864"))
    block = pattern(chunk)
    for _ in range(0, total, chunk):
        yield block


def stamp(size: int) -> bytes:
    """One tick, which says when it was made."""
    return (b"m%d" % time.monotonic_ns()).ljust(size - 1) + b"\n"


def pattern(size: int) -> bytes:
    return (b"abcdefghijklmnopqrstuvwxyz012345" * (size // 32 + 1))[:size]


WORKS = {"tiny": tiny, "held": held, "ticks": ticks, "bulk": bulk}


def sink(event: dict[str, Any]) -> Chunks:
    yield b"%20d" % sum(map(len, request_body(event)))


@streaming
def handler(event: dict[str, Any], context: object) -> Iterator[dict[str, Any] | bytes]:
    name = event["rawPath"].rpartition("/")[2]
    yield HEAD
    if name == "sink":
        yield from sink(event)
    else:
        yield from WORKS[name](event.get("queryStringParameters", {}))
