"""The functions behind the figures, one handler for all of them; what they see goes into a file.

/cancel/KIND?id=     writes without end, and notes when it was told to stop, and its `finally`
/echo                yields its request body as it comes
/silent?id=          notes that it was called, and streams more than a receipt can carry
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from lambda_client import ClientGone, request_body, streamify_response, streaming
from protocol.limits import RECEIPT_BODY_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lambda_client import AsyncResponseStream, ResponseStream

    Event = dict[str, Any]

TICK = b"tick\n"
TICK_SECONDS = 0.005
"""Between two writes: a sync handler can be told to stop only when it writes."""

HEAD = {"statusCode": 200, "headers": {"content-type": "application/octet-stream"}}


def query(event: Event, name: str, default: str = "") -> str:
    value: str = event.get("queryStringParameters", {}).get(name, default)
    return value


@cache
def notes() -> int:
    """The file that all functions write their notes to: whole lines, none torn apart."""
    return os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(event: Event, what: str) -> None:
    """Write down that this happened now; the clock is the same for every process of a machine."""
    os.write(notes(), f"{query(event, 'id')} {what} {time.monotonic_ns()}\n".encode())


@streaming
def sync_generator(event: Event, context: object) -> Iterator[Event | bytes]:
    try:
        yield HEAD
        while True:
            yield TICK
            time.sleep(TICK_SECONDS)
    except GeneratorExit:
        note(event, "told")
        raise
    finally:
        note(event, "finally")


@streaming
async def async_generator(event: Event, context: object) -> AsyncIterator[Event | bytes]:
    try:
        yield HEAD
        while True:
            yield TICK
            await asyncio.sleep(TICK_SECONDS)
    except (GeneratorExit, asyncio.CancelledError):
        note(event, "told")
        raise
    finally:
        note(event, "finally")


@streamify_response
def sync_writer(event: Event, stream: ResponseStream, context: object) -> None:
    try:
        while True:
            stream.write(TICK)
            time.sleep(TICK_SECONDS)
    except ClientGone:
        note(event, "told")
        raise
    finally:
        note(event, "finally")


@streamify_response
async def async_writer(event: Event, stream: AsyncResponseStream, context: object) -> None:
    try:
        while True:
            await stream.write(TICK)
            await asyncio.sleep(TICK_SECONDS)
    except asyncio.CancelledError:
        note(event, "told")
        raise
    finally:
        note(event, "finally")


@streaming
def silent(event: Event, context: object) -> Iterator[Event | bytes]:
    note(event, "called")
    yield HEAD
    yield bytes(RECEIPT_BODY_MAX + 1)


@streaming
def echo(event: Event, context: object) -> Iterator[Event | bytes]:
    yield HEAD
    yield from request_body(event)


WORKS = {
    "/echo": echo,
    "/silent": silent,
    "/cancel/sync-generator": sync_generator,
    "/cancel/async-generator": async_generator,
    "/cancel/sync-writer": sync_writer,
    "/cancel/async-writer": async_writer,
}


def unaware(event: Event, context: object) -> Event:
    return {"statusCode": 200, "body": json.dumps(event)}


def handler(event: Event, context: object) -> Any:
    return WORKS[event["rawPath"]](event, context)
