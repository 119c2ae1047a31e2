"""Event streams that break off, for browsers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lambda_client import streaming
from tests.system.functions.pipe import WINDOWS

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, Any]
HEAD = {"statusCode": 200, "headers": {"content-type": "text/event-stream"}}
PADDING = b":" + bytes(WINDOWS).replace(b"\0", b" ") + b"\n\n"  # a comment; readers skip it


def page(event: Event, context: object) -> Event:
    return {"statusCode": 200, "headers": {"content-type": "text/html"}, "body": "<h1>Events</h1>"}


@streaming
def between(event: Event, context: object) -> Iterator[Event | bytes]:
    yield HEAD
    yield PADDING
    yield b"data: first\n\n"
    raise RuntimeError("with a secret")


@streaming
def midway(event: Event, context: object) -> Iterator[Event | bytes]:
    yield HEAD
    yield PADDING
    yield b"data: first\n\ndata: sec"
    raise RuntimeError("with a secret")


@streaming
def whole(event: Event, context: object) -> Iterator[Event | bytes]:
    yield HEAD
    yield b"data: first\n\n"


@streaming
def quiet(event: Event, context: object) -> Iterator[Event | bytes]:
    """Says nothing for as many seconds as the query asks for, before each of its events."""
    seconds = float(event["queryStringParameters"]["seconds"])
    yield HEAD
    time.sleep(seconds)
    yield b"data: first\n\n"
    time.sleep(seconds)
    yield b"event: last\ndata: second\n\n"
