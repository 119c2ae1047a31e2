"""Calling handlers, as their tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambda_client import streaming
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
    eventually(lambda: exchange.stream.bound is not None)


def warm(gateway: Gateway) -> None:
    """Leave a parked connection behind."""
    call(
        streaming(lambda event, context: {"statusCode": 200, "body": "x" * 70_000}),
        gateway.exchange(),
    )
