"""Who may invoke now: a route's concurrency, and the bounded queue before it."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.errors import Draining, Overloaded

RETRY_AFTER = 1  # seconds; a place comes free as soon as any one exchange ends


class Gate:
    """Lets `concurrency` in at a time, first come first served, and `queue` more wait.

    A place belongs to an invocation, not to a response: it is given back when the invoke leg ended.
    """

    def __init__(self, concurrency: int, queue: int) -> None:
        self._free = concurrency
        self._queue = queue
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a place if one is free; whether it was."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def enter(self) -> None:
        """Take a place, waiting for one if the queue has room.

        Raises:
            Overloaded: the queue is full too.
        """
        if self.take():
            return
        if len(self._waiting) >= self._queue:
            raise Overloaded(f"{self._queue} requests wait already", retry_after=RETRY_AFTER)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not place.cancelled() and place.exception() is None:
                self.leave()  # the place was handed over in the very moment that the wait ended
            raise

    def refuse_waiting(self) -> None:
        """Turn away whoever waits: nothing was invoked for them, another gateway may serve them."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(Draining(retry_after=RETRY_AFTER))

    def leave(self) -> None:
        """Give a place back: to whoever waits longest, if anyone does."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
