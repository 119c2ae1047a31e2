"""Tells a slow upload from one that is kept waiting by its function.

Only the seconds count in which the function wants bytes and its client sends none. What came makes up for
them, and is never worth more than the grace: a fast beginning buys no hour of silence. One timer for a
body, and none for a body that is there when it is asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RATE_MIN = 1000
"""Bytes a second, after the grace: a modem's pace. Whoever sends less holds a function, which is billed
by the millisecond, and most often means to."""

CLOSE_TO_NONE = 0.001
"""Seconds of allowance that count as none: what rounding leaves would only ring the timer again."""


class Pace:
    """Watches one body.

    Args:
        grace: seconds that a client may keep the function waiting before its rate counts; also the
            longest silence.
        too_slow: called once, while the client is waited for, when it sent too little.
    """

    def __init__(self, grace: float, too_slow: Callable[[], None]) -> None:
        self._grace = self._allowance = grace
        self._too_slow = too_slow
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wait(self) -> None:
        """The function waits for the client."""
        self._since = self._loop.time()
        if self._timer is None:
            self._arm()

    def came(self, size: int) -> None:
        """It sent so many bytes."""
        if self._since is not None:
            waited = self._loop.time() - self._since
            self._allowance = min(self._allowance - waited + size / RATE_MIN, self._grace)
            self._since = None

    def close(self) -> None:
        """The body is at its end, or of no use any more."""
        self._since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_later(max(self._allowance, 0.0), self._look)

    def _look(self) -> None:
        """See whether it really waits for too long, or has waited several times, and got something."""
        self._timer = None
        if self._since is None:
            return  # the next wait arms it again
        now = self._loop.time()
        self._allowance -= now - self._since
        self._since = now
        if self._allowance < CLOSE_TO_NONE:
            self._too_slow()
        else:
            self._arm()
