"""What `asgi(app)` makes of the client that leaves, the request's body, and what comes behind the response."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

import pytest

from lambda_client import StreamClosed, main_loop
from lambda_client.asgi_app import DISCONNECT_GRACE
from protocol.errors import ResetCode
from protocol.frames import Head
from tests.lambda_client.asgi_apps import (
    BODY,
    body,
    run,
    sized,
    start,
    until,
)
from tests.lambda_client.gateway import Gateway, receipt_of
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.lambda_client.asgi_apps import Message, Receive, Send
    from tests.lambda_client.conftest import Hurry


# ---------------------------------------------------------------- the client leaves


@pytest.mark.fault(29)
def test_an_application_that_sends_gets_an_oserror(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    raised: list[OSError] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        exchange.cancel()
        try:
            while True:
                await send(body(b"more", more=True))
                await asyncio.sleep(0)
        except OSError as error:
            raised.append(error)

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)
    assert len(raised) == 1


@pytest.mark.fault(29)
def test_an_application_that_waits_is_told_before_it_is_cancelled(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    seen: list[object] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        begun = asyncio.get_running_loop().time()
        exchange.cancel()
        seen.append(await receive())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(asyncio.get_running_loop().time() - begun)
            raise

    assert receipt_of(run(app, exchange)).status == "reset"
    assert seen[0] == {"type": "http.disconnect"}
    assert isinstance(seen[1], float)
    assert seen[1] >= DISCONNECT_GRACE


@pytest.mark.fault(29)
def test_an_exception_of_an_application_that_nobody_hears_is_no_failure(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dialback")
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        exchange.cancel()
        await receive()
        await receive()
        raise LookupError("the framework's word for it")

    assert receipt_of(run(app, exchange)).code == ResetCode.CANCELLED
    assert "the framework's word for it" in caplog.text


@pytest.mark.fault(29)
def test_a_generator_that_is_dropped_in_the_middle_runs_its_finally(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_loop, "ENDING_SECONDS", PATIENCE)
    exchange = gateway.exchange()
    closed: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0.01)
            closed.append("with what it awaits")

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        exchange.cancel()
        async for piece in endless():
            await send(body(piece, more=True))

    run(app, exchange)
    assert closed == ["with what it awaits"]


def test_after_the_response_receive_says_disconnect() -> None:
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"x"))
        seen.append(await receive())

    assert run(app)["body"] == "x"
    assert seen == [{"type": "http.disconnect"}]


def test_the_next_invocation_is_not_cancelled_for_the_last_one(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambda_client.asgi_app.DISCONNECT_GRACE", 0.05)
    first, second = gateway.exchange(), gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        exchange = first if scope["aws.event"]["rawPath"] == "/1" else second
        await send(start())
        await send(body(b"x", more=True))
        await until(lambda: exchange.body == b"x")
        if exchange is first:
            first.cancel()
            await receive()
            await receive()
            return
        await asyncio.sleep(0.1)  # longer than the grace of the first one
        await send(body(b"y"))

    assert receipt_of(run(app, first, rawPath="/1")).status == "reset"
    assert receipt_of(run(app, second, rawPath="/2")).status == "end"
    assert second.body == b"xy"


# ---------------------------------------------------------------- the request's body


def test_a_streamed_body_comes_piece_by_piece(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=BODY)
    sizes: list[int] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        digest, more = hashlib.sha256(), True
        while more:
            message = await receive()
            more = message["more_body"]
            sizes.append(len(message["body"]))
            digest.update(message["body"])
        await send(sized(digest.digest()))
        await send(body(digest.digest()))

    run(app, exchange)
    assert exchange.body == hashlib.sha256(BODY).digest()
    assert len(sizes) > 2
    assert max(sizes) < len(BODY)


def test_down_and_up_at_the_same_time(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=BODY)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send(body(message["body"], more=more))

    run(app, exchange)
    assert exchange.body == BODY


def test_a_head_that_answers_an_upload_leaves_without_a_body(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"")  # no credit to tell, either

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await send(start())
        await send(body(more=True))
        await until(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        await send(body(b"y"))

    run(app, exchange)
    assert exchange.body == b"y"


def test_a_client_that_breaks_off_its_upload_has_disconnected(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"first", upload_whole=False)
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        exchange.cancel()
        seen.append(await receive())

    assert receipt_of(run(app, exchange)).status == "reset"
    assert seen == [
        {"type": "http.request", "body": b"first", "more_body": True},
        {"type": "http.disconnect"},
    ]


def test_a_body_that_cannot_be_fetched_fails_the_invocation(gateway: Gateway, hurry: Hurry) -> None:
    hurry(patience=0.05)
    exchange = gateway.exchange(upload=b"x", urls=("ws://127.0.0.1:9",))

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.disconnect"}

    with pytest.raises(StreamClosed, match=r"ws://127\.0\.0\.1:9"):
        run(app, exchange)


# ---------------------------------------------------------------- behind the response


@pytest.mark.parametrize("large", [False, True])
def test_the_response_does_not_wait_for_what_the_application_does_after_it(
    gateway: Gateway, large: bool
) -> None:
    exchange = gateway.exchange()
    answer = BODY if large else b"small"

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(sized(answer))
        await send(body(answer))
        await until(lambda: exchange.stream.ended)

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.tail) == ("end", None)
    assert exchange.body == answer


def test_an_exception_after_the_response_is_logged_and_no_failure(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(sized(b"x"))
        await send(body(b"x"))
        raise KeyError("in the background")

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.tail) == ("end", (0, b"x"))
    assert "in the background" in caplog.text
