"""ASGI applications, as their tests write them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from lambda_client import asgi
from tests.lambda_client.gateway import Exchange, context, event
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from protocol.receipt import Receipt

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

BODY = random.Random(7).randbytes(3_000_001)
TEXT = ((b"content-type", b"text/plain"),)


def run(app: App, exchange: Exchange | None = None, **changes: Any) -> Any:
    handler = asgi(app, lifespan="off")
    return handler(event(exchange, **changes), context(exchange))


def method(name: str, exchange: Exchange) -> dict[str, Any]:
    http = {"method": name, "path": "/"}
    return {"requestContext": {"requestId": exchange.envelope.xid, "http": http}}


def start(status: int = 200, headers: Iterable[tuple[bytes, bytes]] = TEXT) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sized(data: bytes) -> Message:
    return start(headers=((b"content-length", b"%d" % len(data)),))


def delivered(receipt: Receipt, exchange: Exchange) -> bytes:
    """The body, whichever way it went."""
    return exchange.body if receipt.tail is None else receipt.tail[1]


async def until(probe: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not probe():
            await asyncio.sleep(0.001)
