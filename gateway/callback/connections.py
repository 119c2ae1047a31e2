"""Every callback connection of the process: how many there may be, and how they are sent away.

All in the order in which they came: a set's depends on addresses, and a simulation would play two ways.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from gateway.deadlines import Deadlines
from protocol.errors import CloseCode

if TYPE_CHECKING:
    from gateway.callback.pump import Pump

UNATTACHED_MAX = 1000
"""Connections that were upgraded and have not attached. A function attaches in the same breath, so so
many means a thousand handshakes at once: a fleet that comes back, or somebody who means harm."""

PARKED_MAX = 20_000
"""Parked connections, some 4 KiB each without TLS and what the kernel has for it
(``python -m tests.benchmarks.parked``). Beyond, the least recently used would hardly be used again."""

SPREAD_SECONDS, SPREAD_RATE = 5.0, 200
"""Parked connections are closed at this rate, or faster if it would take longer than these seconds:
what they do about it should not come to the gateways that remain all at once."""

STEP = 0.05  # seconds; so often a share of them is closed

ANSWER_SECONDS = 0.005
"""So long the answer to a fresh ATTACH may wait for company. Nobody waits for it: head and body come without,
and a short response has ended by then, and wants none any more."""


class Connections:
    """Who is connected, who has yet to attach, and who is parked, the least recently parked first.

    Attributes:
        unanswered: those that have an ATTACHED to send, which is in no hurry.
    """

    def __init__(self) -> None:
        self.unanswered: Deadlines[Pump] = Deadlines(ANSWER_SECONDS, lambda pump: pump.wake())
        self._open: dict[Pump, None] = {}
        self._unattached: dict[Pump, None] = {}
        self._parked: dict[Pump, None] = {}
        self._until: float | None = None
        self._over = False
        self._none_left: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    @property
    def parked(self) -> int:
        """How many are parked."""
        return len(self._parked)

    @property
    def unattached(self) -> int:
        """How many were upgraded and have not attached."""
        return len(self._unattached)

    @property
    def active(self) -> int:
        """How many carry a stream."""
        return len(self._open) - len(self._unattached) - len(self._parked)

    @property
    def full(self) -> bool:
        """Whether no more may be upgraded before some that are have attached, or at all."""
        return self._over or len(self._unattached) >= UNATTACHED_MAX

    # ------------------------------------------------------------ what a pump tells

    def opened(self, pump: Pump) -> None:
        """A connection was upgraded."""
        self._open[pump] = None
        self._unattached[pump] = None

    def attached(self, pump: Pump) -> None:
        """A connection carries a stream."""
        self._unattached.pop(pump, None)
        self._parked.pop(pump, None)
        if self._until is not None:
            pump.send_away(self._until)

    def has_parked(self, pump: Pump) -> None:
        """A connection waits for the next invocation."""
        self._unattached.pop(pump, None)
        self._parked[pump] = None
        if len(self._parked) > PARKED_MAX:
            self.shed(len(self._parked) - PARKED_MAX)

    def closed(self, pump: Pump) -> None:
        """A connection is no more."""
        self._open.pop(pump, None)
        self._unattached.pop(pump, None)
        self._parked.pop(pump, None)
        if self._none_left is not None and not self._open and not self._none_left.done():
            self._none_left.set_result(None)

    # ------------------------------------------------------------ sending away

    def shed(self, count: int) -> int:
        """Close up to `count` parked connections, those first that parked first; how many it were."""
        chosen = [pump for pump, _ in zip(self._parked, range(count), strict=False)]
        for pump in chosen:
            del self._parked[pump]
            pump.close(CloseCode.GOING_AWAY)
        return len(chosen)

    def drain(self, seconds: float) -> None:
        """Ask every function to finish what it has within `seconds`, and to start nothing here."""
        self._until = asyncio.get_running_loop().time() + seconds
        waiting = self._unattached.keys() | self._parked.keys()
        for pump in [pump for pump in self._open if pump not in waiting]:
            pump.send_away(self._until)

    async def close_parked(self) -> None:
        """Close all that are parked, spread over a while."""
        seconds = min(SPREAD_SECONDS, len(self._parked) / SPREAD_RATE)
        for left in range(math.ceil(seconds / STEP), 0, -1):
            self.shed(math.ceil(len(self._parked) / left))
            await asyncio.sleep(STEP)

    def close(self) -> None:
        """End every connection, and let nobody in; the streams that they carry are broken."""
        self._over = True
        for pump in list(self._open):
            pump.close(CloseCode.DRAINING if pump.active else CloseCode.GOING_AWAY)

    async def ended(self) -> None:
        """Wait until the last one is no more; `close` bounds that."""
        if self._open:
            self._none_left = asyncio.get_running_loop().create_future()
            await self._none_left
