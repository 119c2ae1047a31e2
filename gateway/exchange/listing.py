"""What operators see of exchanges: those that ended last, and those under way."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.exchange.exchange import Exchange

LISTED_MAX = 1000
"""Exchanges under way that are listed, the oldest: whoever is stuck is among them. Ten thousand would hold
up the event loop for 50 ms, and nobody would read them."""


def listed(
    ended: Collection[Exchange], under_way: Collection[Exchange], now: float
) -> list[dict[str, Any]]:
    """Describe exchanges, `LISTED_MAX` of those under way at most.

    Args:
        ended: those that ended last.
        under_way: the others, oldest first.
        now: monotonic seconds.
    """
    return [_describe(one, now) for one in (*ended, *islice(under_way, LISTED_MAX))]


def _describe(exchange: Exchange, now: float) -> dict[str, Any]:
    return {
        "id": exchange.id,
        "route": exchange.route,
        "method": exchange.method,
        "state": exchange.state.value,
        "reason": exchange.reason or None,
        "note": exchange.note or None,
        "client_left": exchange.client_left,
        "status": exchange.status,
        "ttfb": None if exchange.ttfb is None else round(exchange.ttfb, 4),
        "age": round((exchange.ended or now) - exchange.started, 3),
        "bytes": exchange.body_bytes,
        "request_bytes": exchange.request_bytes,
        "calls": exchange.calls,
        "resumes": max(exchange.attaches - 1, 0),
        "request_id": exchange.request_id or None,
    }
