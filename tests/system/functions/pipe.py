"""Functions that the tests of the whole pipe call; each is one handler."""

from __future__ import annotations

import hashlib
import random
import resource
import time
from typing import TYPE_CHECKING, Any

from lambda_client import request_body, streaming
from protocol.limits import INITIAL_WINDOW
from tests.system.functions.web.gate import wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Event = dict[str, Any]
SEED = 7
WINDOWS = 2 * INITIAL_WINDOW
"""More than may be sent before the gateway answers: once it is written, the head is out."""


def _query(event: Event, name: str, default: int) -> int:
    return int(event.get("queryStringParameters", {}).get(name, default))


def odd_chunks(total: int) -> Iterator[bytes]:
    """Yield `total` random bytes, always the same ones, in chunks of odd sizes."""
    source = random.Random(SEED)
    while total:
        size = min(total, source.choice([1, 7, 255, 1021, 16_381, 65_536, 65_537, 200_003]))
        yield source.randbytes(size)
        total -= size


def memory_mib() -> int:
    """The most memory that this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@streaming
def random_bytes(event: Event, context: object) -> Iterator[Event | bytes]:
    yield {"statusCode": 200, "headers": {"content-type": "application/octet-stream"}}
    yield from odd_chunks(_query(event, "total", 1 << 20))
    print(f"memory {memory_mib()} MiB")


@streaming
def hash_upload(event: Event, context: object) -> Event:
    digest, size = hashlib.sha256(), 0
    for chunk in request_body(event):
        digest.update(chunk)
        size += len(chunk)
    report = f'{{"sha256": "{digest.hexdigest()}", "size": {size}, "memory": {memory_mib()}}}'
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": report}


@streaming
async def echo(event: Event, context: object) -> AsyncIterator[bytes]:
    async for chunk in request_body(event):
        yield chunk


def unaware(event: Event, context: object) -> Event:
    return {
        "statusCode": 201,
        "headers": {"x-saw": event["requestContext"]["http"]["path"]},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": f"you sent {event.get('body')}",
    }


@streaming
def raises_before(event: Event, context: object) -> Iterator[bytes]:
    if event:  # always: a generator needs a yield that can be reached
        raise RuntimeError("before the head, with a secret")
    yield b""


@streaming
def raises_after(event: Event, context: object) -> Iterator[bytes]:
    yield bytes(WINDOWS)
    raise RuntimeError("after the head")


def nonsense(event: Event, context: object) -> Event:
    return {"statusCode": "so-so"}


def exits(event: Event, context: object) -> None:
    raise SystemExit(3)


@streaming
def any_status(event: Event, context: object) -> Iterator[Event | bytes]:
    status = _query(event, "status", 200)
    yield {"statusCode": status, "headers": {"x-handler": "seen"}, "cookies": ["a=1", "b=2"]}
    if _query(event, "body", 1):
        yield b"a body"


@streaming
def ticks(event: Event, context: object) -> Iterator[bytes]:
    try:
        for number in range(_query(event, "n", 10)):
            yield b"tick %d\n" % number
            time.sleep(_query(event, "ms", 100) / 1000)
    finally:
        print("ticks over")


def waits(event: Event, context: object) -> str:
    """Answers when a file appears, which the query names."""
    wait(event["queryStringParameters"]["gate"])
    return "waited"
