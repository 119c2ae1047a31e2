"""Calling handlers, as their tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambda_client import streaming
from lambda_client.running import running_session
from protocol.function_stream import FunctionState
from tests.lambda_client.gateway import (
    Exchange,
    Gateway,
    context,
    event,
    eventually,
    receipt_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.receipt import Receipt

    Handler = Callable[[Any, Any], Any]

EVERY_BYTE = bytes(range(256))


def call(handler: Handler, exchange: Exchange) -> Receipt:
    return receipt_of(handler(event(exchange), context(exchange)))


def attached(exchange: Exchange) -> None:
    """Wait until the gateway has the ATTACH."""
    eventually(lambda: exchange.stream.bound is not None)


def acquainted() -> None:
    """Wait until the running handler's stream has the answer to its ATTACH, and with it the gateway's limits.

    Nothing of a fresh stream waits for that: bytes at the gateway do not say that it was read.
    """
    session = running_session()
    assert session is not None
    eventually(lambda: session.stream.state is FunctionState.ATTACHED)


def warm(gateway: Gateway) -> None:
    """Leave a parked connection behind."""
    call(
        streaming(lambda event, context: {"statusCode": 200, "body": "x" * 70_000}),
        gateway.exchange(),
    )
