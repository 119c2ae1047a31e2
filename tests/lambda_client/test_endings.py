"""Every way in which a response ends other than well: cancelled, failed, out of time."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from lambda_client import (
    ClientGone,
    DeadlineReached,
    StreamLost,
    cancelled,
    streamify_response,
    streaming,
)
from lambda_client.loop import io_thread
from protocol.errors import CancelCode, RejectCode, ResetCode
from protocol.frames import Head, Reject
from protocol.headers import HeadError
from tests.lambda_client.gateway import (
    Exchange,
    Gateway,
    context,
    event,
    eventually,
    receipt_of,
    silent_address,
)
from tests.lambda_client.handlers import call, warm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.lambda_client.conftest import Hurry, TimePasses

IN_ALL, NEARLY = 100.0, 99.0
"""Seconds of an invocation, and nearly all of them: five before the end its response is broken off, by an alarm that is
due for so long then that any other would be set again, beyond the patience of every test."""

CHUNK = b"x" * 1000


def cancel_soon(exchange: Exchange, code: CancelCode = CancelCode.CLIENT_GONE) -> threading.Thread:
    """Cancel once the first bytes arrived."""

    def wait() -> None:
        eventually(lambda: exchange.chunks)
        exchange.cancel(code)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def refused(exchange: Exchange, code: RejectCode) -> None:
    exchange.reject = lambda frame: Reject(frame.sid, code, None, "no", None)


# ---------------------------------------------------------------- cancelled by the gateway


def test_cancel_raises_from_a_sync_write_and_closes_the_generator(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    ended: list[str] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        try:
            while True:
                yield CHUNK
                time.sleep(0.001)  # not for synchronisation: it is the pace of the handler
        finally:
            ended.append("closed")

    thread = cancel_soon(exchange)
    receipt = call(handler, exchange)
    thread.join()
    assert ended == ["closed"]
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)
    eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.CANCELLED])
    eventually(lambda: gateway.parked)


def test_cancel_wakes_a_write_that_waits_for_credit(gateway: Gateway) -> None:
    exchange = gateway.exchange(window=4096, reading=False)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        while True:
            yield CHUNK

    thread = cancel_soon(exchange)
    assert call(handler, exchange).status == "reset"
    thread.join()


@pytest.mark.parametrize("generator", [True, False])
def test_cancel_cancels_an_async_handler(gateway: Gateway, generator: bool) -> None:
    exchange = gateway.exchange()
    ended: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield CHUNK
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async def returns(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "body": chunks()}

    thread = cancel_soon(exchange)
    handler = streaming(lambda e, c: chunks()) if generator else streaming(returns)
    receipt = call(handler, exchange)
    thread.join()
    assert ended == ["cancelled", "cleaned up"]
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)


def test_a_handler_may_catch_the_cancel_and_return(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    async def handler(event: Any, context: Any) -> Any:
        async def chunks() -> AsyncIterator[bytes]:
            while True:
                try:
                    yield CHUNK
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    return

        return {"statusCode": 200, "body": chunks()}

    thread = cancel_soon(exchange)
    receipt = call(handler, exchange)
    thread.join()
    assert receipt.status == "reset"


@pytest.mark.parametrize("code", [CancelCode.NO_BODY, CancelCode.CLIENT_GONE])
def test_no_body_is_no_news(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, code: CancelCode
) -> None:
    exchange = gateway.exchange()
    ended: list[str] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        try:
            while True:
                yield CHUNK
        finally:
            ended.append("closed")

    with caplog.at_level(logging.INFO, "dialback"):
        thread = cancel_soon(exchange, code)
        receipt = call(handler, exchange)
        thread.join()
    assert ended == ["closed"]
    assert receipt.status == "reset"
    assert [r.levelname for r in caplog.records] == ([] if code == CancelCode.NO_BODY else ["INFO"])


def test_a_handler_that_ignores_the_cancel_is_answered_for(gateway: Gateway, hurry: Hurry) -> None:
    hurry(cancel_grace=0.05)
    exchange = gateway.exchange()
    told: list[bool] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.resets)  # busy, and blind to the cancel
        told.append(True)
        yield CHUNK

    thread = cancel_soon(exchange)
    assert call(handler, exchange).status == "reset"
    thread.join()
    assert told == [True]
    assert exchange.resets[0].code == ResetCode.CANCELLED


@pytest.mark.parametrize("code", [RejectCode.CANCELLED, RejectCode.TERMINAL])
def test_a_client_that_left_before_the_attach_stops_the_handler(
    gateway: Gateway, code: RejectCode
) -> None:
    exchange = gateway.exchange()
    refused(exchange, code)

    @streaming
    async def handler(event: Any, context: Any) -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield CHUNK

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)


def test_an_error_while_cancelled_still_reaches_the_runtime(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        try:
            while True:
                yield CHUNK
        finally:
            raise RuntimeError("the clean-up failed")

    thread = cancel_soon(exchange)
    with pytest.raises(RuntimeError, match="clean-up"):
        call(handler, exchange)
    thread.join()
    eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.CANCELLED])


# ---------------------------------------------------------------- user code fails


def test_an_error_before_anything_goes_to_the_runtime(gateway: Gateway) -> None:
    @streaming
    def handler(event: Any, context: Any) -> Any:
        raise ValueError("early")

    exchange = gateway.exchange()
    with pytest.raises(ValueError, match="early"):
        call(handler, exchange)
    assert not gateway.requests
    with pytest.raises(ValueError, match="early"):
        handler({}, None)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_after_the_head_resets_and_goes_to_the_runtime(
    gateway: Gateway, asynchronous: bool
) -> None:
    exchange = gateway.exchange()

    def chunks() -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        raise ValueError("late, with a secret")

    async def chunks_async() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    handler = streaming(lambda e, c: chunks_async() if asynchronous else chunks())
    with pytest.raises(ValueError, match="late"):
        call(handler, exchange)
    eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.HANDLER_ERROR])
    assert "secret" not in exchange.resets[0].message
    eventually(lambda: gateway.parked)


@pytest.mark.parametrize("warmed", [False, True])
def test_an_error_behind_the_last_byte_goes_to_the_runtime_and_breaks_no_response(
    gateway: Gateway, *, warmed: bool
) -> None:
    if warmed:
        warm(gateway)
    exchange = gateway.exchange()

    class Broken(io.BytesIO):
        @override
        def close(self) -> None:
            super().close()  # else Python 3.13 calls it again when it collects this
            raise ValueError("in close")

    handler = streaming(lambda e, c: {"statusCode": 200, "body": Broken(CHUNK)})
    with pytest.raises(ValueError, match="in close"):
        call(handler, exchange)
    assert (exchange.stream.ended, exchange.body, exchange.resets) == (True, CHUNK, [])


def test_an_error_behind_an_end_that_was_too_late_answers_the_cancel(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(CHUNK)
        eventually(lambda: exchange.chunks)
        io_thread()._reactor._hasty = 0
        stream.end()  # is held for a moment
        exchange.cancel()
        eventually(lambda: cancelled() or exchange.stream.ended)
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        call(handler, exchange)
    eventually(lambda: exchange.resets or exchange.stream.ended)  # whichever was quicker


def test_an_error_on_a_warm_connection_before_the_head_resets(gateway: Gateway) -> None:
    warm(gateway)
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield b"" if event is None else fail()

    def fail() -> bytes:
        raise ValueError("no head")

    with pytest.raises(ValueError, match="no head"):
        call(handler, exchange)
    eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.HANDLER_ERROR])
    assert not any(isinstance(frame, Head) for frame in exchange.log)
    after = gateway.exchange()
    assert call(streaming(lambda e, c: iter(["next"])), after).status == "end"
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("header", ["bad name", "x"])
def test_a_head_that_cannot_be_sent_is_named(gateway: Gateway, header: str) -> None:
    handler = streaming(lambda e, c: iter([{"headers": {header: "line\nbreak"}}, "x"]))
    exchange = gateway.exchange()
    for where in (context(exchange), None):
        with pytest.raises(HeadError, match=header):
            handler(event(exchange), where)


# ---------------------------------------------------------------- out of time


@pytest.mark.parametrize("asynchronous", [False, True])
def test_near_the_deadline_the_response_is_reset(
    gateway: Gateway, time_passes: TimePasses, asynchronous: bool
) -> None:
    exchange = gateway.exchange()

    def chunks() -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        time_passes(NEARLY)
        while True:
            yield CHUNK
            time.sleep(0.01)  # not for synchronisation: it is the pace of the handler

    async def chunks_async() -> AsyncIterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        time_passes(NEARLY)
        await asyncio.sleep(60)

    handler = streaming(lambda e, c: chunks_async() if asynchronous else chunks())
    with pytest.raises(DeadlineReached):
        handler(event(exchange), context(exchange, seconds=IN_ALL))
    eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.DEADLINE])


def test_the_deadline_counts_while_dialling() -> None:
    with Gateway() as gateway, silent_address() as url:
        exchange = gateway.exchange(urls=(url,))

        @streaming
        async def handler(event: Any, context: Any) -> AsyncIterator[bytes]:
            yield CHUNK
            await asyncio.sleep(60)

        with pytest.raises(DeadlineReached):
            handler(event(exchange), context(exchange, seconds=0.3))


# ---------------------------------------------------------------- what may be caught


def test_user_code_can_tell_why(gateway: Gateway) -> None:
    caught: list[BaseException] = []

    def until_closed(write: Callable[[bytes], None]) -> None:
        try:
            while True:
                write(CHUNK)
        except (ClientGone, StreamLost) as error:
            caught.append(error)

    handler = streamify_response(lambda event, stream, context: until_closed(stream.write))
    exchange = gateway.exchange()
    thread = cancel_soon(exchange)
    assert receipt_of(handler(event(exchange), context(exchange))).status == "reset"
    thread.join()
    assert isinstance(caught[0], ClientGone)
    assert caught[0].code == CancelCode.CLIENT_GONE
    assert str(caught[0]) == "the client left"
