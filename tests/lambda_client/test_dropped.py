"""Asynchronous generators that user code drops in the middle: the event loop that closes them stands still soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import (
    asgi,
    cancelled,
    check_cancelled,
    main_loop,
    streamify_response,
    streaming,
)
from protocol.errors import ResetCode
from tests.lambda_client.asgi_apps import body, start
from tests.lambda_client.gateway import Exchange, Gateway, eventually
from tests.lambda_client.handlers import call
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.lambda_client.asgi_apps import Message, Receive, Send

pytestmark = pytest.mark.fault(29)

DEPTH = 3


class Nested:
    """Generators within generators; the client leaves while the outermost stands between two items."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.closed: list[int] = []

    async def items(self, depth: int = DEPTH) -> AsyncIterator[bytes]:
        try:
            if depth:
                async for item in self.items(depth - 1):
                    yield item
            yield b"item"
        finally:
            await asyncio.sleep(0)  # as one that gives a connection back
            self.closed.append(depth)

    async def generator(self, event: Any, context: Any) -> AsyncIterator[bytes]:
        async for item in self.items():
            yield item
            await self.client_leaves()

    async def writer(self, event: Any, stream: Any, context: Any) -> None:
        async for item in self.items():
            await stream.write(item)
            await self.client_leaves()

    async def one_that_asks(self, event: Any, stream: Any, context: Any) -> None:
        async for item in self.items():
            await stream.write(item)
            self.exchange.cancel()
            eventually(cancelled)
            check_cancelled()

    async def application(self, scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        async for item in self.items():
            await send(body(item, more=True))
            await self.client_leaves()

    async def client_leaves(self) -> None:
        self.exchange.cancel()
        await asyncio.sleep(60)


@pytest.mark.parametrize("way", ["generator", "writer", "one that asks", "application"])
def test_they_run_their_finally_before_the_function_freezes(
    gateway: Gateway, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_loop, "ENDING_SECONDS", PATIENCE)
    exchange = gateway.exchange()
    nested = Nested(exchange)
    handlers = {
        "generator": streaming(nested.generator),
        "writer": streamify_response(nested.writer),
        "one that asks": streamify_response(nested.one_that_asks),
        "application": asgi(nested.application, lifespan="off"),
    }
    assert call(handlers[way], exchange).code == ResetCode.CANCELLED
    assert nested.closed == list(reversed(range(DEPTH + 1)))


@pytest.mark.parametrize("way", ["generator", "value"])
def test_those_that_were_left_on_purpose_do_so_too(
    gateway: Gateway, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_loop, "ENDING_SECONDS", PATIENCE)
    exchange = gateway.exchange()
    nested = Nested(exchange)

    async def generator(event: Any, context: Any) -> AsyncIterator[bytes]:
        async for item in nested.items():
            yield item
            return

    async def value(event: Any, context: Any) -> Any:
        async for item in nested.items():
            return {"statusCode": 200, "body": item}
        raise AssertionError

    handlers = {"generator": streaming(generator), "value": streaming(value)}
    assert call(handlers[way], exchange).status == "end"
    assert nested.closed == list(reversed(range(DEPTH + 1)))


def test_one_that_does_not_end_is_left_where_it_stands(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_loop, "ENDING_SECONDS", 0.05)
    exchange = gateway.exchange()
    forever = asyncio.Event()
    began: list[bool] = []

    async def items() -> AsyncIterator[bytes]:
        try:
            yield b"item"
        finally:
            began.append(True)
            await forever.wait()

    @streamify_response
    async def handler(event: Any, stream: Any, context: Any) -> None:
        async for item in items():
            await stream.write(item)
            exchange.cancel()
            await asyncio.sleep(60)

    assert call(handler, exchange).code == ResetCode.CANCELLED
    assert began

    @streaming
    async def next_one(event: Any, context: Any) -> str:
        assert not forever.is_set()
        return "not held up"

    monkeypatch.setattr(main_loop, "ENDING_SECONDS", 2 * PATIENCE)
    assert next_one({}, None) == "not held up"
    forever.set()
