"""What one side is told of an end that the other one brought about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import FunctionFailed, FunctionTimedOut
from gateway.exchange.states import Event
from protocol.errors import CancelCode, ResetCode

if TYPE_CHECKING:
    from gateway.errors import GatewayError

CANCEL_CODES = {
    Event.ROUTE_TIMEOUT: CancelCode.TIMEOUT,
    Event.HEAD_EXPIRED: CancelCode.TIMEOUT,
    Event.WRITE_STALLED: CancelCode.WRITE_STALL,
    Event.CLIENT_GONE: CancelCode.CLIENT_GONE,
    Event.UPLOAD_FAILED: CancelCode.CLIENT_GONE,
    Event.DRAIN_EXPIRED: CancelCode.DRAINING,
    Event.BODILESS: CancelCode.NO_BODY,
}
"""What the function is told when one of these ends the exchange; FAILED for every other failure."""


def failure_of_reset(code: int | None, reason: str) -> GatewayError:
    """Return what a RESET, or a receipt that says as much, is to the exchange."""
    if code == ResetCode.DEADLINE:
        return FunctionTimedOut(f"the function ran into its deadline: {reason}")
    names = {known.value: known.name.lower() for known in ResetCode}
    return FunctionFailed(f"the stream was reset ({names.get(code or 0, code)}): {reason}")
