from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import ClientGone, StreamClosed, StreamLost, request_body, streaming
from protocol.limits import INITIAL_WINDOW
from tests.lambda_client.gateway import Gateway, context, event, eventually, receipt_of
from tests.lambda_client.handlers import call
from tests.lambda_client.test_lost import never_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.lambda_client.conftest import Hurry

BODY = random.Random(5).randbytes(3_000_001)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"body": "text ä"}, "text ä".encode()),
        ({"body": base64.b64encode(BODY[:300]).decode(), "isBase64Encoded": True}, BODY[:300]),
        ({"body": None}, b""),
        ({}, b""),
    ],
)
def test_an_inline_body_comes_from_the_event(changes: dict[str, Any], expected: bytes) -> None:
    assert request_body(event(**changes)).read() == expected
    assert b"".join(request_body(event(**changes))) == expected


@pytest.mark.parametrize("body", [5, {"a": 1}, ["a"]])
def test_a_body_that_is_no_text_is_named(body: Any) -> None:
    with pytest.raises(TypeError, match=f"is a str, not {type(body).__name__}"):
        request_body(event(body=body))


async def test_an_inline_body_is_an_async_iterable_too() -> None:
    body = request_body(event(body="text"))
    assert [chunk async for chunk in body] == [b"text"]
    assert await body.read_async() == b""


def test_with_a_gateway_an_inline_body_still_comes_from_the_event(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    handler = streaming(lambda e, c: {"statusCode": 200, "body": request_body(e).read()})
    receipt = receipt_of(handler(event(exchange, body="inline"), context(exchange)))
    assert receipt.tail == (0, b"inline")


@pytest.mark.parametrize("way", ["for", "read", "async for", "read_async"])
def test_a_streamed_body_arrives_whole(gateway: Gateway, way: str) -> None:
    exchange = gateway.exchange(upload=BODY)

    def digest(chunks: list[bytes]) -> dict[str, Any]:
        return {"statusCode": 200, "body": hashlib.sha256(b"".join(chunks)).digest()}

    def handler(event: Any, context: Any) -> Any:
        body = request_body(event)
        return digest(list(body) if way == "for" else [body.read()])

    async def handler_async(event: Any, context: Any) -> Any:
        body = request_body(event)
        if way == "async for":
            return digest([chunk async for chunk in body])
        return digest([await body.read_async()])

    receipt = call(streaming(handler_async if "async" in way else handler), exchange)
    assert receipt.status == "end"
    assert exchange.body == hashlib.sha256(BODY).digest()


def test_a_body_that_nobody_reads_does_not_arrive(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=BODY)
    seen: list[int] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        body = iter(request_body(event))
        seen.append(len(next(body)))
        eventually(lambda: len(exchange.upload) <= len(BODY) - INITIAL_WINDOW)
        yield b"early answer"
        eventually(lambda: exchange.body == b"early answer")
        seen.append(len(BODY) - len(exchange.upload))

    assert call(handler, exchange).status == "end"
    assert seen[1] <= seen[0] + 2 * INITIAL_WINDOW


def test_down_and_up_at_the_same_time(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=BODY)

    @streaming
    async def echo(event: Any, context: Any) -> AsyncIterator[bytes]:
        async for chunk in request_body(event):
            yield chunk

    assert call(echo, exchange).final == len(BODY)
    assert exchange.body == BODY


def test_a_client_that_breaks_off_is_never_a_short_body(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"first", upload_whole=False)
    read: list[bytes] = []

    @streaming
    def handler(event: Any, context: Any) -> Any:
        for chunk in request_body(event):
            read.append(chunk)
            threading.Thread(target=exchange.cancel).start()
        return {"statusCode": 200, "body": "it all came"}

    receipt = call(handler, exchange)
    assert read == [b"first"]
    assert receipt.status == "reset"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_cut_for_good_while_reading_raises(gateway: Gateway, asynchronous: bool) -> None:
    gateway.limits = replace(gateway.limits, resume_grace_ms=100)
    exchange = gateway.exchange(upload=b"first", upload_whole=False)
    raised: list[BaseException] = []

    def handler(event: Any, context: Any) -> Any:
        try:
            for _ in request_body(event):
                never_back(gateway)
        except StreamClosed as error:
            raised.append(error)
            raise

    async def handler_async(event: Any, context: Any) -> Any:
        try:
            async for _ in request_body(event):
                never_back(gateway)
        except StreamClosed as error:
            raised.append(error)
            raise

    receipt = call(streaming(handler_async if asynchronous else handler), exchange)
    assert receipt.status == "lost"
    assert isinstance(raised[0], StreamLost)
    assert not isinstance(raised[0], ClientGone)


def test_no_gateway_no_body(gateway: Gateway, hurry: Hurry) -> None:
    hurry(patience=0.05)
    exchange = gateway.exchange(upload=b"x", urls=("ws://127.0.0.1:9",))
    handler = streaming(lambda e, c: {"statusCode": 200, "body": request_body(e).read()})
    with pytest.raises(StreamClosed, match=r"ws://127\.0\.0\.1:9"):
        call(handler, exchange)


def test_an_event_of_another_request_has_its_own_body(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"streamed")
    other = event(body="of another")

    @streaming
    def handler(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "body": request_body(other).read() + request_body(event).read()}

    call(handler, exchange)
    assert exchange.body == b"of anotherstreamed"


@pytest.mark.parametrize("own_loop", [False, True])
def test_reading_goes_on_after_a_wait_that_timed_out(gateway: Gateway, own_loop: bool) -> None:
    exchange = gateway.exchange(upload=b"", upload_whole=False)

    async def peek(body: AsyncIterator[bytes]) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(body), 0.01)

    def deliver() -> None:
        exchange.upload, exchange.upload_whole = b"later", True

    def handler(event: Any, context: Any) -> Iterator[bytes]:
        asyncio.run(peek(aiter(request_body(event))))  # the loop that waited is closed now
        gateway.call(deliver)
        yield request_body(event).read()

    async def handler_async(event: Any, context: Any) -> AsyncIterator[bytes]:
        body = aiter(request_body(event))
        await peek(body)
        gateway.call(deliver)
        yield b"".join([chunk async for chunk in body])

    receipt = call(streaming(handler if own_loop else handler_async), exchange)
    assert (receipt.status, exchange.body) == ("end", b"later")
