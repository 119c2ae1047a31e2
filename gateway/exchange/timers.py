"""What happens to an exchange because something else does not: one timer for each such event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.errors import GatewayError
    from gateway.exchange.states import Event


class Timers:
    """The timers of one exchange, most of which arm none.

    Args:
        happen: called with the event and its reason when a timer runs out.
    """

    def __init__(self, happen: Callable[[Event, GatewayError], None]) -> None:
        self._happen = happen
        self._running: dict[Event, asyncio.TimerHandle] = {}

    def arm(self, event: Event, seconds: float, failure: GatewayError) -> None:
        """Let an event happen in so many seconds, instead of whenever it was to happen."""
        self.disarm(event)
        loop = asyncio.get_running_loop()
        self._running[event] = loop.call_later(seconds, self._happen, event, failure)

    def disarm(self, event: Event) -> None:
        """An event does not happen by itself any more."""
        timer = self._running.pop(event, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Nothing happens by itself any more; whom it would happen to is let go."""
        for event in list(self._running):
            self.disarm(event)
        self._happen = _nothing


def _nothing(event: Event, failure: GatewayError) -> None:
    """Happen to nobody."""
