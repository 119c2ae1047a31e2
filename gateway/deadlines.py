"""Deadlines of one length, watched by one timer.

Whoever begins last is due last, so only the first one needs a timer. Nearly all of them end in time, and
cost an entry in a dictionary.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Calls whoever has begun and not ended after so many seconds.

    Args:
        seconds: the length.
        expired: called with each that is due; it has ended then.
    """

    def __init__(self, seconds: float, expired: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._due: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, one: T) -> None:
        """The time of one that has not begun begins now."""
        self._due[one] = due = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look)

    def end(self, one: T) -> None:
        """It is not due any more, if it ever was."""
        self._due.pop(one, None)

    def close(self) -> None:
        """Nobody is due any more."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Call the first if it is due; the timer was set for one that may have ended meanwhile."""
        self._timer = None
        if not self._due:
            return
        one, due = next(iter(self._due.items()))
        expired = due <= self._loop.time()
        if expired:
            del self._due[one]
        if self._due:  # before it is called: it may fail, and those behind it are due all the same
            self._timer = self._loop.call_at(next(iter(self._due.values())), self._look)
        if expired:
            self._expired(one)
