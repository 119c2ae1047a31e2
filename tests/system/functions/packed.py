"""Functions whose answers compress well, for clients that decode while they read."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from lambda_client import asgi, streaming
from tests.system.functions.pipe import WINDOWS

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, Any]
LINE = b"All work and no play makes Jack a dull boy.\n"
LINES = WINDOWS // len(LINE) + 1
"""Of them the head is out before the last is written."""


@streaming
def stepwise(event: Event, context: object) -> Iterator[Event | bytes]:
    """Writes a line when the file that is named after its number appears, and an event if asked for those."""
    events = event["rawPath"].endswith("/events")
    kind = "text/event-stream" if events else "text/plain"
    yield {"statusCode": 200, "headers": {"content-type": kind}}
    for number in range(1, 4):
        while not os.path.exists(os.path.join(os.environ["STEPS"], str(number))):
            time.sleep(0.005)
        yield b"data: %d\n\n" % number if events else b"line %d\n" % number
    if events:
        yield b"event: last\ndata: 4\n\n"


@streaming
def breaks(event: Event, context: object) -> Iterator[Event | bytes]:
    yield {"statusCode": 200, "headers": {"content-type": "text/plain"}}
    for _ in range(LINES):
        yield LINE
    while not os.path.exists(os.path.join(os.environ["STEPS"], "break")):
        time.sleep(0.005)
    raise RuntimeError("on purpose")


def unaware(event: Event, context: object) -> Event:
    headers = {"content-type": "text/html"} | json.loads(event.get("body") or "{}")
    return {"statusCode": 200, "headers": headers, "body": (LINE * LINES).decode()}


async def _application(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"etag", b'"1"')]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(LINES):
        await send({"type": "http.response.body", "body": LINE, "more_body": True})
    await send({"type": "http.response.body"})


application = asgi(_application)
