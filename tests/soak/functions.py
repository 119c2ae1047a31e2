"""The function of the soak, one handler for every kind of stream; the body is `content.Content`.

GET  /down?seed=&total=&chunk=&rate=&sized=
                                        a body; `rate` bytes a second at most, 0: as fast as it goes;
                                        sized=1: with a Content-Length
GET  /down_async?...                    the same out of an async generator
POST /hash                              what it got: {"sha256": "...", "size": n}
POST /echo                              what it gets, as it comes
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from lambda_client import request_body, streaming
from tests.soak.content import Content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    Event = dict[str, Any]


def head(event: Event) -> Event:
    """Every response says which process makes it, so that a fault can be aimed."""
    headers = {"content-type": "application/octet-stream", "x-worker": str(os.getpid())}
    if number(event, "sized"):
        headers["content-length"] = str(number(event, "total"))
    return {"statusCode": 200, "headers": headers}


class Pace:
    """Says how long to wait so that no more than `rate` bytes a second leave."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._start = time.monotonic()
        self._made = 0

    def pause(self, size: int) -> float:
        """Count `size` bytes more; the seconds to wait."""
        self._made += size
        if not self._rate:
            return 0.0
        return max(0.0, self._start + self._made / self._rate - time.monotonic())


def number(event: Event, name: str, default: int = 0) -> int:
    return int(event.get("queryStringParameters", {}).get(name, default))


def chunks(event: Event) -> Iterator[bytes]:
    content = Content(number(event, "seed"), number(event, "total"))
    return content.chunks(number(event, "chunk", 65536))


def down(event: Event) -> Iterator[Event | bytes]:
    pace = Pace(number(event, "rate"))
    yield head(event)
    for chunk in chunks(event):
        yield chunk
        time.sleep(pace.pause(len(chunk)))


async def down_async(event: Event) -> AsyncIterator[Event | bytes]:
    pace = Pace(number(event, "rate"))
    yield head(event)
    for chunk in chunks(event):
        yield chunk
        await asyncio.sleep(pace.pause(len(chunk)))


def hash_upload(event: Event) -> Iterator[Event | bytes]:
    yield head(event)
    digest, size = hashlib.sha256(), 0
    for chunk in request_body(event):
        digest.update(chunk)
        size += len(chunk)
    yield json.dumps({"sha256": digest.hexdigest(), "size": size}).encode()


async def echo(event: Event) -> AsyncIterator[Event | bytes]:
    yield head(event)
    async for chunk in request_body(event):
        yield chunk


WORKS = {"down": down, "down_async": down_async, "hash": hash_upload, "echo": echo}


@streaming
def handler(event: Event, context: object) -> Any:
    return WORKS[event["rawPath"].rpartition("/")[2]](event)
