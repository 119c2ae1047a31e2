"""Functions that meet secrets and end in every way, with everything logged that anybody logs."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

from lambda_client import request_body, streaming
from protocol.limits import INITIAL_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterator

logging.basicConfig(level=logging.DEBUG)
logging.getLogger().setLevel(logging.DEBUG)  # the runtime has configured it before

Event = dict[str, Any]
BODY = b"response-body-mark " * 1000


@streaming
def streams(event: Event, context: object) -> Iterator[Event | bytes]:
    yield {
        "statusCode": 200,
        "headers": {"content-type": "text/plain"},
        "cookies": ["s=set-cookie-mark"],
    }
    for _ in range(20):
        yield BODY


@streaming
def reads(event: Event, context: object) -> Iterator[bytes]:
    yield from request_body(event)


def unaware(event: Event, context: object) -> Event:
    return {"statusCode": 200, "body": BODY.decode()}


@streaming
def raises_before(event: Event, context: object) -> Iterator[bytes]:
    logging.getLogger(__name__).debug("about to raise")
    if event:
        raise RuntimeError("on purpose")
    yield b""


@streaming
def raises_after(event: Event, context: object) -> Iterator[bytes]:
    yield bytes(2 * INITIAL_WINDOW)
    raise RuntimeError("on purpose")


def nonsense(event: Event, context: object) -> Event:
    return {"statusCode": "so-so", "body": BODY.decode()}


def exits(event: Event, context: object) -> None:
    os._exit(3)


@streaming
def slow(event: Event, context: object) -> Iterator[bytes]:
    for _ in range(300):
        yield b"."
        time.sleep(0.1)


@streaming
def bad_head(event: Event, context: object) -> Iterator[Event | bytes]:
    yield {"statusCode": 200, "headers": {"x-bad": "response-header-mark\r\nsplit: 1"}}
    yield b"x"
