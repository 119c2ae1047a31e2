"""How user code learns that nobody waits for its response: in time, however it is busy."""

from __future__ import annotations

import asyncio
import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import (
    ClientGone,
    DeadlineReached,
    StreamLost,
    cancelled,
    check_cancelled,
    request_body,
    streamify_response,
    streaming,
)
from lambda_client.running import running_session
from protocol.codec import encode
from protocol.errors import CancelCode, ResetCode
from protocol.frames import Attach, Cancel, Ping, Pong, Reset
from tests.lambda_client.gateway import Exchange, Gateway, context, event, eventually
from tests.lambda_client.handlers import acquainted, attached, call
from tests.lambda_client.test_endings import CHUNK, cancel_soon
from tests.lambda_client.test_lost import never_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.lambda_client.conftest import Hurry

pytestmark = pytest.mark.fault(29)


# ---------------------------------------------------------------- asking


def test_a_handler_that_computes_asks_and_is_told(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    cleaned: list[str] = []

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        try:
            stream.write(CHUNK)
            check_cancelled()
            while True:  # computes, and never writes
                check_cancelled()
        finally:
            cleaned.append("up")

    thread = cancel_soon(exchange)
    receipt = call(handler, exchange)
    thread.join()
    assert cleaned == ["up"]
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)


def test_a_handler_may_ask_and_end_by_itself(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        assert not cancelled()
        exchange.cancel()
        eventually(cancelled)

    assert call(handler, exchange).status == "reset"


@pytest.mark.parametrize("reads", [False, True])
def test_a_task_that_learns_of_it_first_is_cancelled_all_the_same(
    gateway: Gateway, *, reads: bool
) -> None:
    """And can clean up undisturbed: there is no second interruption to come."""
    exchange = gateway.exchange(upload=b"", upload_whole=False) if reads else gateway.exchange()
    seen: list[str] = []

    @streamify_response
    async def handler(event: Any, stream: Any, context: Any) -> None:
        try:
            await stream.write(CHUNK)
            eventually(lambda: exchange.stream.bound is not None)
            exchange.cancel()
            eventually(cancelled)  # holds the event loop meanwhile
            if reads:
                await request_body(event).read_async()
            else:
                await stream.write(CHUNK)
        except BaseException as error:
            seen.append(type(error).__name__)
            raise
        finally:
            await asyncio.sleep(0.01)
            seen.append("cleaned up")

    assert call(handler, exchange).code == ResetCode.CANCELLED
    assert seen == ["CancelledError", "cleaned up"]


def test_asking_near_the_deadline_says_so(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(CHUNK)
        while True:
            check_cancelled()

    with pytest.raises(DeadlineReached):
        handler(event(exchange), context(exchange, seconds=0.5))


def test_without_a_gateway_nobody_is_cancelled() -> None:
    @streaming
    def handler(event: Any, context: Any) -> str:
        check_cancelled()
        return str(cancelled())

    assert handler({}, None) == "False"
    check_cancelled()
    assert not cancelled()


# ---------------------------------------------------------------- waiting


@pytest.mark.parametrize("asynchronous", [False, True])
def test_cancel_wakes_who_waits_for_request_bytes(gateway: Gateway, asynchronous: bool) -> None:
    exchange = gateway.exchange(upload=b"first", upload_whole=False)
    ended: list[type[BaseException]] = []

    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        try:
            for _ in request_body(event):
                pass
        except BaseException as error:
            ended.append(type(error))
            raise

    async def handler_async(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield CHUNK
        try:
            async for _ in request_body(event):
                pass
        except BaseException as error:
            ended.append(type(error))
            raise

    thread = cancel_soon(exchange)
    receipt = call(streaming(handler_async if asynchronous else handler), exchange)
    thread.join()
    assert receipt.status == "reset"
    told = [ClientGone, asyncio.CancelledError] if asynchronous else [ClientGone]
    assert ended[0] in told


@pytest.mark.parametrize("window", [4096, 1 << 20])
def test_a_task_group_that_was_cancelled_explains_itself(gateway: Gateway, window: int) -> None:
    exchange = gateway.exchange(window=window, reading=False)

    @streamify_response
    async def handler(event: Any, stream: Any, context: Any) -> None:
        async def produce() -> None:
            while True:
                await stream.write(CHUNK)

        async def shielded() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(produce())
                group.create_task(produce())

        await asyncio.shield(shielded())

    thread = cancel_soon(exchange)
    receipt = call(handler, exchange)
    thread.join()
    assert receipt.status == "reset"


def test_a_group_with_an_error_of_its_own_reaches_the_runtime(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(CHUNK)
        eventually(cancelled)
        gone = ClientGone(1)
        raise ExceptionGroup("both", [gone, ExceptionGroup("inner", [gone, ValueError("bug")])])

    thread = cancel_soon(exchange)
    with pytest.raises(ExceptionGroup, match="both"):
        call(handler, exchange)
    thread.join()


def test_a_group_of_nothing_else_is_explained(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(CHUNK)
        eventually(cancelled)
        gone = ClientGone(1)
        raise BaseExceptionGroup(
            "both", [gone, BaseExceptionGroup("inner", [asyncio.CancelledError()])]
        )

    thread = cancel_soon(exchange)
    assert call(handler, exchange).status == "reset"
    thread.join()


# ---------------------------------------------------------------- the gateway's side of it


def test_a_cancel_that_is_repeated_starts_nothing_anew(gateway: Gateway, hurry: Hurry) -> None:
    hurry(cancel_grace=0.4)
    exchange = gateway.exchange()
    told: list[object] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        repeat = threading.Thread(target=repeatedly)
        repeat.start()
        eventually(lambda: exchange.resets)  # busy, and blind to the cancel
        repeat.join()
        session = running_session()
        assert session is not None
        told.append(session.failure)
        yield CHUNK

    def repeatedly() -> None:
        sid = sid_of(exchange)
        for number in itertools.takewhile(lambda _: not exchange.resets, range(500)):
            gateway.say(encode(Cancel(sid, CancelCode.CLIENT_GONE, f"cancel {number}")))
            threading.Event().wait(0.02)

    receipt = call(handler, exchange)
    assert receipt.status == "reset"
    assert [str(failure) for failure in told] == ["cancel 0"]
    assert len([f for f in gateway.frames if isinstance(f, Reset)]) == 1


def sid_of(exchange: Exchange) -> int:
    attach = exchange.log[0]
    assert isinstance(attach, Attach)
    return attach.sid


@pytest.mark.fault(17)
def test_a_handler_that_blocks_its_event_loop_does_not_look_dead(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    async def handler(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield CHUNK
        attached(exchange)
        for nonce in range(100, 105):
            gateway.say(encode(Ping(nonce)))
            while Pong(nonce) not in gateway.frames:
                sum(range(1000))  # computes on the loop's thread, and awaits nothing
        yield CHUNK

    assert call(handler, exchange).status == "end"
    assert exchange.body == 2 * CHUNK


def test_a_lost_stream_is_told_to_who_asks(gateway: Gateway) -> None:
    gateway.limits = replace(gateway.limits, resume_grace_ms=100)
    exchange = gateway.exchange()
    seen: list[BaseException] = []

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(CHUNK)
        acquainted()
        never_back(gateway)
        try:
            while True:
                check_cancelled()
        except StreamLost as error:
            seen.append(error)
            raise

    assert call(handler, exchange).status == "lost"
    assert seen
