"""A function that was frozen, or stopped, in the middle of something goes on when it wakes."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import loop, streaming
from lambda_client.running import running_session
from protocol.frames import Ping
from protocol.function_stream import FunctionState
from protocol.limits import Limits
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import attached, call
from tests.lambda_client.test_endings import CHUNK
from tests.lambda_client.test_lost import never_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lambda_client.conftest import Hurry

pytestmark = pytest.mark.fault(15)


def freeze(seconds: float) -> None:
    """Let the I/O thread do nothing for a while, as if the process were stopped."""
    began = threading.Event()

    def stop() -> None:
        began.set()
        time.sleep(seconds)

    loop.io_thread().submit(stop)
    assert began.wait(5)


def test_silence_while_frozen_is_no_dead_gateway(gateway: Gateway, hurry: Hurry) -> None:
    hurry(late=0.3)
    gateway.limits = Limits(ping_ms=200, dead_ms=1500)
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        session = running_session()
        assert session is not None
        eventually(lambda: session.stream.state is FunctionState.ATTACHED)
        gateway.mute = True
        eventually(lambda: any(isinstance(frame, Ping) for frame in gateway.frames))
        freeze(2.2)  # the PING is out, and the answer to it does not come
        gateway.mute = False
        yield CHUNK
        eventually(lambda: len(exchange.chunks) == 2)

    assert call(handler, exchange).status == "end"
    assert len(gateway.requests) == 1


def test_a_loss_that_was_slept_through_is_no_end(gateway: Gateway, hurry: Hurry) -> None:
    hurry(late=0.2)
    gateway.limits = replace(Limits(), resume_grace_ms=1500)
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        eventually(lambda: len(gateway.requests) > 1)
        freeze(2.0)
        gateway.refuse = lambda _: None
        yield CHUNK
        attached(exchange)

    assert call(handler, exchange).status == "end"
    assert exchange.body == 2 * CHUNK


def test_waiting_for_the_end_ack_counts_awake_time(gateway: Gateway, hurry: Hurry) -> None:
    hurry(late=0.2, end_ack=1.0)
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        attached(exchange)

    def answer() -> None:
        eventually(lambda: exchange.stream.ended)
        time.sleep(0.1)  # not for synchronisation: the freeze falls into the wait for END_ACK
        freeze(1.5)
        time.sleep(1.6)  # not for synchronisation: the freeze is over, its alarms are set anew
        exchange.swallow_end = False
        gateway.cut()

    thread = threading.Thread(target=answer)
    thread.start()
    receipt = call(handler, exchange)
    thread.join()
    assert (receipt.status, receipt.tail) == ("end", None)
