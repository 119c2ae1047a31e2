"""A function that was frozen, or stopped, in the middle of something goes on when it wakes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import streaming
from lambda_client.timing import Timing
from protocol.frames import Ping
from protocol.limits import Limits
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import acquainted, attached, call
from tests.lambda_client.test_endings import CHUNK
from tests.lambda_client.test_lost import never_back
from tests.lambda_client.test_resume import take_the_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lambda_client.conftest import TimePasses

pytestmark = pytest.mark.fault(15)

FROZEN = Timing().late + 1.0
"""Seconds more than what was awaited may take: too late for an alarm of a process that ran."""

PING, DEAD = Limits().ping_ms / 1000, Limits().dead_ms / 1000


def test_silence_while_frozen_is_no_dead_gateway(gateway: Gateway, time_passes: TimePasses) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        acquainted()
        gateway.mute = True
        time_passes(PING)
        eventually(lambda: any(isinstance(frame, Ping) for frame in gateway.frames))
        time_passes(DEAD + FROZEN)  # the PING is out, and the answer to it does not come
        gateway.mute = False
        yield CHUNK
        eventually(lambda: len(exchange.chunks) == 2)

    assert call(handler, exchange).status == "end"
    assert len(gateway.requests) == 1


def test_a_loss_that_was_slept_through_is_no_end(gateway: Gateway, time_passes: TimePasses) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        never_back(gateway)
        eventually(lambda: len(gateway.requests) > 1)
        time_passes(gateway.limits.resume_grace_ms / 1000 + FROZEN)
        gateway.refuse = lambda _: None
        yield CHUNK
        attached(exchange)

    assert call(handler, exchange).status == "end"
    assert exchange.body == 2 * CHUNK


def test_waiting_for_the_end_ack_counts_awake_time(
    gateway: Gateway, time_passes: TimePasses
) -> None:
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        attached(exchange)

    def answer() -> None:
        eventually(lambda: exchange.stream.ended)
        time_passes(Timing().end_ack + FROZEN)
        gateway.cut(lambda: take_the_end(exchange))

    thread = threading.Thread(target=answer)
    thread.start()
    receipt = call(handler, exchange)
    thread.join()
    assert (receipt.status, receipt.tail) == ("end", None)
